"""Training boxes of LIP."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image  # type: ignore[import-untyped]

EXPANSION = 0.1


def expand_boxes(boxes: Tensor, size: tuple[int, int], share: float = EXPANSION) -> Tensor:
    """Return boxes that are wider and higher by a share about their centres, clipped to the picture.

    So masks are complete in boxes that are predicted a little too small (section 5.1).

    Args:
        boxes: (N, 4): x0, y0, x1, y1 in pixels.
        size: height and width of the picture.
        share: of width and height.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    grown: Tensor = clip_boxes_to_image(boxes + torch.cat([-sides, sides], dim=1) * (share / 2), size)
    return grown


def expanded(target: Mapping[str, Tensor], share: float = EXPANSION) -> dict[str, Tensor]:
    """Return a target of `detection_targets` with larger boxes, see `expand_boxes`."""
    height, width = target["masks"].shape[-2:]
    return dict(target) | {"boxes": expand_boxes(target["boxes"], (height, width), share)}
