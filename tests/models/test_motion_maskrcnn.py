"""Motion Mask R-CNN as a method: its stages, what each sees, detecting and tracking."""

import re
from itertools import islice

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.optim import SGD

from vosbench.composition import load_stage
from vosbench.data.loading.clips import ClipDataset, ClipSettings
from vosbench.data.loading.collate import detection_collate, detection_targets
from vosbench.data.loading.datamodule import ClipDataModule, Loading, Source
from vosbench.errors import InputError
from vosbench.method import Detections, Inspection, Method
from vosbench.models import build
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.motion_maskrcnn.detections import FrameDetections
from vosbench.models.optimizers import warmup_factor
from vosbench.models.pretrained.zoo import export, load_method
from vosbench.video import Video

SIZE = (48, 64)


def tiny(seed=0, **variant):
    torch.manual_seed(seed)
    return build("motion_maskrcnn", "tiny", **variant)


def video(frames=3, flow=True):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (frames, *SIZE, 3), dtype=np.uint8)
    annotation = np.zeros(SIZE, np.uint8)
    annotation[10:30, 20:40] = 1
    annotation[5:15, 50:60] = 2
    fields = random.normal(size=(frames - 1, 2, *SIZE)).astype(np.float32) if flow else None
    names = tuple(f"{t:05d}" for t in range(frames))
    return Video("clip", pictures, names, dict.fromkeys(range(frames), annotation), fields)


def batch(frames=1, beyond=True, classes=None):
    item = ClipDataset([video()], ClipSettings(frames, flow=(None,), flow_beyond=beyond))[0]
    if classes is not None:
        item["classes"] = classes
    return detection_collate([item])


STREAMS = {"A": "appearance", "M1": "motion", "M2": "motion", "J1": "joint", "J2": "joint"}


