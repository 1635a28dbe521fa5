"""DeepLab as an extractor of appearance, at an eighth of the frame (Chen et al., 2015 and 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.preprocessing import CONVENTIONS, Convention
from vosbench.models.layers.resnet import RESNET101, Blocks, ResNet

STRIDE = 8
CLASSES = 21
"""Classes of PASCAL VOC, the background included."""
RATES = (6, 12, 18, 24)
"""Dilations of DeepLab-v2's parallel convolutions."""

Feature = Literal["fc6", "fc7", "conv5"]


def grid(height: int, width: int) -> tuple[int, int]:
    """Return the size of the maps for frames of (height, width): an eighth, rounded ([ours])."""
    return max(1, round(height / STRIDE)), max(1, round(width / STRIDE))


class LargeFOV(nn.Module):
    """DeepLab-LargeFOV on VGG16 (DeepLab v1).

    The convolutions of VGG16 have torchvision's names (``features.N``), so its weights fit. Of its classifier
    ``fc6`` and ``fc7`` are made by decimation (Chen et al., 2015, section 3.1): of the 7x7 kernel every third
    row and column, of 4096 channels every fourth. ``fc8`` starts as torch has it.

    Args:
        feature: what `forward` returns: ``"fc6"`` and ``"fc7"`` after ReLU, or ``"conv5"``, which is
            the last convolution of VGG16 after ReLU, before pooling ([ours], not stated).
        width: channels of the first convolution, 64 as published; all others are multiples of it.
    """

    spare: ClassVar[tuple[str, ...]] = ("classifier.",)
    fresh: ClassVar[tuple[str, ...]] = ("fc6.", "fc7.", "fc8.")
    classes: ClassVar[tuple[str, ...]] = ("fc8.",)

    def __init__(self, feature: Feature = "fc6", width: int = 64) -> None:
        super().__init__()
        if feature not in ("fc6", "fc7", "conv5"):
            raise ValueError(f"feature must be 'fc6', 'fc7' or 'conv5', got {feature!r}")
        self.feature = feature
        self.channels = (8 if feature == "conv5" else 16) * width
        self.features = nn.Sequential(*_vgg16(width))
        # the pooling after conv5, which VGG16 has among its features
        self._last = len(self.features) - 2
        self.fc6 = nn.Conv2d(8 * width, 16 * width, kernel_size=3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(16 * width, 16 * width, kernel_size=1)
        self.fc8 = nn.Conv2d(16 * width, CLASSES, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature, (N, `channels`, h, w) with (h, w) = `grid(H, W)`, of (N, 3, H, W) pixels."""
        return _on_grid(self._run(x, self.feature), x)

    def scores(self, x: Tensor) -> Tensor:
        """Return scores of VOC's classes, (N, 21, h, w), of pixels (N, 3, H, W)."""
        return _on_grid(self.fc8(self._run(x, "fc7")), x)

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights of VGG16, its first fully connected layers decimated to ``fc6`` and ``fc7``."""
        if "classifier.3.weight" not in state:
            return dict(state)
        first, second = state["classifier.0.weight"], state["classifier.3.weight"]
        return dict(state) | {
            "fc6.weight": first.reshape(len(first), -1, 7, 7)[::4, :, ::3, ::3],
            "fc6.bias": state["classifier.0.bias"][::4],
            "fc7.weight": second[::4, ::4, None, None],
            "fc7.bias": state["classifier.3.bias"][::4],
        }

    def _run(self, x: Tensor, until: str) -> Tensor:
        if until == "conv5":
            conv5: Tensor = self.features[: self._last](x)
            return conv5
        x = F.relu(self.fc6(self.features(x)))
        return x if until == "fc6" else F.relu(self.fc7(x))


class DeepLabV2(nn.Module):
    """ResNet-101 with dilated convolutions and four parallel ones, of which the maximum counts.

    As in LVO (section 3.1), the parallel convolutions give features, and one prediction layer, used for
    training on VOC only, comes after the maximum. There is no ReLU between them ([ours], not stated).

    Args:
        width: channels of the first convolution, 64 as published; all others are multiples of it.
        blocks: residual blocks of each stage.
        layout: of the residual blocks; must be that of the weights. ``"caffe"``, as published: the
            stride in the first 1x1, dilation in the first block of a stage too. ``"torchvision"``: the
            stride in the 3x3, the first block of a stage dilated as the stage before; the default, as
            the weights at hand are torchvision's.
    """

    adapt = staticmethod(ResNet.adapt_body)
    spare: ClassVar[tuple[str, ...]] = ResNet.spare
    fresh: ClassVar[tuple[str, ...]] = ("branches.", "prediction.")
    classes: ClassVar[tuple[str, ...]] = ("prediction.",)

    def __init__(
        self, width: int = 64, blocks: Blocks = RESNET101, layout: Convention = "torchvision"
    ) -> None:
        super().__init__()
        if layout not in CONVENTIONS:
            raise ValueError(f"layout must be 'caffe' or 'torchvision', got {layout!r}")
        caffe = layout == "caffe"
        self.body = ResNet(
            blocks,
            width,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            stride_in="1x1" if caffe else "3x3",
            dilate_first=caffe,
        )
        self.channels = 8 * width
        inputs = self.body.channels[-1]
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, self.channels, kernel_size=3, padding=rate, dilation=rate) for rate in RATES
        )
        self.prediction = nn.Conv2d(self.channels, CLASSES, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature, (N, `channels`, h, w) with (h, w) = `grid(H, W)`, of (N, 3, H, W) pixels."""
        deepest = self.body(x)[-1]
        feature: Tensor = self.branches[0](deepest)
        for branch in list(self.branches)[1:]:
            feature = torch.maximum(feature, branch(deepest))
        return _on_grid(feature, x)

    def scores(self, x: Tensor) -> Tensor:
        """Return scores of VOC's classes, (N, 21, h, w), of pixels (N, 3, H, W)."""
        result: Tensor = self.prediction(self(x))
        return result


def _vgg16(width: int) -> Iterator[nn.Module]:
    """Yield the layers of VGG16 with the poolings and dilations of LargeFOV, in torchvision's places."""
    inputs = 3
    for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
        outputs = width * min(2 ** (block - 1), 8)
        dilation = 2 if block == 5 else 1
        for _ in range(convolutions):
            yield nn.Conv2d(inputs, outputs, kernel_size=3, padding=dilation, dilation=dilation)
            yield nn.ReLU(inplace=True)
            inputs = outputs
        yield nn.MaxPool2d(kernel_size=3, stride=2 if block <= 3 else 1, padding=1)
    yield nn.AvgPool2d(kernel_size=3, stride=1, padding=1)


def _on_grid(x: Tensor, frames: Tensor) -> Tensor:
    size = grid(*frames.shape[-2:])
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
