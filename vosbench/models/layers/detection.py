"""Shared parts of region detectors, built on torchvision's.

Boxes, anchors and deltas are float32 under any autocast. torchvision has them in the type of the features,
and bfloat16 knows multiples of 8 only beyond 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator  # type: ignore[import-untyped]
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.roi_heads import RoIHeads  # type: ignore[import-untyped]
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead  # type: ignore[import-untyped]
from torchvision.ops import MultiScaleRoIAlign  # type: ignore[import-untyped]
from torchvision.ops.poolers import initLevelMapper  # type: ignore[import-untyped]

from vosbench.models.layers.precision import at_least_float32
from vosbench.video import VOID

Features = Mapping[str, Tensor]
"""Level -> (N, C, h, w), finest first; ``"0"`` is a quarter of the picture, ``"pool"`` the coarsest."""

Targets = list[dict[str, Tensor]]
Found = dict[str, Tensor]
"""``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) and ``masks`` (N, 1, M, M) probabilities."""

POOLED = ("0", "1", "2", "3")
"""Levels that regions are pooled from."""


class RegionHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's heads with the box loss of Mask R-CNN (beta 1); subclasses define the targets."""

    box_beta: ClassVar[float] = 1.0

    def mask_logits(
        self, features: Features, regions: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Return (N, classes, M, M) of all regions of all pictures."""
        pooled = self.mask_roi_pool(features, regions, sizes)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return at_least_float32(logits)

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


def region_proposals(
    channels: int,
    sides: Sequence[int],
    ratios: tuple[float, ...],
    proposals: tuple[int, int, int, int],
    sampled: int,
) -> Any:
    """Return a region proposal network, named as torchvision's, with its anchors and boxes in float32.

    Args:
        channels: of the features.
        sides: of the anchors of each level, pixels.
        ratios: of height to width of the anchors of every level.
        proposals: before and after their suppression in training, then in a test; before is per level.
        sampled: anchors that losses are taken over, of each picture.
    """
    before, after, test_before, test_after = proposals
    return RegionProposalNetwork(
        _Anchors(tuple((side,) for side in sides), (ratios,) * len(sides)),
        _ProposalHead(channels, len(ratios)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=sampled,
        positive_fraction=0.5,
        pre_nms_top_n={"training": before, "testing": test_before},
        post_nms_top_n={"training": after, "testing": test_after},
        nms_thresh=0.7,
    )


def region_pool(side: int, canonical: int) -> Any:
    """Return what pools (side, side) features of regions, in float32.

    Args:
        side: of the pooled features.
        canonical: side, in pixels, of a region that is pooled from the third level.
    """
    pool = _Pool(POOLED, output_size=side, sampling_ratio=2, canonical_scale=canonical)
    # torchvision guesses the scales from the first picture it sees, wrongly when much of it is padding
    pool.scales = [2.0**-level for level in range(2, 6)]
    pool.map_levels = initLevelMapper(2, 5, canonical_scale=canonical)
    return pool


class _Anchors(AnchorGenerator):  # type: ignore[misc]
    """Anchors in float32."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        # torchvision looks at no more than the shape, the type and the device
        shapes = [at_least_float32(each.new_empty(())).expand(each.shape) for each in feature_maps]
        anchors: list[Tensor] = super().forward(image_list, shapes)
        return anchors


class _ProposalHead(RPNHead):  # type: ignore[misc]
    """Scores and deltas of proposals in float32."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, deltas = super().forward(x)
        return [at_least_float32(each) for each in scores], [at_least_float32(each) for each in deltas]


class _Pool(MultiScaleRoIAlign):  # type: ignore[misc]
    """Pooling of regions in float32."""

    def forward(
        self, x: Mapping[str, Tensor], boxes: list[Tensor], image_shapes: Sequence[tuple[int, int]]
    ) -> Tensor:
        levels = {name: at_least_float32(each) for name, each in x.items() if name in self.featmap_names}
        pooled: Tensor = super().forward(levels, boxes, image_shapes)
        return pooled
