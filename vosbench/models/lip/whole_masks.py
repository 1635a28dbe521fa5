"""Masks that are drawn again in larger boxes where the sides of a box cut them off ([ours])."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image  # type: ignore[import-untyped]

from vosbench.models.layers.detection import MASK_THRESHOLD, Found

GROWTH = 0.25
"""Share of its first width or height that a box gains at a side that cuts its mask off."""
CUT = 0.05
"""A side cuts a mask off that covers more than this share of it."""
_RIM = 28
"""The outermost of so many parts of a mask is what lies at a side."""


def draw_whole(draw: Callable[[Found], Found], found: Found, size: tuple[int, int], growths: int) -> Found:
    """Return detections with masks, in boxes that have grown where they cut their masks off.

    Args:
        draw: returns detections with ``masks`` (N, 1, M, M), probabilities in their boxes.
        found: ``boxes`` (N, 4) in pixels.
        size: height and width of the picture, beyond which no box grows.
        growths: how often a box may grow; 0: never.
    """
    sides = found["boxes"][:, 2:] - found["boxes"][:, :2]
    step = torch.cat([-sides, sides], dim=1) * GROWTH
    drawn = draw(found)
    for _ in range(growths):
        boxes = clip_boxes_to_image(drawn["boxes"] + step * cut_sides(drawn["masks"]), size)
        if torch.equal(boxes, drawn["boxes"]):
            break
        drawn = draw(drawn | {"boxes": boxes})
    return drawn


def cut_sides(masks: Tensor) -> Tensor:
    """Return which sides of their boxes cut masks off, (N, 4) bool: left, top, right, bottom.

    Args:
        masks: (N, 1, M, M) probabilities.
    """
    shown = masks[:, 0] > MASK_THRESHOLD
    depth = max(1, shown.shape[-1] // _RIM)
    rims = [
        shown[:, :, :depth].any(dim=2),
        shown[:, :depth].any(dim=1),
        shown[:, :, -depth:].any(dim=2),
        shown[:, -depth:].any(dim=1),
    ]
    return torch.stack([rim.float().mean(dim=1) > CUT for rim in rims], dim=1)
