"""Motion Mask R-CNN learns on rendered scenes; minutes of a CPU."""

import numpy as np
import pytest
import torch

from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit

pytestmark = pytest.mark.slow


def arguments(root, runs, *more):
    return [
        *("model=motion_maskrcnn", "size=tiny", "recipe=motion_maskrcnn_tiny", f"data_root={root}"),
        *(f"runs={runs}", "workers=0", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", *more),
    ]


def test_a_joint_network_goes_through_all_stages(tmp_path):
    for name in ("coco", "ft3d", "ytvos", "davis17"):
        frames = {} if name == "coco" else {"frames": 6 if name == "ytvos" else 3}
        write_mini(name, tmp_path, scenes=2, size=(72, 128), **frames)
    short = [
        f"recipe.{stage}.{key}"
        for stage in ("A", "M1", "M2", "J1", "J2")
        for key in ("epochs=1", "epoch_length=8")
    ]
    run = fit(arguments(tmp_path, tmp_path / "runs", "stage=all", *short))
    states = {
        stage: read_state(run / f"{stage}/checkpoints/last.ckpt")[0] for stage in ("A", "M2", "J1", "J2")
    }

    def kept(first, second, prefix):
        keys = [key for key in states[first] if key.startswith(f"network.{prefix}")]
        assert keys
        return all(torch.equal(states[first][key], states[second][key]) for key in keys)

    for last in ("J1", "J2"):
        # frozen, so that the static branch is the appearance model still
        assert kept("A", last, "backbone.appearance.")
        assert kept("A", last, "static.")
        assert kept("M2", last, "backbone.motion.")
        for tensor in ("mask_head.", "mask_predictor."):
            drawn = {k: v for k, v in states[last].items() if k.startswith(f"network.roi_heads.{tensor}")}
            for key, value in drawn.items():
                assert torch.equal(value, states["A"][key.replace("network.", "network.static.")])
    for prefix in ("backbone.merge.", "rpn.", "roi_heads.box_head."):
        assert not kept("J1", "J2", prefix)
    model, provenance = load_method("motion_maskrcnn", checkpoint=run / "J2/checkpoints/last.ckpt")
    assert provenance["variant"]["stream"] == "joint"
    assert model.needs_flow


def matches(model, videos, least_score):
    """Return how many objects there are, how many are found, detections, and how many are of an object."""
    objects = found = detections = right = 0
    for video in videos:
        for index, frame in enumerate(model.detect(video, least_score)):
            if index not in video.annotations:
                continue
            ids = video.annotations[index]
            truth = [ids == id_ for id_ in np.unique(ids) if 0 < id_ < 255 and (ids == id_).sum() >= 60]
            overlaps = np.array(
                [[(a & b).sum() / (a | b).sum() for b in frame.moving.masks] for a in truth]
            ).reshape(len(truth), len(frame.moving))
            objects, detections = objects + len(truth), detections + len(frame.moving)
            found += (overlaps >= 0.5).any(axis=1).sum()
            right += (overlaps >= 0.5).any(axis=0).sum()
    return objects, found, detections, right


def test_what_moves_is_found_in_scenes_never_seen(tmp_path):
    write_mini("ft3d", tmp_path)
    run = fit(
        arguments(
            *(tmp_path, tmp_path / "runs", "model.stream=motion", "stage=M1"),
            "trainer.limit_val_batches=0",
        )
    )
    model, _ = load_method("motion_maskrcnn", checkpoint=run / "M1/checkpoints/last.ckpt")
    videos = open_dataset("ft3d", tmp_path, "test", instances=True, views=["left"])
    objects, found, detections, right = matches(model, videos, 0.3)
    assert objects > 40
    # 11 of 55 on one processor, more on another: rounding leads training elsewhere
    assert found / objects > 0.1
    assert right / detections > 0.25
