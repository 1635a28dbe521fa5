"""Appearance stream of LVO at size lite, and the maps on which its memory works ([ours]).

Frames of any size are seen with a shorter side of about `SHORT_SIDE` pixels, and the memory works on a
quarter of that: 65 x 113 for DAVIS, as fine as the paper's eighth of 480 rows (60 x 107). The corners of the
maps stand for the corners of the frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.lite_pyramid import LiteFeatures, fitted_size

SHORT_SIDE = 257
CELL = 4
"""Pixels between two points of a map."""


def picture_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width at which frames of (height, width) are seen."""
    return fitted_size(height, width, SHORT_SIDE)


def lite_grid(height: int, width: int) -> tuple[int, int]:
    """Return the size of the maps for frames of (height, width): a quarter of `picture_size`."""
    first, second = ((side - 1) // CELL + 1 for side in picture_size(height, width))
    return first, second


class LiteAppearance(LiteFeatures):
    """Appearance stream of FusionSeg lite up to its pyramid, for frames of any size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, `channels`, h, w), (h, w) = `lite_grid(H, W)`, of normalised (N, 3, H, W)."""
        small = F.interpolate(x, picture_size(*x.shape[-2:]), mode="bilinear", antialias=True)
        return super().forward(small)


def on_fine_grid(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks at twice the resolution of maps, corners on corners, by nearest neighbour.

    Args:
        masks: (N, H, W).
        size: (h, w) of the maps.

    Returns:
        (N, 2 h - 1, 2 w - 1).
    """
    rows, columns = (
        torch.linspace(0, old - 1, 2 * new - 1, device=masks.device).round().long()
        for old, new in zip(masks.shape[-2:], size, strict=True)
    )
    return masks[:, rows][:, :, columns]


def enlarged(values: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize maps (N, C, h, w) bilinearly, corners on corners."""
    return F.interpolate(values, tuple(size), mode="bilinear", align_corners=True)


def to_fine_grid(values: Tensor) -> Tensor:
    """Return maps (N, C, h, w) at the resolution of `on_fine_grid`."""
    return enlarged(values, (2 * values.shape[-2] - 1, 2 * values.shape[-1] - 1))


class ToLiteGrid(nn.Module):
    """Frames as small as the maps."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, h, w) of (N, C, H, W)."""
        return F.interpolate(x, lite_grid(*x.shape[-2:]), mode="bilinear", antialias=True)


def cut_clip(x: Tensor, target: Tensor, shortest: int | None, share: float) -> tuple[Tensor, Tensor]:
    """Return some frames of a training clip, and a part of their maps and masks, drawn at random.

    Args:
        x: maps (B, T, C, h, w).
        target: masks (B, T, 2 h - 1, 2 w - 1).
        shortest: fewest frames; None: all.
        share: share of either side of the maps that is kept.
    """
    frames = x.shape[1]
    kept = int(torch.randint(min(shortest or frames, frames), frames + 1, ()))
    first = int(torch.randint(frames - kept + 1, ()))
    x, target = x[:, first : first + kept], target[:, first : first + kept]
    for axis in (-2, -1):
        side = x.shape[axis]
        length = max(1, round(side * share))
        start = int(torch.randint(side - length + 1, ()))
        x = x.narrow(axis, start, length)
        target = target.narrow(axis, 2 * start, 2 * length - 1)
    return x, target
