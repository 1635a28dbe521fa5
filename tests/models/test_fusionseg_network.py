import json
import math
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet101

from tests.rounding import assert_rounded
from vosbench.errors import InputError
from vosbench.models.fusionseg.network import (
    TINY,
    FusionSegNet,
    FusionSegWidths,
    PaperFusion,
    ReleasedFusion,
    Stream,
)
from vosbench.models.layers.pretrained import load_pretrained
from vosbench.models.layers.resnet import FixedBatchNorm2d
from vosbench.models.pretrained.author_weights import import_state

GOLDEN = Path(__file__).parents[1] / "golden" / "fusionseg"
LAYOUTS = GOLDEN.parent / "checkpoints"


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def pixel(*values):
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]


def waves(count, phase):
    i = np.arange(count, dtype=np.float64)
    return np.sin(0.05 * i + phase) + 0.5 * np.cos(0.0031 * i * (1 + phase))


def picture(shape, phase):
    """The input of the goldens."""
    return torch.from_numpy(waves(math.prod(shape), phase).astype(np.float32)).reshape(shape)


def fill(name, shape):
    """The value of a Caffe blob in the goldens, by a formula in place of weights."""
    count = math.prod(shape)
    i = np.arange(count, dtype=np.int64)
    key = zlib.crc32(name.encode()) % 1000003
    v = np.sin(0.37 + 0.618034 * i + 0.001 * key + 1.7 * ((i * i) % 97) / 97)
    layer, index = name.split("/")
    if layer.startswith("bn"):
        v = 0.05 * v if index == "0" else 1 + 0.2 * np.abs(v)
    elif layer.startswith("scale") and index == "0":
        v = (1 + 0.1 * v) * (0.25 if layer.endswith("branch2c") else 1)
    elif index == "0":
        v = v * math.sqrt(2 / math.prod(shape[1:]))
    else:
        v = 0.05 * v
    return torch.from_numpy(v.astype(np.float32)).reshape(tuple(shape))


def fill_as_released(module, kind):
    """Import the weights of a released file whose tensors have the goldens' values."""
    shapes = json.loads((LAYOUTS / f"fusionseg_{kind}.json").read_text(encoding="utf-8"))
    state = import_state("fusionseg", {name: fill(name, shape) for name, shape in shapes.items()})
    module.load_state_dict({name.split(".", 2)[2]: value for name, value in state.items()})
    return module.eval()


@pytest.fixture(scope="module")
def filled():
    """Streams as released, filled once."""
    made = {}

    def stream(kind):
        if kind not in made:
            made[kind] = fill_as_released(Stream(layout="caffe"), kind)
        return made[kind]

    return stream


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("appearance", "65x97"),
        ("motion", "81x113"),
        ("appearance", "81x113"),
        ("motion", "65x97"),
    ],
)
def test_a_stream_computes_what_the_released_network_does(filled, kind, shape):
    golden = np.load(GOLDEN / f"fusionseg_{kind}_{shape}.npz")
    (wanted,) = (golden[key] for key in golden.files)
    height, width = map(int, shape.split("x"))
    with torch.inference_mode():
        found = filled(kind)(picture((1, 3, height, width), 0.1)).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_the_released_fusion_computes_what_the_released_network_does():
    golden = np.load(GOLDEN / "fusionseg_joint_released_33x41.npz")
    (wanted,) = (golden[key] for key in golden.files)
    fusion = fill_as_released(ReleasedFusion(), "joint_released")
    with torch.inference_mode():
        found = fusion(picture((1, 2, 33, 41), 0.1), picture((1, 2, 33, 41), 0.9)).numpy()
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_parameters_as_published():
    with torch.device("meta"):
        for layout in ("caffe", "torchvision"):
            assert size(Stream(layout=layout)) == 42_647_624
        net = FusionSegNet()
        assert size(net) == 2 * 42_647_624 + 24
        assert size(net.appearance.body) == 42_500_160
        assert [size(each) for each in net.motion.head] == [36_866] * 4
    assert size(PaperFusion()) == 24
    assert size(ReleasedFusion()) == 374