@pytest.mark.parametrize(
    ("stage", "iterations", "data"),
    [
        ("A", 90_000, "coco"),
        ("M1", 10_000, "ft3d_instances"),
        ("M2", 10_000, "ft3d_instances"),
        ("J1", 5_000, "ytvos_moving"),
        ("J2", 5_000, "davis16_instances"),
    ],
)
def test_stages_are_those_of_the_paper(stage, iterations, data):
    settings = load_stage("motion_maskrcnn", stage)
    batch_size = settings.batch_size * settings.accumulate
    assert settings.epochs * settings.epoch_length / batch_size == iterations
    assert (batch_size, settings.data, settings.augment.mirror) == (16, [data], 0.5)
    assert settings.collate == "detection"
    assert (settings.clip_gradients, settings.clip.flow_beyond) == (None, stage != "A")
    model = tiny(stream=STREAMS[stage])
    model.configure_stage(stage)
    configured = model.configure_optimizers()
    optimizer = configured["optimizer"]
    assert isinstance(optimizer, SGD)
    weights, biases = optimizer.param_groups
    assert (weights["lr"], weights["momentum"], weights["weight_decay"]) == (0.02, 0.9, 1e-4)
    assert (biases["lr"], biases["momentum"], biases["weight_decay"]) == (0.04, 0.9, 0)
    named = {id(value): name for name, value in model.network.named_parameters()}
    assert all(named[id(value)].endswith("bias") for value in biases["params"])
    assert not any(named[id(value)].endswith("bias") for value in weights["params"])
    trained = {id(value) for value in model.parameters() if value.requires_grad}
    assert {id(value) for group in (weights, biases) for value in group["params"]} == trained
    if stage != "A":
        assert "lr_scheduler" not in configured
        return
    factor = configured["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert [factor(epoch) for epoch in (0, 59, 60, 79, 80)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_flow_of_each_stage():
    assert load_stage("motion_maskrcnn", "M1").flow == ["ground_truth"]
    for stage in ("M2", "J1", "J2"):
        assert load_stage("motion_maskrcnn", stage).flow == ["dis"]
    model = tiny()
    for stage, needed in (("A", False), ("M1", True), ("J2", True)):
        model.configure_stage(stage)
        assert model.needs_flow is needed


def test_the_learning_rate_rises_from_a_third():
    assert [warmup_factor(step, 500) for step in (0, 250, 499, 500, 10_000)] == pytest.approx(
        [1 / 3, 2 / 3, 1 / 3 + 2 / 3 * 0.998, 1, 1]
    )
    assert warmup_factor(0, 0) == 1
    assert (tiny().warmup, tiny(warmup=7).warmup) == (20, 7)


def test_steps_are_made_with_the_risen_rate_and_the_schedule_keeps_its_own(monkeypatch):
    model = tiny(stream="motion", warmup=4)
    weight = model.network.rpn.head.cls_logits.bias
    monkeypatch.setattr(type(model), "training_step", lambda self, *_: weight.sum())
    model.configure_stage("M1")
    model.stage.optimizer.momentum = 0.0
    before = weight[0].item()
    data = ClipDataModule(
        [Source([video(5)], ClipSettings(1, flow=(None,), flow_beyond=True))],
        loading=Loading(1, mixing="shares", epoch_length=6, collate="detection"),
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    factors = [1 / 3, 1 / 2, 2 / 3, 5 / 6, 1, 1]
    assert before - weight[0].item() == pytest.approx(0.04 * sum(factors), rel=1e-4)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.02


@pytest.mark.parametrize(
    ("variant", "stage", "message"),
    [
        ({"stream": "appearance"}, "J1", "stream=appearance has nothing to train in stage J1, write stage=A"),
        ({"stream": "motion"}, "A", "write stage=M1 or stage=M2"),
        ({"static_objects": False}, "A", "no place for the heads of stage A"),
        ({"freeze": ["motion"]}, "J2", "static branch needs the appearance body as it is"),
        ({}, "J3", "unknown stage of motion_maskrcnn"),
    ],
)
def test_stages_that_a_variant_does_not_have(variant, stage, message):
    with pytest.raises(InputError, match=re.escape(message)):
        tiny(**variant).configure_stage(stage)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"stream": "both"}, "motion_maskrcnn stream"),
        ({"coco_classes": "all"}, "motion_maskrcnn coco_classes"),
        ({"freeze": ["box"]}, "part of motion_maskrcnn to freeze"),
        ({"score_threshold": 2}, "score_threshold is 2"),
        ({"merge_init": "motion"}, "only merge=concat_conv can start as a copy"),
        ({"low_magnitude_threshold": -1}, "low_magnitude_threshold is -1"),
        ({"flow_range": "none"}, "motion_maskrcnn flow_range"),
        ({"alpha_high": 0.1}, "tracker: alpha_high is 0.1"),
        ({"stream": "motion", "static_weights": "x.ckpt"}, "static_weights need stream=joint"),
        ({"convention": "caffe"}, "motion_maskrcnn convention"),
        ({"warmup": -1}, "warmup is -1, at least 0 iterations"),
    ],
)
def test_mistakes_are_one_line(variant, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        tiny(**variant)
    assert "\n" not in str(error.value)


def test_what_each_stream_sees():
    frame, field = torch.randint(0, 255, (3, *SIZE), dtype=torch.uint8), torch.randn(2, *SIZE)
    for convention in ("torchvision", "detectron"):
        model = tiny(convention=convention)
        seen, code = normalise(frame, convention), model.encode(field)
        assert torch.equal(model.picture(frame, field), torch.cat([seen, code]))
        assert torch.equal(model.picture(frame, field, "motion"), code)
        assert torch.equal(model.picture(frame, field, "appearance"), seen)
    assert torch.equal(tiny(stream="appearance").picture(frame, None), normalise(frame, "torchvision"))
    model = tiny(stream="motion", quantise_8bit=False, channel_order="paper", low_magnitude_threshold=1.0)
    assert torch.equal(model.picture(frame, field), model.encode(field))
    assert (model.encode.quantise_8bit, model.encode.channel_order) == (False, "paper")


@pytest.mark.parametrize("stage", list(STREAMS))
def test_every_stage_learns_from_batches_of_detectors(stage):
    for stream in {STREAMS[stage], "joint"}:
        model = tiny(stream=stream)
        model.configure_stage(stage)
        model.train()
        loss = model.training_step(batch(), 0)
        loss.backward()
        assert torch.isfinite(loss)
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


def test_a_clip_of_several_frames_is_as_many_pictures_as_it_has_flow():
    model = tiny()
    model.configure_stage("J1")
    assert len(model._pictures(batch(2, beyond=True))[0]) == 2
    assert len(model._pictures(batch(3, beyond=False))[0]) == 2
    model.configure_stage("A")
    pictures, targets = model._pictures(batch(3, beyond=False))
    assert (len(pictures), len(targets)) == (3, 3)


def test_frames_without_labels_teach_nothing():
    model = tiny(stream="motion")
    model.configure_stage("M1")
    unknown = batch()
    unknown["targets"] = [detection_targets(torch.full((1, *SIZE), 255, dtype=torch.uint8))]
    loss = model.training_step(unknown, 0)
    loss.backward()
    assert loss == 0
    assert all(not p.grad.any() for p in model.parameters() if p.requires_grad)


def test_classes_are_told_apart_where_the_variant_says_so(monkeypatch):
    classes = torch.zeros(256, dtype=torch.int64)
    classes[1], classes[2] = 3, 80
    seen = []
    for variant in ("objectness", "class_specific"):
        for stream in ("appearance", "joint"):
            model = tiny(stream=stream, coco_classes=variant)
            model.configure_stage("A")
            monkeypatch.setattr(
                model.network, "losses", lambda _, targets: seen.append(targets) or {"loss": torch.zeros(())}
            )
            model.training_step(batch(classes=classes), 0)
    assert [targets[0]["labels"].tolist() for targets in seen] == [[1, 1], [1, 1], [3, 80], [3, 80]]
    model = tiny(coco_classes="class_specific")
    assert model.network.roi_heads.box_predictor.cls_score.out_features == 2
    assert model.network.static.roi_heads.box_predictor.cls_score.out_features == 81


def heads(model):
    return {key: value.clone() for key, value in model.network.roi_heads.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("stage", "loaded", "resumed", "copied"),
    [
        ("J1", False, None, True),
        ("J1", True, None, True),  # after M2, whose heads are of motion alone
        ("J2", False, None, True),  # trained on DAVIS only
        ("J2", True, None, False),  # after J1
        ("J1", True, "last.ckpt", False),
        ("M1", True, None, False),
    ],
)
def test_joint_heads_start_from_those_of_the_appearance_model(stage, loaded, resumed, copied):
    model = tiny()
    model.configure_stage(stage)
    if loaded:
        model.load_state_dict(model.state_dict())
    model._trainer = type("Trainer", (), {"ckpt_path": resumed})()
    before = heads(model)
    model.setup("fit")
    assert same(heads(model), model.network.static.roi_heads.state_dict()) == copied
    assert same(heads(model), before) != copied


def save(model, path):
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_joint_stages_start_from_the_detectors_of_the_streams(tmp_path):
    appearance, motion = tiny(1, stream="appearance"), tiny(2, stream="motion")
    files = {
        "appearance_weights": str(save(appearance, tmp_path / "a.ckpt")),
        "motion_weights": str(save(motion, tmp_path / "m.ckpt")),
    }
    for static in (True, False):
        joint = tiny(3, static_objects=static, **files)
        joint.configure_stage("J1")
        backbone = joint.network.backbone
        assert same(appearance.network.backbone.state_dict(), backbone.appearance.state_dict())
        assert same(motion.network.backbone.state_dict(), backbone.motion.state_dict())
        branch = joint.network.static if static else joint.network
        assert same(appearance.network.roi_heads.state_dict(), branch.roi_heads.state_dict())
    concatenated = tiny(3, merge="concat", static_objects=False, **files)
    concatenated.configure_stage("J2")
    body = concatenated.network.backbone.appearance
    assert same(appearance.network.backbone.state_dict(), body.state_dict())


def test_a_checkpoint_becomes_a_method_again(tmp_path):
    model = tiny(1, freeze=["appearance"], output="union", static_objects=True)
    path = save(model, tmp_path / "joint.ckpt")
    loaded, provenance = load_method("motion_maskrcnn", checkpoint=path)
    assert isinstance(loaded, Method)
    assert same(model.state_dict(), loaded.state_dict())
    assert provenance["variant"]["freeze"] == ["appearance"]
    assert not any(key.endswith("_weights") for key in provenance["variant"])
    without, _ = load_method("motion_maskrcnn", checkpoint=path, settings={"static_objects": False})
    assert without.network.static is None
    assert same(without.state_dict(), model.state_dict())
    packed = export(path, {}, tmp_path)
    again, _ = load_method("motion_maskrcnn", checkpoint=packed)
    assert same(model.state_dict(), again.state_dict())


def test_the_static_branch_can_come_from_another_file_of_the_same_body(tmp_path):
    """As with the released files: a joint one without static branch, and the appearance model."""
    appearance, joint = tiny(1, stream="appearance"), tiny(2, static_objects=False)
    joint.network.backbone.appearance.load_state_dict(appearance.network.backbone.state_dict())
    settings = {"static_objects": True, "static_weights": str(save(appearance, tmp_path / "a.ckpt"))}
    path = save(joint, tmp_path / "joint.ckpt")
    loaded, _ = load_method("motion_maskrcnn", checkpoint=path, settings=settings)
    assert same(appearance.network.roi_heads.state_dict(), loaded.network.static.roi_heads.state_dict())
    assert same(joint.network.roi_heads.state_dict(), loaded.network.roi_heads.state_dict())
    assert len(loaded.segment(video(2)).stack()) == 2
    save(tiny(3, static_objects=False), path)
    other, _ = load_method("motion_maskrcnn", checkpoint=path, settings=settings)
    with pytest.raises(InputError, match="static_weights are of another appearance body"):
        other.segment(video(2))


def test_detections_of_a_video():
    model = tiny()
    frames = list(model.detect(video(), static=True))
    assert len(frames) == 3
    for frame in frames[:-1]:
        for found in frame:
            count = len(found)
            assert (found.boxes.shape, found.masks.shape) == ((count, 4), (count, *SIZE))
            assert (found.masks.dtype, found.scores.dtype) == (bool, np.float32)
            assert (np.diff(found.scores) <= 0).all()
    assert len(frames[0].moving)
    assert all(frame.static is None for frame in model.detect(video()))


def test_in_the_last_frame_nothing_moves_but_things_may_stand():
    model = tiny()
    *_, last = model.detect(video(2), static=True)
    assert len(last.moving) == 0
    assert last.moving.masks.shape == (0, *SIZE)
    # by the frame alone, as the appearance model has it
    alone = tiny(1, stream="appearance")
    network = model.network
    alone.network.backbone.load_state_dict(network.backbone.appearance.state_dict())
    alone.network.rpn.load_state_dict(network.static.rpn.state_dict())
    alone.network.roi_heads.load_state_dict(network.static.roi_heads.state_dict())
    *_, expected = alone.detect(video(2, flow=False))
    assert len(expected.moving)
    np.testing.assert_array_equal(last.static.scores, expected.moving.scores)
    np.testing.assert_array_equal(last.static.masks, expected.moving.masks)
    *_, unasked = model.detect(video(2))
    assert unasked.static is None


def test_flow_is_needed_where_motion_is_seen():
    for stream in ("joint", "motion"):
        with pytest.raises(InputError, match=f"video clip: motion_maskrcnn with stream={stream} needs"):
            tiny(stream=stream).segment(video(flow=False))
    assert tiny(stream="appearance").segment(video(flow=False)).stack().shape == (3, *SIZE)


def square(left, top=10, side=12):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def told(*items):
    if not items:
        return Detections.none(*SIZE)
    masks = np.stack([square(left) for left, _ in items])
    scores = np.array([score for _, score in items], np.float32)
    return Detections(np.zeros((len(items), 4), np.float32), scores, masks)


def telling(monkeypatch, frames, **variant):
    """A model that detects what it is told."""
    model = tiny(**variant)
    asked = []

    def detected(index, least_score, static):
        asked.append((index, least_score, static))
        moving, standing = frames[index]
        return FrameDetections(told(*moving), told(*standing) if static else None)

    monkeypatch.setattr(model, "_detected", lambda _, *arguments: detected(*arguments))
    return model, asked


def test_the_union_is_of_scores_above_the_threshold(monkeypatch):
    frames = [([(2, 0.9), (20, 0.7), (40, 0.71)], [(10, 0.99)]), ([], [])]
    model, asked = telling(monkeypatch, frames, output="union")
    first, second = model.segment(video(2)).stack()
    np.testing.assert_array_equal(first, (square(2) | square(40)).astype(np.uint8))
    assert not second.any()
    assert asked == [(0, 0.7, False), (1, 0.7, False)]


FRAMES = [
    ([], [(2, 0.8), (40, 0.99)]),  # it stands still at first, beside something that always does
    ([(3, 0.95)], [(3, 0.99), (40, 0.99)]),
    ([(4, 0.75)], [(4, 0.99), (40, 0.99)]),
    ([], [(5, 0.8), (40, 0.99)]),  # it stops; the last frame has no flow
]


@pytest.mark.parametrize(
    ("variant", "seen"),
    [
        ({}, [2, 3, 4, 5]),
        ({"bidirectional": False}, [None, 3, 4, 5]),
        ({"static_objects": False}, [None, 3, 4, None]),
    ],
)
def test_static_detections_continue_tracks_and_start_none(monkeypatch, variant, seen):
    model, asked = telling(monkeypatch, FRAMES, **variant)
    maps = model.segment(video(4)).stack()
    for ids, left in zip(maps, seen, strict=True):
        expected = np.zeros(SIZE, bool) if left is None else square(left)
        np.testing.assert_array_equal(ids, expected.astype(np.uint8))
    assert {least for _, least, _ in asked} == {0.7}


def test_a_forward_tracker_yields_frames_as_they_come(monkeypatch):
    model, asked = telling(monkeypatch, FRAMES, bidirectional=False)
    taken = list(islice(iter(model.segment(video(4))), 2))
    assert len(taken) == 2
    assert len(asked) == 2


def test_maps_to_inspect_are_the_best_scores(monkeypatch):
    model, _ = telling(monkeypatch, FRAMES)
    shown = {}
    model.inspection = Inspection(
        ("moving", "static"), (0,), lambda *values: shown.update({values[:2]: values[2]})
    )
    model.segment(video(4)).stack()
    assert set(shown) == {(index, name) for index in range(4) for name in ("moving", "static")}
    np.testing.assert_array_equal(shown[1, "moving"], np.where(square(3), np.float32(0.95), 0))
    assert set(shown[0, "static"].ravel()) == {0, np.float32(0.8), np.float32(0.99)}


def test_validation_is_the_overlap_of_all_that_is_found_and_labelled(monkeypatch):
    model = tiny(stream="motion")
    model.configure_stage("M1")
    truth = video().annotations[0] > 0
    seen = truth.copy()
    seen[:, 45:] = False  # one of the two objects
    mask = torch.from_numpy(seen)[None, None].float()
    monkeypatch.setattr(model.network, "forward", lambda *_: [{"masks": mask, "scores": torch.ones(1)}])
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    model.validation_step(batch(), 0)
    assert model.clip_similarity.compute().item() == pytest.approx(400 / 500)
