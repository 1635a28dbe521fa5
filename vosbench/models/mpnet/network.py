"""The encoder-decoder of MP-Net (Tokmakov et al., section 4.1; layer sizes from the released model)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.precision import at_least_float32

SMALLEST_SIDE = 32
"""Five poolings must leave a pixel."""


class MotionPatternNet(nn.Module):
    """Moving or not, per pixel, from one frame pair.

    Args:
        in_channels: channels of the input.
        width: channels of the first convolution; all others are multiples of it (64 as published).
        decoder_units: how many of the four decoder units are kept. With n of them the output has
            1/16, 1/8, 1/4, 1/2 of the input size for n = 1..4.
    """

    def __init__(self, in_channels: int, width: int = 64, decoder_units: int = 4) -> None:
        super().__init__()
        inner = 4 * width
        self.input = _conv(in_channels, width, kernel=7, eps=1e-4)
        self.encoder = nn.ModuleList(
            [
                _conv(width, 2 * width, kernel=5),
                _conv(2 * width, inner, kernel=5),
                nn.Sequential(_conv(inner, inner), _conv(inner, inner)),
                _conv(inner, inner),
                _conv(inner, inner),
            ]
        )
        skips = (inner, inner, inner, 2 * width)[:decoder_units]
        outputs = [inner] * (decoder_units - 1) + [2 * inner]
        self.decoder = nn.ModuleList(
            nn.Sequential(_conv(inner + skip, inner), _conv(inner, out))
            for skip, out in zip(skips, outputs, strict=True)
        )
        self.decoder_channels = tuple(outputs)
        self.classifier = nn.Conv2d(2 * inner, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Args:
            x: (B, in_channels, H, W), H and W at least 32.

        Returns:
            (B, 1, h, w) float32 logits, (h, w) = (H, W) halved 5 - decoder_units times, rounded down.
        """
        return self.decoded(x)[1]

    def decoded(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the maps of the decoder units, from 1/16 to finer ones, and the logits of `forward`."""
        x = self.input(x)
        maps = []
        for stage in self.encoder:
            x = stage(F.max_pool2d(x, 2))
            maps.append(x)
        units = []
        for unit, skip in zip(self.decoder, reversed(maps[:-1]), strict=False):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            x = unit(torch.cat([x, skip], dim=1))
            units.append(x)
        return units, at_least_float32(self.classifier(x))


def _conv(in_channels: int, out_channels: int, kernel: int = 3, eps: float = 1e-5) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2),
        nn.BatchNorm2d(out_channels, eps=eps),
        nn.ReLU(inplace=True),
    )
