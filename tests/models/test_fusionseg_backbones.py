"""FusionSeg with EfficientNet-Lite0 for appearance and MP-Net for motion."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.rounding import assert_rounded
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.fusionseg import inputs
from vosbench.models.fusionseg.backbones import LiteStream, MpnetStream
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.lvo.streams import motion_code
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

STAGES = ("appearance", "motion", "joint")


def lite(**variant):
    torch.manual_seed(0)
    return build("fusionseg", "lite", **variant)


def video(frames=3, height=90, width=130, seed=0):
    random = np.random.default_rng(seed)
    images = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
    flow = [2 * random.normal(size=(2, height, width)).astype(np.float32) for _ in range(frames - 1)]
    return Video("v", images, tuple(f"{index:05d}" for index in range(frames)), flow=flow)


def clips(height=65, width=97):
    torch.manual_seed(1)
    return {
        "frames": torch.randint(0, 255, (2, 1, 3, height, width), dtype=torch.uint8),
        "flow": torch.randn(2, 1, 2, height, width),
        "masks": torch.randint(0, 2, (2, 1, height, width), dtype=torch.uint8),
    }


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


def same(first, second):
    return all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(
    "variant",
    [
        *({"stream": name} for name in STAGES),
        {"motion_network": "efficientnet_lite0"},
        {"stream": "motion", "motion_network": "efficientnet_lite0"},
        {"dice": 0},
        {"norm": "trained", "fusion": "released", "pad": True},
    ],
    ids=str,
)
def test_every_switch_trains_and_segments(variant):
    model = lite(**variant).train()
    model.training_step(clips(), 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    masks = model.segment(video()).stack()
    assert masks.shape == (3, 90, 130)
    assert set(np.unique(masks)) <= {0, 1}


def test_mpnet_says_in_two_logits_what_it_says_in_one():
    """The softmax of -z / 2 and z / 2 is the sigmoid of z."""
    stream, flow = MpnetStream("tiny").eval(), 3 * torch.randn(1, 2, 90, 130)
    with torch.no_grad():
        logits = stream.scores(flow)
        expected = stream.network(motion_code(flow, 144, "unsigned")).sigmoid()
    assert_rounded(logits.softmax(dim=1)[:, 1:], expected)


def test_the_motion_stream_judges_as_the_mpnet_of_the_package():
    source = video()
    model = lite(stream="motion", longest_side=None)
    model.configure_stage("motion")
    mpnet, _ = load_method("mpnet", "tiny")
    found, expected = model.eval().probability(source, 0), mpnet.probability(source, 0)
    assert expected.std() > 0.01
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).mean() < 0.005


def test_motion_weights_are_a_checkpoint_of_mpnet_those_of_the_package_or_of_fusionseg(tmp_path):
    torch.manual_seed(5)
    mpnet = build("mpnet", "tiny")
    given = lite(motion_weights=checkpoint(tmp_path / "mpnet.ckpt", mpnet), appearance_weights="random")
    given.configure_stage("joint")
    assert same(given.network.motion.network.state_dict(), mpnet.network.state_dict())
    again = lite(motion_weights=checkpoint(tmp_path / "joint.ckpt", given), appearance_weights="random")
    again.configure_stage("joint")
    assert same(again.network.motion.state_dict(), given.network.motion.state_dict())
    packaged = lite()
    packaged.configure_stage("joint")
    assert same(
        packaged.network.motion.network.state_dict(), load_method("mpnet", "tiny")[0].network.state_dict()
    )
    untouched = lite(motion_weights="random")
    before = {key: value.clone() for key, value in untouched.network.motion.state_dict().items()}
    untouched.configure_stage("joint")
    assert same(untouched.network.motion.state_dict(), before)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: build("mpnet", "tiny", decoder_units=1), "decoder_units=1, fusionseg needs decoder_units=4"),
        (lambda: build("mpnet", "tiny", angle="signed"), "angle=signed, fusionseg needs angle=unsigned"),
        (
            lambda: build("mpnet", "tiny", input="rgb_angle"),
            "input=rgb_angle, fusionseg needs input=angle_field",
        ),
        (lambda: build("mpnet", "full"), "size full, not tiny"),
        (
            lambda: lite(motion_network="efficientnet_lite0"),
            "not weights of such a motion stream.*another motion_network",
        ),
    ],
)
def test_motion_weights_of_something_else(tmp_path, other, message):
    model = lite(motion_weights=checkpoint(tmp_path / "other.ckpt", other()))
    with pytest.raises(InputError, match=rf"other\.ckpt.*{message}"):
        model.configure_stage("joint")


def test_zoo_is_the_fusionseg_of_the_package():
    model = lite(appearance_weights="zoo")
    model.configure_stage("joint")
    packaged, _ = load_method("fusionseg", "lite")
    assert same(model.network.appearance.state_dict(), packaged.network.appearance.state_dict())
    # the provenance of what is trained from it
    assert model.packaged_weights["appearance_weights"].name == "fusionseg-lite.safetensors"
    assert model.packaged_weights["motion_weights"].name == "mpnet-tiny.safetensors"
    with pytest.raises(InputError, match="no weights of size tiny come with the package"):
        build("fusionseg", "tiny", appearance_weights="zoo").configure_stage("joint")


def test_imagenet_weights_are_what_the_appearance_stream_is_trained_from(tmp_path, monkeypatch):
    torch.manual_seed(7)
    published = EfficientNetLite0()
    kept = {key: value for key, value in published.state_dict().items() if not key.startswith("blocks.15.")}
    torch.save(as_in_the_package(published), tmp_path / "lite0.pth")
    monkeypatch.setattr(inputs, "imagenet_weights", lambda: tmp_path / "lite0.pth")
    model = lite()
    model.configure_stage("appearance")
    assert same(kept, model.network.appearance.body.state_dict())
    assert len(kept) == len(model.network.appearance.body.state_dict())
    for other in (lite(appearance_weights="random"), lite()):
        before = {key: value.clone() for key, value in other.network.appearance.state_dict().items()}
        other.configure_stage("appearance" if other.hparams["appearance_weights"] else "joint")
        assert same(other.network.appearance.state_dict(), before)


def as_in_the_package(body):
    """The names of the file, of a body, and a classifier that nothing here has a place for."""
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    state = {"_conv_head.weight": torch.zeros(1), "_bn1.weight": torch.zeros(1), "_fc.bias": torch.zeros(1)}
    for key, value in body.state_dict().items():
        part, *rest = key.split(".")
        if part == "stem":
            name = {"0": "_conv_stem", "1": "_bn0"}[rest[0]]
            state[f"{name}.{rest[1]}"] = value
        else:
            number, layer, place, tensor = rest
            name = f"_{layer}_conv" if place == "0" else norms[layer]
            state[f"_blocks.{number}.{name}.{tensor}"] = value
    return state


def test_a_checkpoint_needs_no_extra_and_gives_each_stream(tmp_path, monkeypatch):
    def missing():
        raise InputError("not installed")

    monkeypatch.setattr(inputs, "imagenet_weights", missing)
    joint = lite(appearance_weights="random")
    path = tmp_path / "joint.ckpt"
    checkpoint(path, joint)
    for stream in ("appearance", "motion"):
        alone, described = load_method("fusionseg", None, path, {"stream": stream})
        assert set(alone.network.streams) == {stream}
        assert same(alone.network.state_dict(), joint.network.state_dict())
        assert described["size"] == "lite"
    with pytest.raises(InputError, match="not installed"):
        lite().configure_stage("appearance")


def test_logits_of_the_lite_stream_have_the_size_of_any_picture():
    stream = LiteStream().eval()
    with torch.no_grad():
        assert stream(torch.randn(1, 3, 70, 99)).shape == (1, 2, 70, 99)


def test_the_loss_of_a_lite_stream_is_cross_entropy_and_dice_of_all_pixels():
    model = lite().eval()
    model.configure_stage("appearance")
    batch = clips()
    batch["masks"][..., 64:] = 255
    with torch.no_grad():
        frames = normalise(batch["frames"][:, 0], "torchvision")
        logits = model.network.appearance(frames)
        loss = model.training_step(batch, 0)
    target = batch["masks"][:, 0].long()
    known, moving = target != 255, (target == 1).float()
    probability = logits.softmax(dim=1)[:, 1] * known
    shared = (probability * moving).sum(dim=(1, 2))
    dice = (2 * shared + 1) / (probability.sum(dim=(1, 2)) + moving.sum(dim=(1, 2)) + 1)
    expected = nn.functional.cross_entropy(logits, target, ignore_index=255) + (1 - dice).mean()
    assert_rounded(loss, expected)


def test_what_came_with_weights_keeps_its_statistics_and_what_did_not_learns_faster():
    model = lite()
    model.configure_stage("appearance", None)
    norms = [m for m in model.train().network.appearance.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    rate = model.stage.optimizer.lr
    groups = model.configure_optimizers()["optimizer"].param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    appearance = model.network.appearance
    assert {rates[id(p)] for p in appearance.head.parameters()} == {10 * rate}
    assert {rates[id(p)] for p in appearance.body.parameters() if p.requires_grad} == {rate}
    model.configure_stage("motion")
    assert {g["lr"] for g in model.configure_optimizers()["optimizer"].param_groups} == {
        model.stage.optimizer.lr
    }


def test_logits_of_mpnet_are_padded_not_its_flow():
    """Padded flow would stand still, and MP-Net would see that border."""
    source = video()
    plain, padded = (lite(stream="motion", pad=pad).eval().probability(source, 0) for pad in (False, True))
    assert np.array_equal(plain, padded)


@pytest.mark.parametrize(
    ("size", "variant", "message"),
    [
        ("lite", {"convention": "caffe"}, "size=lite has convention=torchvision"),
        ("lite", {"backbone": "resnet"}, "size=lite has no backbone=resnet"),
        ("lite", {"motion_network": "resnet"}, "size=lite has no motion_network=resnet"),
        ("tiny", {"backbone": "efficientnet_lite0"}, "size=tiny has no backbone=efficientnet_lite0"),
        ("full", {"motion_network": "efficientnet_lite0"}, "size=full has no motion_network=efficientnet"),
    ],
)
def test_networks_go_with_a_size(size, variant, message):
    with pytest.raises(InputError, match=message):
        build("fusionseg", size, **variant)


@pytest.mark.parametrize("key", ["backbone", "motion_network"])
def test_other_networks_are_named(key):
    with pytest.raises(InputError, match=f"fusionseg {key} 'vgg'"):
        lite(**{key: "vgg"})
