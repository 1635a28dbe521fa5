"""Motion Mask R-CNN at size lite: the encoder of FusionSeg and MP-Net, never trained, under its own heads."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from tests.rounding import assert_rounded
from vosbench.data.loading.clips import ClipDataset, ClipSettings
from vosbench.data.loading.collate import detection_collate
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.motion_maskrcnn.lite import relative_flow
from vosbench.models.mpnet.module import MPNet
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.models.random_weights import RandomWeights
from vosbench.training import fit
from vosbench.video import Video

SIZE = (60, 80)
JOINT = {
    "merge": "concat_conv",
    "merge_init": "appearance",
    "mask_input": "merged",
    "freeze": ["appearance"],
    "appearance_weights": "random",
}


def lite(**variant):
    torch.manual_seed(0)
    return build("motion_maskrcnn", "lite", **JOINT | variant)


def single(stream):
    torch.manual_seed(0)
    return build("motion_maskrcnn", "lite", stream=stream, appearance_weights="random")


def video(frames=3):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (frames, *SIZE, 3), dtype=np.uint8)
    annotation = np.zeros(SIZE, np.uint8)
    annotation[10:40, 20:50] = 1
    fields = random.normal(size=(frames - 1, 2, *SIZE)).astype(np.float32)
    names = tuple(f"{t:05d}" for t in range(frames))
    return Video("clip", pictures, names, dict.fromkeys(range(frames), annotation), fields)


def batch():
    settings = ClipSettings(1, flow=(None,), flow_beyond=True)
    return detection_collate([ClipDataset([video()], settings)[0]])


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


def levels_of(model, height, width):
    with torch.no_grad():
        images, _ = model.network.prepare([torch.randn(3, height, width)])
        return images, model.network.backbone(images.tensors)


def test_frames_of_any_size_are_seen_at_one_and_their_levels_have_corners_on_corners():
    model = single("appearance").eval()
    for size in ((240, 427), (480, 854), (60, 107)):
        images, levels = levels_of(model, *size)
        assert images.image_sizes == [(257, 449)]
        shapes = {name: tuple(level.shape[1:]) for name, level in levels.items()}
        assert shapes == {
            "0": (64, 65, 113),
            "1": (64, 33, 57),
            "2": (64, 17, 29),
            "3": (64, 9, 15),
            "pool": (64, 5, 8),
        }


def test_anchors_stand_on_the_pixels_that_points_of_the_levels_see():
    model = single("appearance")
    levels = [torch.zeros(1, 64, 65, 113), torch.zeros(1, 64, 33, 57), torch.zeros(1, 64, 17, 29)]
    levels += [torch.zeros(1, 64, 9, 15), torch.zeros(1, 64, 5, 8)]
    images = ImageList(torch.zeros(1, 3, 257, 449), [(257, 449)])
    (anchors,) = model.network.rpn.anchor_generator(images, levels)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    counts = [3 * level.shape[-2] * level.shape[-1] for level in levels]
    for number, own in enumerate(centres.split(counts)):
        stride = 4 << number
        assert_rounded(own.unique(dim=0), _grid(levels[number].shape[-2:], stride))


def _grid(size, stride):
    rows, columns = (stride * torch.arange(side).float() for side in size)
    return torch.cartesian_prod(columns, rows)


def test_a_region_is_pooled_from_where_it_is():
    """A level that holds the column of each of its points in pixels says where the pooled centre is."""
    model = single("appearance")
    columns = (4 * torch.arange(113).float()).expand(1, 1, 65, 113)
    region = torch.tensor([[80.5, 40.5, 136.5, 96.5]])
    pooled = model.network.roi_heads.mask_roi_pool({"0": columns}, [region], [(257, 449)])
    assert pooled.shape == (1, 1, 28, 28)
    # pixel 80 begins at 80 and its centre, which a point of the level stands for, is at 80.5
    assert pooled.mean() == pytest.approx((80 + 136) / 2, abs=0.6)


def test_flow_of_any_resolution_is_seen_alike():
    model = single("motion").eval()
    torch.manual_seed(1)
    coarse = torch.randn(2, 6, 8)
    found = []
    for scale in (10, 20):
        field = torch.nn.functional.interpolate(coarse[None], scale_factor=scale, mode="nearest")[0] * scale
        images, _ = model.network.prepare([relative_flow(field)])
        with torch.no_grad():
            found.append(model.network.backbone(images.tensors)["2"])
    # edges of the blocks are resized in another way, so that few points differ
    assert (found[0] - found[1]).abs().median() < 0.02 * found[0].std()
    assert relative_flow(torch.full((2, 4, 4), float("nan"))).eq(0).all()


def test_the_merge_starts_as_a_copy_of_the_appearance_stream():
    model = lite().eval()
    with torch.no_grad():
        images, _ = model.network.prepare([model.picture(torch.rand(3, *SIZE) * 255, torch.randn(2, *SIZE))])
        merged, seen = model.network.backbone(images.tensors)
    assert images.tensors.shape[1] == 5
    assert all(torch.equal(merged[name], level) for name, level in seen.items())


@pytest.mark.parametrize("stream", ["joint", "appearance", "motion"])
def test_every_stream_trains_and_segments(stream):
    model = (lite() if stream == "joint" else single(stream)).train()
    model.configure_stage({"joint": "J1", "appearance": "A", "motion": "M2"}[stream])
    model.training_step(batch(), 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    masks = model.segment(video()).stack()
    assert masks.shape == (3, *SIZE)


@pytest.mark.parametrize("switched", [False, True])
def test_encoder_and_mpnet_stay_as_they_are_to_the_last_bit(switched):
    """Statistics, too, in the mode that the model is built in, as Lightning trains it, and after a switch."""
    # a merge that starts as a copy of appearance has no gradient for motion in the first step
    model = lite(freeze=[], static_objects=False, merge_init="random")
    if switched:
        model.eval().train()
    model.configure_stage("J1")
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    model.training_step(batch(), 0).backward()
    optimizer.step()
    changed = {
        key for key, value in model.network.state_dict().items() if not torch.equal(value, before[key])
    }
    kept = ("backbone.appearance.body.", "backbone.motion.network.")
    assert not [key for key in changed if key.startswith(kept)]
    for part in ("backbone.appearance.pyramid.", "backbone.motion.lateral.", "backbone.merge.", "roi_heads."):
        assert [key for key in changed if key.startswith(part)]


def test_the_appearance_stream_is_that_of_fusionseg(tmp_path):
    torch.manual_seed(3)
    fusionseg = build("fusionseg", "lite", stream="appearance").eval()
    model = lite(appearance_weights=checkpoint(tmp_path / "fusionseg.ckpt", fusionseg))
    model.configure_stage("A")
    picture = normalise(torch.randint(0, 255, (1, 3, 257, 289)), "torchvision")
    stream, own = fusionseg.network.appearance, model.eval().network.backbone.appearance
    with torch.no_grad():
        assert_rounded(own(picture)["0"], stream.head.pyramid(stream.body(picture)))
    for key, value in stream.body.state_dict().items():
        assert torch.equal(own.body.state_dict()[key], value)
    again = lite(appearance_weights=checkpoint(tmp_path / "own.ckpt", model))
    again.configure_stage("A")
    for part in ("backbone.appearance.", "static."):
        for key, value in model.network.state_dict().items():
            if key.startswith(part):
                assert torch.equal(again.network.state_dict()[key], value)


def test_the_motion_stream_is_the_packaged_mpnet_or_a_checkpoint(tmp_path):
    packaged, _ = load_method("mpnet", "tiny")
    assert isinstance(packaged, MPNet)
    model = lite()
    model.configure_stage("J1")
    assert _same(model.network.backbone.motion.network, packaged.network)
    torch.manual_seed(5)
    other = build("mpnet", "tiny")
    given = lite(motion_weights=checkpoint(tmp_path / "mpnet.ckpt", other))
    given.configure_stage("J1")
    assert _same(given.network.backbone.motion.network, other.network)
    again = lite(motion_weights=checkpoint(tmp_path / "joint.ckpt", given))
    again.configure_stage("J1")
    assert _same(again.network.backbone.motion, given.network.backbone.motion)


def _same(first, second):
    state = second.state_dict()
    return all(torch.equal(value, state[key]) for key, value in first.state_dict().items())


def test_stages_do_not_build_on_a_random_encoder_unless_asked_to():
    model = lite(appearance_weights=None)
    random = RandomWeights(model)
    model.configure_stage("A")
    with pytest.raises(InputError, match=r"appearance\.body.*write model\.appearance_weights=zoo"):
        random.refuse(model, model.kept, "A")
    model = lite()
    random = RandomWeights(model)
    model.configure_stage("A")
    random.refuse(model, model.kept, "A")


@pytest.mark.parametrize(
    ("key", "value"),
    [("convention", "detectron"), ("norm_eps", 0.0), ("body_weights", "ResNet50_Weights.IMAGENET1K_V1")],
)
def test_switches_of_a_resnet_are_refused(key, value):
    with pytest.raises(InputError, match=f"size=lite has no {key}={value}, leave {key} out"):
        lite(**{key: value})


@pytest.mark.slow
def test_the_recipe_goes_from_objects_of_pictures_to_what_moves(tmp_path):
    for name in ("duts", "davis16"):
        write_mini(name, tmp_path, scenes=2, size=(72, 128), **({} if name == "duts" else {"frames": 3}))
    short = [f"recipe.{stage}.{key}" for stage in ("A", "J1") for key in ("epochs=1", "epoch_length=8")]
    variant = [
        f"model.{key}={value if isinstance(value, str) else '[appearance]'}" for key, value in JOINT.items()
    ]
    run = fit(
        [
            *("model=motion_maskrcnn", "size=lite", "recipe=motion_maskrcnn_lite", f"data_root={tmp_path}"),
            *(f"runs={tmp_path / 'runs'}", "workers=0", "stage=all", "data.val_split=null", *variant, *short),
            *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
        ]
    )
    first, last = (read_state(run / f"{stage}/checkpoints/last.ckpt")[0] for stage in ("A", "J1"))
    for part, kept in {
        "backbone.appearance.": True,
        "static.": True,
        "backbone.motion.network.": True,
        "backbone.motion.lateral.": False,
        "backbone.merge.": False,
        "roi_heads.": False,
    }.items():
        keys = [key for key in last if key.startswith(f"network.{part}")]
        assert keys
        assert all(torch.equal(first[key], last[key]) for key in keys) is kept
    model, _ = load_method("motion_maskrcnn", checkpoint=run / "J1/checkpoints/last.ckpt")
    assert model.segment(video()).stack().shape == (3, *SIZE)
