"""What detectors of regions share, on torchvision's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import RoIHeads  # type: ignore[import-untyped]
from torchvision.ops import MultiScaleRoIAlign  # type: ignore[import-untyped]
from torchvision.ops.poolers import initLevelMapper  # type: ignore[import-untyped]

from vosbench.data.video import VOID

Features = Mapping[str, Tensor]
"""Level -> (N, C, h, w), finest first; ``"0"`` is a quarter of the picture, ``"pool"`` the coarsest."""

Targets = list[dict[str, Tensor]]
Found = dict[str, Tensor]
"""``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) and ``masks`` (N, 1, M, M) probabilities."""

POOLED = ("0", "1", "2", "3")
"""Levels that regions are pooled from."""


class RegionHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's heads with the box loss of Mask R-CNN (beta 1); subclasses say what they learn."""

    box_beta: ClassVar[float] = 1.0

    def mask_logits(
        self, features: Features, regions: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Return (N, classes, M, M) of all regions of all pictures."""
        pooled = self.mask_roi_pool(features, regions, sizes)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits.float()

    def box_loss(self, deltas: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
        """Return smooth L1 over the deltas of the right class, by the number of all regions."""
        inside = labels.nonzero()[:, 0]
        own = deltas.reshape(len(labels), -1, 4)[inside, labels[inside]]
        total = F.smooth_l1_loss(own, wanted[inside], beta=self.box_beta, reduction="sum")
        return total / max(1, len(labels))


def foreground(target: Mapping[str, Tensor]) -> Tensor:
    """Return (H, W) uint8 of a target of `detection_targets`: 1 any object, 0 background, 255 void."""
    objects = target["masks"].any(dim=0).to(torch.uint8)
    return objects.masked_fill(target["void"] & (objects == 0), VOID)


def no_loss(network: nn.Module) -> Tensor:
    """Return a loss of 0 that reaches everything that is trained, as processes that train together need."""
    return torch.stack([each.sum() * 0 for each in network.parameters() if each.requires_grad]).sum()


def region_pool(side: int, canonical: int) -> Any:
    """Return what pools (side, side) features of regions.

    Args:
        side: of the pooled features.
        canonical: side, in pixels, of a region that is pooled from the third level.
    """
    pool = MultiScaleRoIAlign(POOLED, output_size=side, sampling_ratio=2, canonical_scale=canonical)
    # torchvision guesses the scales from the first picture it sees, wrongly when much of it is padding
    pool.scales = [2.0**-level for level in range(2, 6)]
    pool.map_levels = initLevelMapper(2, 5, canonical_scale=canonical)
    return pool
