"""DeepLab v1 and v2 as extractors of appearance: counts, grids, and what is computed."""

import pytest
import torch
import torchvision
from torch.nn import functional as F

from tests.rounding import assert_rounded
from vosbench.models.layers.deeplab import DeepLabV2, LargeFOV, grid

SMALL = (1, 1, 2, 1)


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def on_meta(kind, *arguments, **settings):
    with torch.device("meta"):
        return kind(*arguments, **settings)


def large_fov(feature="fc6", width=4):
    torch.manual_seed(0)
    return LargeFOV(feature, width).eval()


def deeplab(**settings):
    torch.manual_seed(0)
    return DeepLabV2(width=8, blocks=SMALL, **settings).eval()


def test_parameters_of_large_fov():
    network = on_meta(LargeFOV)
    assert count(network.features) == 14_714_688
    assert count(network.fc6) == 4_719_616
    assert count(network.features, network.fc6) == 19_434_304
    assert count(network.fc7) == 1_049_600
    assert count(network.fc8) == 21_525


def test_parameters_of_deeplab_v2():
    network = on_meta(DeepLabV2)
    assert count(network.body) == 42_500_160
    assert count(network.branches) == 37_750_784
    assert count(network.prediction) == 10_773


def test_the_published_channels():
    assert on_meta(DeepLabV2).channels == 512
    assert [on_meta(LargeFOV, name).channels for name in ("fc6", "fc7", "conv5")] == [1024, 1024, 512]


def test_convolutions_of_vgg16_have_their_names_in_torchvision():
    with torch.device("meta"):
        theirs = torchvision.models.vgg16().features.state_dict()
    ours = on_meta(LargeFOV).features.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }


NETWORKS = {
    "v1 fc6": lambda: LargeFOV("fc6", 2),
    "v1 fc7": lambda: LargeFOV("fc7", 2),
    "v1 conv5": lambda: LargeFOV("conv5", 2),
    "v2": lambda: DeepLabV2(8, SMALL),
    "v2 caffe": lambda: DeepLabV2(8, SMALL, "caffe"),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 854), (60, 107)),
        ((97, 131), (12, 16)),
        ((100, 108), (12, 14)),
        ((8, 9), (1, 1)),
        ((3, 1), (1, 1)),
    ],
)
def test_maps_have_an_eighth_of_the_size_rounded(name, size, expected):
    network = on_meta(NETWORKS[name])
    x = torch.zeros(2, 3, *size, device="meta")
    assert grid(*size) == expected
    assert network(x).shape == (2, network.channels, *expected)
    assert network.scores(x).shape == (2, 21, *expected)


def by_the_table(network, x):
    """DeepLab-LargeFOV layer by layer, as its table reads: conv5, fc6, fc7, fc8."""
    weights = iter([layer for layer in network.features if isinstance(layer, torch.nn.Conv2d)])

    def convolutions(x, number, dilation=1):
        for _ in range(number):
            layer = next(weights)
            x = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=dilation, dilation=dilation))
        return x

    x = F.max_pool2d(convolutions(x, 2), 3, 2, 1)
    x = F.max_pool2d(convolutions(x, 2), 3, 2, 1)
    x = F.max_pool2d(convolutions(x, 3), 3, 2, 1)
    x = F.max_pool2d(convolutions(x, 3), 3, 1, 1)
    conv5 = convolutions(x, 3, dilation=2)
    x = F.avg_pool2d(F.max_pool2d(conv5, 3, 1, 1), 3, 1, 1)
    fc6 = F.relu(F.conv2d(x, network.fc6.weight, network.fc6.bias, padding=12, dilation=12))
    fc7 = F.relu(F.conv2d(fc6, network.fc7.weight, network.fc7.bias))
    return conv5, fc6, fc7, F.conv2d(fc7, network.fc8.weight, network.fc8.bias)


def test_large_fov_by_its_table():
    network = large_fov()
    x = 50 * torch.randn(1, 3, 64, 72)
    *features, scores = by_the_table(network, x)
    assert all((found > 0).any() for found in features)
    for name, expected in zip(("conv5", "fc6", "fc7"), features, strict=True):
        network.feature = name
        assert torch.equal(network(x), expected)
    assert torch.equal(network.scores(x), scores)


