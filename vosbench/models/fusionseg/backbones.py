"""Other networks in the place of FusionSeg's streams: EfficientNet-Lite0, and MP-Net for motion.

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
from vosbench.models.layers.lite_pyramid import SPARE, LitePyramid, adapt, fitted, lite_body
from vosbench.models.layers.precision import at_least_float32
from vosbench.models.lvo.streams import motion_code
from vosbench.models.mpnet.module import CHANNELS, SIZE_INSIDE, TEST_SHORT_SIDE, WIDTH
from vosbench.models.mpnet.network import MotionPatternNet
from vosbench.models.pixelwise import enlarge

Backbone = Literal["resnet", "efficientnet_lite0"]
BACKBONES: tuple[Backbone, ...] = ("resnet", "efficientnet_lite0")
MotionNetwork = Literal["resnet", "efficientnet_lite0", "mpnet"]
MOTION_NETWORKS: tuple[MotionNetwork, ...] = ("resnet", "efficientnet_lite0", "mpnet")

CLASSES = 2
"""Background and object."""


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
    """Return the sum of the logits of the classifiers, (N, 2, h, w) float32."""
    first, *others = classifiers
    result = at_least_float32(first(x))
    for classifier in others:
        result = result + classifier(x)
    return result


class LiteHead(nn.Module):
    """Head on the body of `LiteStream`: the pyramid, and the classifiers of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid = LitePyramid()
        self.classifiers = dilated_classifiers(self.pyramid.channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return scores, (N, 2, h, w) at a quarter, of the maps of an `EfficientNetLite0`."""
        return summed(self.classifiers, self.pyramid(maps))


class LiteStream(nn.Module):
    """Object or not, per pixel: EfficientNet-Lite0 with a pyramid, and the classifiers of `Stream`."""

    spare: ClassVar[tuple[str, ...]] = SPARE
    fresh: ClassVar[tuple[str, ...]] = ("head.",)

    def __init__(self) -> None:
        super().__init__()
        self.body = lite_body()
        self.head = LiteHead()

    def scores(self, x: Tensor) -> Tensor:
        """Return the logits that the loss of training is taken of: all of them, unlike those of `Stream`."""
        logits: Tensor = self(x)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of background and object, (N, 2, H, W), of normalised (N, 3, H, W)."""
        scores = self.head(self.body(fitted(x)))
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=True)

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights under the names used here: those of the package go to ``body.``."""
        return adapt(state, ("body.", "head."))


class MpnetStream(nn.Module):
    """Moving on its own or not, per pixel: MP-Net, which is given flow, not a picture of it.

    Args:
        size: of FusionSeg; the flow is resized to the size that its MP-Net is tested at.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.network = MotionPatternNet(CHANNELS["angle_field"], WIDTH[SIZE_INSIDE[size]])
        self.short_side = TEST_SHORT_SIDE[SIZE_INSIDE[size]]

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