@pytest.mark.parametrize("layout", ["caffe", "torchvision"])
def test_logits_have_the_size_of_the_picture(layout):
    stream = Stream(TINY, layout).eval()
    with torch.inference_mode():
        assert stream(torch.zeros(2, 3, 97, 131)).shape == (2, 2, 97, 131)
        assert stream.scores(torch.zeros(1, 3, 289, 513)).shape == (1, 2, 37, 65)


@pytest.mark.parametrize("layout", ["caffe", "torchvision"])
def test_corners_of_the_grid_are_corners_of_the_picture(layout):
    """At 8 (h - 1) + 1 every eighth pixel is a cell of the grid: the published zoom by 8."""
    torch.manual_seed(0)
    stream = Stream(TINY, layout).eval()
    x = torch.randn(1, 3, 49, 65)
    with torch.inference_mode():
        assert_rounded(stream(x)[..., ::8, ::8], stream.scores(x))


def test_classifiers_are_summed():
    stream = Stream(TINY).eval()
    x = torch.randn(1, 3, 33, 33)
    for number, classifier in enumerate(stream.head):
        nn.init.zeros_(classifier.weight)
        nn.init.constant_(classifier.bias, 10.0**number)
    assert torch.all(stream(x) == 1111)


def test_groups_are_strided_and_dilated_as_published():
    with torch.device("meta"):
        body = Stream(layout="caffe").body
    first = [getattr(body, f"layer{number}")[0] for number in (1, 2, 3, 4)]
    assert [block.conv1.stride[0] for block in first] == [1, 2, 1, 1]
    assert [block.conv2.stride[0] for block in first] == [1, 1, 1, 1]
    for number, dilation in ((1, 1), (2, 1), (3, 2), (4, 4)):
        assert {block.conv2.dilation[0] for block in getattr(body, f"layer{number}")} == {dilation}
    assert [len(getattr(body, f"layer{number}")) for number in (1, 2, 3, 4)] == [3, 4, 23, 3]


def test_weights_of_torchvision_fit_all_but_the_head(tmp_path):
    torch.manual_seed(0)
    published = resnet101()
    torch.save(published.state_dict(), tmp_path / "resnet101.pth")
    stream = Stream()
    loaded = load_pretrained(stream, tmp_path / "resnet101.pth")
    assert set(loaded.unused) == {"fc.weight", "fc.bias"}
    assert all(name.startswith("head.") for name in loaded.fresh)
    assert torch.equal(stream.body.layer3[22].conv2.weight, published.layer3[22].conv2.weight)


def test_weights_of_another_width_are_refused(tmp_path):
    torch.save(Stream(TINY).state_dict(), tmp_path / "tiny.pth")
    with pytest.raises(InputError, match="weights of this network and width"):
        load_pretrained(Stream(FusionSegWidths(width=16, blocks=TINY.blocks)), tmp_path / "tiny.pth")


def identity_fusion():
    return PaperFusion().start_as_identity()


def test_fusion_by_hand():
    """relu(A) = (2, 0), relu(M) = (3, 1), their product (6, 0): the maximum is (6, 1)."""
    fused = identity_fusion()(pixel(2, -1), pixel(3, 1))
    assert fused.flatten().tolist() == [6, 1]
    parts = identity_fusion().parts(pixel(2, -1), pixel(3, 1))
    assert [part.flatten().tolist() for part in parts] == [[2, 0], [3, 1], [6, 0]]


def test_every_branch_of_the_fusion_has_its_own_convolution():
    fusion = identity_fusion()
    fusion.product_appearance.weight.data *= 5
    assert fusion(pixel(2, -1), pixel(3, 1)).flatten().tolist() == [30, 1]
    fusion.motion.bias.data += 7
    assert fusion(pixel(2, -1), pixel(3, 1)).flatten().tolist() == [30, 8]
    fusion.appearance.bias.data += 40
    assert fusion(pixel(2, -1), pixel(3, 1)).flatten().tolist() == [42, 39]


def test_fusion_of_the_paper_is_never_negative_and_ties_are_background():
    torch.manual_seed(0)
    fused = PaperFusion()(50 * torch.randn(2, 2, 20, 20), 50 * torch.randn(2, 2, 20, 20))
    assert fused.min() >= 0
    tie = identity_fusion()(pixel(-3, -1), pixel(-2, -5))
    assert tie.flatten().tolist() == [0, 0]
    assert tie.argmax(dim=1).item() == 0