@pytest.mark.parametrize(
    ("feature", "idle"), [("conv5", ("fc6", "fc7", "fc8")), ("fc6", ("fc7", "fc8")), ("fc7", ("fc8",))]
)
def test_layers_behind_the_feature_do_not_run(feature, idle):
    network = large_fov(feature)
    for name in idle:
        getattr(network, name).register_forward_pre_hook(lambda *_: pytest.fail("runs"))
    network(torch.zeros(1, 3, 32, 32))


def test_the_state_does_not_depend_on_the_feature():
    names = [list(on_meta(LargeFOV, name).state_dict()) for name in ("fc6", "fc7", "conv5")]
    assert names[0] == names[1] == names[2]


def test_an_unknown_feature_is_a_mistake():
    with pytest.raises(ValueError, match="feature must be 'fc6', 'fc7' or 'conv5', got 'fc8'"):
        LargeFOV("fc8")


def test_an_unknown_layout_is_a_mistake():
    with pytest.raises(ValueError, match="layout must be 'caffe' or 'torchvision', got 'torch'"):
        DeepLabV2(layout="torch")


def test_deeplab_v2_takes_the_maximum_of_four_parallel_convolutions():
    network = deeplab()
    x = torch.randn(2, 3, 64, 72)
    deepest = network.body(x)[-1]
    parallel = [
        F.conv2d(deepest, branch.weight, branch.bias, padding=rate, dilation=rate)
        for branch, rate in zip(network.branches, (6, 12, 18, 24), strict=True)
    ]
    expected = torch.stack(parallel).amax(0)
    assert torch.equal(network(x), expected)
    assert (expected < 0).any(), "there is no ReLU after the maximum"
    assert torch.equal(network.scores(x), network.prediction(expected))


def test_the_prediction_is_idle_unless_asked_for():
    network = deeplab()
    network.prediction.register_forward_pre_hook(lambda *_: pytest.fail("runs"))
    network(torch.zeros(1, 3, 32, 32))


def test_a_map_of_another_size_is_resized_corner_to_corner():
    network = deeplab()
    own = []
    network.branches[0].register_forward_hook(lambda *call: own.append(call[-1]))
    x = torch.randn(1, 3, 97, 131)
    found = network(x)
    assert own[0].shape[-2:] == (13, 17)
    deepest = network.body(x)[-1]
    largest = torch.stack([branch(deepest) for branch in network.branches]).amax(0)
    for rows, other in ((0, 0), (-1, -1)):
        for columns in (0, -1):
            assert_rounded(found[..., rows, columns], largest[..., other, columns])


@pytest.mark.parametrize(
    ("layout", "strides", "third", "fourth"),
    [
        ("caffe", ((2, 2), (1, 1)), [2] * 23, [4, 4, 4]),
        ("torchvision", ((1, 1), (2, 2)), [1] + [2] * 22, [2, 4, 4]),
    ],
)
def test_the_layout_is_that_of_the_weights(layout, strides, third, fourth):
    body = on_meta(DeepLabV2, layout=layout).body
    first = body.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == strides
    assert [block.conv2.dilation[0] for block in body.layer3] == third
    assert [block.conv2.dilation[0] for block in body.layer4] == fourth


def test_the_layout_of_torchvision_is_its_deeplab():
    torch.manual_seed(0)
    network = DeepLabV2().body.eval()
    theirs = torchvision.models.segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None)
    theirs = theirs.backbone.eval()
    network.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 33, 41)
    with torch.inference_mode():
        assert torch.equal(network(x)[-1], theirs(x)["out"])


@pytest.mark.parametrize("name", NETWORKS)
def test_mixed_precision_goes_through(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    with torch.autocast("cpu", torch.bfloat16):
        scores = network.scores(torch.randn(2, 3, 41, 50))
    assert scores.shape == (2, 21, 5, 6)
    scores.float().square().mean().backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


@pytest.mark.parametrize("build", [large_fov, deeplab])
def test_it_compiles_in_one_piece(build):
    network = build()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    x = torch.randn(1, 3, 41, 50)
    with torch.inference_mode():
        assert torch.equal(compiled(x), network(x))
