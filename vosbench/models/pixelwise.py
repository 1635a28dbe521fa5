"""Shared parts of methods that decide pixel by pixel; 255 in a mask is void and never counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.video import VOID


def enlarge(values: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize (B, C, h, w) maps bilinearly, not corner-aligned."""
    return F.interpolate(values, tuple(size), mode="bilinear", align_corners=False)


def shrink_masks(masks: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize (B, H, W) uint8 masks by nearest neighbour."""
    return F.interpolate(masks[:, None], tuple(size), mode="nearest-exact")[:, 0]


def merged_objects(masks: Tensor) -> Tensor:
    """Return 1 for any object of (..., H, W) uint8 ids, 0 for background, and 255 where void."""
    return torch.where(masks == VOID, masks, (masks > 0).to(masks.dtype))


def mean_over_known(losses: Tensor, masks: Tensor) -> Tensor:
    """Return the mean of losses, (B, H, W), where masks, (B, H, W) uint8, are not void; 0 if all are."""
    known = masks != VOID
    return (losses * known).sum() / known.sum().clamp(min=1)


def dice_loss(probability: Tensor, masks: Tensor) -> Tensor:
    """Return 1 - (2 |P G| + 1) / (|P| + |G| + 1), the mean over frames (Milletari et al., 3DV 2016).

    Args:
        probability: (B, H, W) of the foreground; its sum is |P|.
        masks: (B, H, W) uint8 ids; any object is foreground, 255 counts nowhere.
    """
    known = masks != VOID
    moving = ((masks > 0) & known).to(probability.dtype)
    probability = probability * known
    shared = (probability * moving).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + moving.sum(dim=(-2, -1))
    return (1 - (2 * shared + 1) / (total + 1)).mean()
