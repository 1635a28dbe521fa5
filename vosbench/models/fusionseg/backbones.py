"""Other networks in the place of FusionSeg's streams: EfficientNet-Lite0 for appearance, MP-Net for motion.

Not in the paper ([ours]); both fit a CPU, and both bring weights: ImageNet's, and those of a motion network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.method import Size
from vosbench.models.layers.deeplab import RATES
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0
from vosbench.models.layers.precision import at_least_float32
from vosbench.models.lvo.streams import motion_code
from vosbench.models.mpnet.module import CHANNELS, TEST_SHORT_SIDE, WIDTH
from vosbench.models.mpnet.network import MotionPatternNet
from vosbench.models.pixelwise import enlarge

Backbone = Literal["resnet", "efficientnet_lite0"]
BACKBONES: tuple[Backbone, ...] = ("resnet", "efficientnet_lite0")
MotionNetwork = Literal["resnet", "mpnet"]
MOTION_NETWORKS: tuple[MotionNetwork, ...] = ("resnet", "mpnet")

CLASSES = 2
"""Background and object."""

_SHARP, _DEEP = 2, 6
"""Maps of an `EfficientNetLite0` that the head sees: at an eighth, and the deepest."""


def dilated_classifiers(inputs: int) -> nn.ModuleList:
    """Return the four parallel 3x3 classifiers of a stream, whose scores are summed."""
    layers = nn.ModuleList(
        nn.Conv2d(inputs, CLASSES, kernel_size=3, padding=rate, dilation=rate) for rate in RATES
    )
    for layer in layers:
        assert isinstance(layer, nn.Conv2d)
        nn.init.normal_(layer.weight, std=0.01)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return layers


def summed(classifiers: nn.ModuleList, x: Tensor) -> Tensor:
    """Return the sum of what the classifiers say of x, (N, 2, h, w) float32."""
    first, *others = classifiers
    result = at_least_float32(first(x))
    for classifier in others:
        result = result + classifier(x)
    return result


class LiteHead(nn.Module):
    """What is added to the body of `LiteStream`: a map at an eighth of two of the body's, and classifiers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sharp = nn.Conv2d(EfficientNetLite0.channels[_SHARP], width, kernel_size=1)
        self.deep = nn.Conv2d(EfficientNetLite0.channels[_DEEP], width, kernel_size=1)
        self.joined = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.classifiers = dilated_classifiers(width)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return scores, (N, 2, h, w) at an eighth, of the maps of an `EfficientNetLite0`."""
        sharp = self.sharp(maps[_SHARP])
        deep = F.interpolate(self.deep(maps[_DEEP]), sharp.shape[-2:], mode="bilinear", align_corners=True)
        return summed(self.classifiers, F.relu(self.joined(F.relu(sharp + deep))))


class LiteStream(nn.Module):
    """Object or not, per pixel: EfficientNet-Lite0 and the classifiers of `Stream` on an eighth.

    The body ends at a sixteenth, dilated from there; its map at an eighth is added, for sharp edges.
    """

    spare: ClassVar[tuple[str, ...]] = EfficientNetLite0.spare
    fresh: ClassVar[tuple[str, ...]] = ("head.",)

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.body = EfficientNetLite0(stride=16)
        self.head = LiteHead(width)

    def scores(self, x: Tensor) -> Tensor:
        """Return what the loss of training is taken of: all logits, unlike those of `Stream`."""
        logits: Tensor = self(x)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of background and object, (N, 2, H, W), of normalised (N, 3, H, W).

        The mean colour is added at the bottom and at the right until both sides are 1 more than a multiple
        of 16: only there do the corners of all maps stand for the corners of the picture.
        """
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -(width - 1) % 16, 0, -(height - 1) % 16))
        scores = self.head(self.body(x))
        logits = F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=True)
        return logits[..., :height, :width]

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights under the names used here: those of the package go to ``body.``."""
        own = ("body.", "head.")
        named = EfficientNetLite0.adapt(state).items()
        return {
            key if key.startswith((*own, *LiteStream.spare)) else f"body.{key}": value for key, value in named
        }


class MpnetStream(nn.Module):
    """Moving on its own or not, per pixel: MP-Net, which is given flow, not a picture of it.

    Args:
        size: of MP-Net; its flow is resized to the size that it is tested at.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.network = MotionPatternNet(CHANNELS["angle_field"], WIDTH[size])
        self.short_side = TEST_SHORT_SIDE[size]

    def scores(self, flow: Tensor) -> Tensor:
        """Return logits of still and moving, (N, 2, h, w) at half of what MP-Net is given.

        They are -z / 2 and z / 2 of its one logit z, so that their softmax is its sigmoid.

        Args:
            flow: (N, 2, H, W) pixels.
        """
        half: Tensor = self.network(motion_code(flow, self.short_side, "unsigned")) / 2
        return torch.cat([-half, half], dim=1)

    def forward(self, flow: Tensor) -> Tensor:
        """Return the logits at the size of `flow`, (N, 2, H, W)."""
        return enlarge(self.scores(flow), flow.shape[-2:])
