"""The ResNet that all methods share: counts, grids, torchvision's numbers, norms that stay as they are."""

import copy
import pickle

import pytest
import torch
import torchvision
from torchvision.models.resnet import Bottleneck
from torchvision.ops.misc import FrozenBatchNorm2d

from vosbench.models.layers.resnet import (
    RESNET50,
    RESNET101,
    FixedBatchNorm2d,
    ResNet,
    freeze_norms,
    group_norm,
    repeat_stem,
)

DEEPLAB = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4)}
STCNN = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 2), "multi_grid": (1, 2, 1), "ceil_mode": True}


def tiny(blocks=(1, 1, 2, 1), width=8, **settings):
    torch.manual_seed(0)
    return ResNet(blocks, width, **settings)


def on_meta(*arguments, **settings):
    with torch.device("meta"):
        return ResNet(*arguments, **settings)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def sizes(network, height, width):
    x = torch.zeros(1, 3, height, width, device="meta")
    return [tuple(found.shape[-2:]) for found in network.eval()(x)]


@pytest.mark.parametrize(
    ("blocks", "settings", "expected"),
    [
        (RESNET101, {}, 42_500_160),
        (RESNET101, {"norm": group_norm}, 42_500_160),
        (RESNET101, {"norm": FixedBatchNorm2d}, 42_500_160),
        (RESNET101, DEEPLAB, 42_500_160),
        (RESNET101, STCNN, 42_500_160),
        (RESNET101, {"in_channels": 9}, 42_518_976),
        (RESNET101, {"in_channels": 12}, 42_528_384),
        (RESNET101, {"in_channels": 15}, 42_537_792),
        (RESNET101, {"in_channels": 18}, 42_547_200),
        (RESNET50, {"stride_in": "1x1"}, 23_508_032),
        (RESNET50, {"norm": FrozenBatchNorm2d}, 23_508_032 - 53_120),
    ],
)
def test_parameters(blocks, settings, expected):
    assert count(on_meta(blocks, **settings)) == expected


@pytest.mark.parametrize(("blocks", "theirs"), [(RESNET50, "resnet50"), (RESNET101, "resnet101")])
def test_tensors_are_named_as_in_torchvision(blocks, theirs):
    with torch.device("meta"):
        expected = getattr(torchvision.models, theirs)().state_dict()
    found = {key: value.shape for key, value in on_meta(blocks).state_dict().items()}
    assert found == {key: value.shape for key, value in expected.items() if not key.startswith("fc.")}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([False, False, False], {}),
        ([False, True, True], {**DEEPLAB, "dilate_first": False}),
        ([False, False, True], {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2), "dilate_first": False}),
    ],
)
def test_weights_of_torchvision_give_what_they_give_there(theirs, ours):
    torch.manual_seed(0)
    blocks = (1, 2, 2, 2)
    expected = torchvision.models.ResNet(Bottleneck, list(blocks), replace_stride_with_dilation=theirs).eval()
    found = ResNet(blocks, **ours).eval()
    left = found.load_state_dict(expected.state_dict(), strict=False)
    assert left.missing_keys == []
    assert left.unexpected_keys == ["fc.weight", "fc.bias"]
    x = torch.randn(1, 3, 65, 50)
    with torch.inference_mode():
        maps = found(x)
        x = expected.maxpool(expected.relu(expected.bn1(expected.conv1(x))))
        for name, here in zip(("layer1", "layer2", "layer3", "layer4"), maps, strict=True):
            x = getattr(expected, name)(x)
            assert torch.equal(here, x)


def test_convolutions_start_as_in_torchvision():
    torch.manual_seed(0)
    weight = ResNet((1, 1, 1, 1)).layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "size", "expected"),
    [
        ({}, (97, 131), [(25, 33), (13, 17), (7, 9), (4, 5)]),
        ({"stride_in": "1x1"}, (97, 131), [(25, 33), (13, 17), (7, 9), (4, 5)]),
        ({}, (480, 854), [(120, 214), (60, 107), (30, 54), (15, 27)]),
        (DEEPLAB, (480, 854), [(120, 214), (60, 107), (60, 107), (60, 107)]),
        (DEEPLAB, (289, 513), [(73, 129), (37, 65), (37, 65), (37, 65)]),
        (STCNN, (97, 131), [(25, 34), (13, 17), (13, 17), (13, 17)]),
        ({}, (1, 1), [(1, 1)] * 4),
    ],
)
def test_grids(settings, size, expected):
    assert sizes(on_meta(width=8, **settings), *size) == expected


def test_four_maps_of_their_channels():
    assert on_meta().channels == (256, 512, 1024, 2048)
    network = tiny().eval()
    assert tuple(found.shape[1] for found in network(torch.zeros(2, 3, 33, 40))) == network.channels


def rates(network, number):
    return [block.conv2.dilation[0] for block in getattr(network, f"layer{number}")]