def test_streams_do_not_share_weights():
    net = FusionSegNet(widths=TINY)
    assert not {id(p) for p in net.appearance.parameters()} & {id(p) for p in net.motion.parameters()}


@pytest.mark.parametrize("stream", ["appearance", "motion"])
def test_one_stream_alone_has_no_other_and_no_fusion(stream):
    net = FusionSegNet(stream, widths=TINY)
    assert {name.split(".")[0] for name in net.state_dict()} == {stream}
    inputs = {"appearance": None, "motion": None, stream: torch.randn(1, 3, 33, 41)}
    assert torch.equal(
        net.eval()(inputs["appearance"], inputs["motion"]), net.streams[stream](inputs[stream])
    )


@pytest.mark.parametrize("fusion", ["paper", "released"])
def test_joint_fuses_logits_at_full_size(fusion):
    net = FusionSegNet(fusion=fusion, widths=TINY).eval()
    frames, pictures = torch.randn(2, 3, 33, 41), torch.randn(2, 3, 33, 41)
    fused = net(frames, pictures)
    assert fused.shape == (2, 2, 33, 41)
    assert_rounded(fused, net.fusion(net.appearance(frames), net.motion(pictures)))


@pytest.mark.parametrize("stage", ["appearance", "motion", "joint"])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_stage_trains_its_part_only(stage, frozen):
    net = FusionSegNet(widths=TINY, frozen_norm=frozen)
    net.train_stage(stage)
    net.train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    frames, pictures = torch.randn(2, 3, 33, 41), torch.randn(2, 3, 33, 41)
    if stage == "joint":
        net(frames, pictures).sum().backward()
    else:
        net.logits(stage, frames).sum().backward()
    part = "fusion" if stage == "joint" else stage
    with_gradient = {name for name, p in net.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in with_gradient} == {part}
    norms = {name for name in with_gradient if "bn" in name or "downsample.1" in name}
    assert bool(norms) == (not frozen and stage != "joint")
    moved = {name for name, buffer in net.named_buffers() if not torch.equal(buffer, before[name])}
    assert {name.split(".")[0] for name in moved} == (set() if frozen or stage == "joint" else {stage})


def test_frozen_normalisation_keeps_names_and_counts():
    frozen, trained = FusionSegNet(widths=TINY), FusionSegNet(widths=TINY, frozen_norm=False)
    assert list(frozen.state_dict()) == list(trained.state_dict())
    assert size(frozen) == size(trained)
    kinds = {type(each) for each in frozen.modules() if isinstance(each, nn.BatchNorm2d)}
    assert kinds == {FixedBatchNorm2d}


@pytest.mark.real_data
@pytest.mark.parametrize("part", ["train", "val"])
def test_the_fusion_weights_that_the_authors_trained(part):
    """Where both streams say the same, the fusion says it, too."""
    path = released_fusion(part)
    blobs = {
        name: torch.tensor(blob["values"]).reshape(blob["shape"])
        for name, blob in json.loads(path.read_text(encoding="utf-8")).items()
    }
    state = import_state("fusionseg", blobs)
    fusion = ReleasedFusion()
    fusion.load_state_dict({name.split(".", 2)[2]: value for name, value in state.items()})
    agreed = torch.zeros(2, 2, 9, 9)
    agreed[0, 0], agreed[0, 1] = 2, -2
    agreed[1, 0], agreed[1, 1] = -2, 2
    with torch.inference_mode():
        assert fusion(agreed, agreed)[:, :, 4, 4].argmax(dim=1).tolist() == [0, 1]


def released_fusion(part):
    root = os.environ.get("VOSBENCH_DATA")
    if root is None:
        pytest.skip("VOSBENCH_DATA is not set: no real data")
    path = Path(root).parent / "spec" / "checkpoints" / f"fusionseg_joint_released_davis_{part}.json"
    if not path.is_file():
        pytest.skip(f"no {path.name} in spec/checkpoints beside the data root {root}")
    return path
