"""Bodies of size lite: EfficientNet-Lite0 with a pyramid for frames, MP-Net for flow ([ours], for a CPU).

Pictures have sides of 1 more than a multiple of 32, so that the corners of all maps stand for the corners of
the picture: point i of the map at stride s is pixel s i, where torchvision's pooling of regions expects it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.transform import (  # type: ignore[import-untyped]
    GeneralizedRCNNTransform,
    resize_boxes,
)

from vosbench.models.layers.detection import Features
from vosbench.models.layers.lite_pyramid import WIDTH, LiteFeatures
from vosbench.models.lvo.lite import SHORT_SIDE, enlarged, picture_size
from vosbench.models.lvo.streams import motion_code
from vosbench.models.mpnet.module import CHANNELS, SIZE_INSIDE, TEST_SHORT_SIDE
from vosbench.models.mpnet.module import WIDTH as MPNET_WIDTH
from vosbench.models.mpnet.network import MotionPatternNet

_MPNET = SIZE_INSIDE["lite"]


class LiteTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Resizing to `picture_size`; smaller pictures of a batch are padded at the right and at the bottom."""

    def __init__(self) -> None:
        super().__init__(SHORT_SIDE, SHORT_SIDE, [0.0], [1.0], size_divisible=1)

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Return a picture (C, H, W) and its target at the size that the network sees."""
        old = image.shape[-2:]
        size = picture_size(*old)
        resized = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        if target is None:
            return resized, None
        masks = F.interpolate(target["masks"][:, None].float(), size, mode="bilinear")[:, 0] >= 0.5
        boxes = resize_boxes(target["boxes"], old, size)
        return resized, target | {"boxes": boxes, "masks": masks.to(torch.uint8)}


class LiteBody(LiteFeatures):
    """Appearance body: the encoder of FusionSeg lite, which is never trained here, and its pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.body.eval()  # Lightning trains modules in the mode that they are built in

    def forward(self, x: Tensor) -> Features:  # type: ignore[override]
        """Return levels of (N, 3, H, W), (N, `channels`, h, w) at strides 4, 8, ..., 64."""
        return _with_pool(self.levels(x))

    def train(self, mode: bool = True) -> LiteBody:
        """Switch the pyramid; the encoder keeps its statistics."""
        super().train(mode)
        self.body.eval()
        return self

    def train_all(self, trained: bool) -> None:
        """Let gradients reach the pyramid, or nothing."""
        self.body.requires_grad_(requires_grad=False)
        self.pyramid.requires_grad_(trained)


class LiteMotion(nn.Module):
    """Motion body: MP-Net, which is never trained here, and a lateral convolution of each decoder unit."""

    def __init__(self) -> None:
        super().__init__()
        width = MPNET_WIDTH[_MPNET]
        self.network = MotionPatternNet(CHANNELS["angle_field"], width).eval()
        self.short_side = TEST_SHORT_SIDE[_MPNET]
        self.channels = WIDTH
        self.lateral = nn.ModuleList(
            nn.Conv2d(count + 1, self.channels, kernel_size=1)
            for count in self.network.decoder_channels[::-1]
        )

    def forward(self, x: Tensor) -> Features:
        """Return levels of the same form as those of `LiteBody`.

        Args:
            x: (N, 2, H, W) flow, 1 is the shorter side of the frame.
        """
        flow = x * min(x.shape[-2:])
        units, logits = self.network.decoded(motion_code(flow, self.short_side, "unsigned"))
        moving = logits.sigmoid()
        levels = []
        for number, (unit, lateral) in enumerate(zip(units[::-1], self.lateral, strict=True)):
            shown = torch.cat([unit, enlarged(moving, unit.shape[-2:])], dim=1)
            size = [(side - 1) // (4 << number) + 1 for side in x.shape[-2:]]
            levels.append(enlarged(F.relu(lateral(shown)), (size[0], size[1])))
        return _with_pool(levels)

    def train(self, mode: bool = True) -> LiteMotion:
        """Switch the convolutions; MP-Net keeps its statistics."""
        super().train(mode)
        self.network.eval()
        return self

    def train_all(self, trained: bool) -> None:
        """Let gradients reach the lateral convolutions, or nothing."""
        self.network.requires_grad_(requires_grad=False)
        self.lateral.requires_grad_(trained)


def relative_flow(field: Tensor) -> Tensor:
    """Return (2, H, W) pixels in shorter sides of the frame; unknown (NaN) flow is none."""
    return field.float().nan_to_num() / min(field.shape[-2:])


def _with_pool(levels: list[Tensor]) -> Features:
    named = {str(number): level for number, level in enumerate(levels)}
    return named | {"pool": levels[-1][..., ::2, ::2]}