def test_dilations_of_the_methods():
    deeplab = on_meta(**DEEPLAB)
    assert rates(deeplab, 3) == [2] * 23
    assert rates(deeplab, 4) == [4] * 3
    assert rates(on_meta(**STCNN), 3) == [2] * 23
    assert rates(on_meta(**STCNN), 4) == [2, 4, 2]
    torchvisions = on_meta(**DEEPLAB, dilate_first=False)
    assert rates(torchvisions, 3) == [1] + [2] * 22
    assert rates(torchvisions, 4) == [2, 4, 4]


def test_a_stride_in_the_1x1_looks_at_every_other_pixel_only():
    torch.manual_seed(0)
    x = torch.randn(1, 32, 12, 12)
    changed = x.clone()
    changed[..., 1::2, :] += 1
    for place, same in (("1x1", True), ("3x3", False)):
        block = tiny(stride_in=place).layer2[0].eval()
        assert torch.equal(block(x), block(changed)) is same


def test_a_wrong_place_of_the_stride_is_a_mistake():
    with pytest.raises(ValueError, match="stride_in must be '1x1' or '3x3'"):
        ResNet(stride_in="1")


def test_group_norm_has_32_groups_where_they_divide():
    assert [group_norm(channels).num_groups for channels in (64, 2048, 48, 8)] == [32, 32, 16, 8]


def test_a_stem_for_stacked_frames_repeats_the_kernel():
    state = tiny().state_dict()
    stacked = repeat_stem(state, 4)
    kernel = state["conv1.weight"]
    assert torch.equal(stacked["conv1.weight"], torch.cat([kernel, kernel, kernel, kernel], dim=1))
    tiny(in_channels=12).load_state_dict(stacked)


def buffers(network):
    return {key: value.clone() for key, value in network.named_buffers()}


def unchanged(network, before):
    return all(torch.equal(value, before[key]) for key, value in network.named_buffers())


@pytest.mark.parametrize("way", ["built", "changed"])
def test_fixed_norms_keep_their_statistics_in_training(way):
    network = tiny(norm=FixedBatchNorm2d) if way == "built" else freeze_norms(tiny())
    x = 5 + 3 * torch.randn(2, 3, 32, 32)
    expected = network.eval()(x)
    before = buffers(network)
    found = network.train()(x)
    assert network.training
    assert network.layer1.training
    assert unchanged(network, before)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_ordinary_norms_do_not():
    network = tiny()
    before = buffers(network)
    network.train()(5 + 3 * torch.randn(2, 3, 32, 32))
    assert not unchanged(network, before)


def test_freezing_keeps_names_tensors_and_results():
    network = tiny()
    with torch.no_grad():
        for value in network.buffers():
            value += torch.rand(value.shape).to(value.dtype)
    network.eval()
    x = torch.randn(1, 3, 32, 32)
    expected, names, parameters = network(x)[-1], list(network.state_dict()), list(network.parameters())
    assert freeze_norms(network) is network
    assert list(network.state_dict()) == names
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert torch.equal(network(x)[-1], expected)


@pytest.mark.parametrize("norm", [torch.nn.BatchNorm2d, FixedBatchNorm2d])
def test_scale_and_shift_do_not_learn(norm):
    network = freeze_norms(tiny(norm=norm)).train()
    network(torch.randn(1, 3, 32, 32))[-1].mean().backward()
    assert network.conv1.weight.grad is not None
    assert network.bn1.weight.grad is None
    assert network.layer4[0].downsample[1].bias.grad is None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_stay_frozen_and_are_their_own(copied):
    network = freeze_norms(tiny())
    other = copied(network).train()
    assert not other.bn1.training
    assert other.bn1.weight is not network.bn1.weight


@pytest.mark.parametrize("norm", [torch.nn.BatchNorm2d, FixedBatchNorm2d, group_norm])
def test_mixed_precision_goes_through(norm):
    network = tiny(norm=norm).train()
    with torch.autocast("cpu", torch.bfloat16):
        maps = network(torch.randn(2, 3, 33, 47))
    maps[-1].float().mean().backward()
    assert torch.isfinite(maps[-1]).all()
    assert torch.isfinite(network.conv1.weight.grad).all()


def test_fixed_norms_keep_the_type_under_mixed_precision():
    for norm, kept in ((FixedBatchNorm2d, torch.bfloat16), (FrozenBatchNorm2d, torch.float32)):
        with torch.autocast("cpu", torch.bfloat16):
            assert norm(4)(torch.zeros(1, 4, 2, 2, dtype=torch.bfloat16)).dtype == kept


def test_it_compiles_in_one_piece():
    network = freeze_norms(tiny(blocks=(1, 1, 1, 1))).eval()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = torch.randn(1, 3, 33, 47)
    with torch.inference_mode():
        for found, expected in zip(compiled(x), network(x), strict=True):
            assert torch.equal(found, expected)
