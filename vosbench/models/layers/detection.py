"""Shared parts of region detectors, built on torchvision's.

Boxes, anchors and deltas are float32 under any autocast. torchvision has them in the type of the features,
and bfloat16 knows multiples of 8 only beyond 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator  # type: ignore[import-untyped]
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.roi_heads import (  # type: ignore[import-untyped]
    RoIHeads,
    maskrcnn_inference,
    maskrcnn_loss,
)
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead  # type: ignore[import-untyped]
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign  # type: ignore[import-untyped]
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool  # type: ignore[import-untyped]
from torchvision.ops.poolers import initLevelMapper  # type: ignore[import-untyped]

from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.resnet import Blocks, Norm, ResNet
from vosbench.video import VOID

Features = Mapping[str, Tensor]
"""Level -> (N, C, h, w), finest first; ``"0"`` is a quarter of the picture, ``"pool"`` the coarsest."""

Targets = list[dict[str, Tensor]]
Found = dict[str, Tensor]
"""``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) and ``masks`` (N, 1, M, M) probabilities."""

POOLED = ("0", "1", "2", "3")
"""Levels that regions are pooled from."""

MASK_THRESHOLD = 0.5
"""Probability above which a pixel of a box belongs to the detection."""


class ResNetPyramid(nn.Module):
    """ResNet and its feature pyramid, named as in torchvision's detectors.

    Args:
        blocks: residual blocks of the four stages.
        width: channels of the first convolution of the ResNet.
        channels: of the pyramid.
        norm: of the ResNet.
        pyramid_norm: of the pyramid; None for none.
        stride_in: which convolution of a block has the stride, see `ResNet`.
        frozen_stages: the stem and so many stages less one keep their weights; 0: all are trained.
    """

    def __init__(
        self,
        blocks: Blocks,
        width: int,
        channels: int,
        norm: Norm,
        *,
        pyramid_norm: Norm | None = None,
        stride_in: Literal["1x1", "3x3"] = "3x3",
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        self.body = ResNet(blocks, width, stride_in=stride_in, norm=norm)
        self.fpn = FeaturePyramidNetwork(
            list(self.body.channels), channels, LastLevelMaxPool(), norm_layer=pyramid_norm
        )
        self.channels = channels
        frozen = [self.body.conv1, self.body.bn1] if frozen_stages else []
        frozen += [getattr(self.body, f"layer{number}") for number in range(1, frozen_stages)]
        self._frozen = frozen

    def forward(self, x: Tensor) -> Features:
        """Return levels of (N, 3, H, W): (N, `channels`, ceil(H / s), ceil(W / s)), s = 4, 8, ..., 64."""
        levels: Features = self.fpn({str(level): values for level, values in enumerate(self.body(x))})
        return levels

    def train_all(self, trained: bool) -> None:
        """Let gradients reach all weights but those of the frozen stages, or none."""
        self.requires_grad_(trained)
        for module in self._frozen:
            module.requires_grad_(requires_grad=False)


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

    def mask_loss(
        self,
        features: Features,
        sampled: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Targets,
    ) -> Tensor:
        """Return the loss of the masks of the regions that show objects.

        Args:
            features: that masks come from.
            sampled: regions of each picture, ...
            matched: ... the numbers of the objects that they match, ...
            labels: ... and their labels, 0 for background.
            sizes: of the pictures.
            targets: ``labels`` and ``masks`` of the objects of each picture.
        """
        inside = [label > 0 for label in labels]
        regions = [boxes[shown] for boxes, shown in zip(sampled, inside, strict=True)]
        matches = [numbers[shown] for numbers, shown in zip(matched, inside, strict=True)]
        logits = self.mask_logits(features, regions, sizes)
        rows = [self.mask_rows(target["labels"]) for target in targets]
        loss: Tensor = maskrcnn_loss(logits, regions, [target["masks"] for target in targets], rows, matches)
        return loss

    def draw(
        self, features: Features, detections: Sequence[Found], sizes: Sequence[tuple[int, int]]
    ) -> list[Found]:
        """Return the detections of each picture with ``masks``, (N, 1, M, M) probabilities."""
        logits = self.mask_logits(features, [found["boxes"] for found in detections], sizes)
        masks = maskrcnn_inference(logits, [self.mask_rows(found["labels"]) for found in detections])
        return [found | {"masks": own} for found, own in zip(detections, masks, strict=True)]

    def mask_rows(self, labels: Tensor) -> Tensor:
        """Return the outputs of the mask head that draw objects with labels, (N,) int64."""
        return labels


def pixels(found: Found) -> Tensor:
    """Return the masks of detections at the size of the picture, (N, H, W) bool."""
    return found["masks"][:, 0] > MASK_THRESHOLD


def foreground(target: Mapping[str, Tensor]) -> Tensor:
    """Return (H, W) uint8 of a target of `detection_targets`: 1 any object, 0 background, 255 void."""
    objects = target["masks"].any(dim=0).to(torch.uint8)
    return objects.masked_fill(target["void"] & (objects == 0), VOID)


def no_loss(network: nn.Module) -> Tensor:
    """Return a loss of 0 that reaches every parameter that is trained, as distributed training needs."""
    return torch.stack([p.sum() * 0 for p in network.parameters() if p.requires_grad]).sum()


def region_proposals(
    channels: int,
    sides: Sequence[int],
    ratios: tuple[float, ...],
    proposals: tuple[int, int, int, int],
    sampled: int,
    strides: Sequence[int] | None = None,
) -> Any:
    """Return a region proposal network, named as torchvision's, with its anchors and boxes in float32.

    Args:
        channels: of the features.
        sides: of the anchors of each level, pixels.
        ratios: of height to width of the anchors of every level.
        proposals: before and after their suppression in training, then in a test; before is per level.
        sampled: anchors that losses are taken over, of each picture.
        strides: of the levels, pixels; None: sides of a picture by sides of a level, rounded down.
    """
    before, after, test_before, test_after = proposals
    return RegionProposalNetwork(
        _Anchors(tuple((side,) for side in sides), (ratios,) * len(sides), strides),
        _ProposalHead(channels, len(ratios)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=sampled,
        positive_fraction=0.5,
        pre_nms_top_n={"training": before, "testing": test_before},
        post_nms_top_n={"training": after, "testing": test_after},
        nms_thresh=0.7,
    )


def region_pool(side: int, canonical: int, levels: Sequence[str] = POOLED) -> Any:
    """Return a pooling of regions to (side, side) features, in float32.

    Args:
        side: of the pooled features.
        canonical: side, in pixels, of a region that is pooled from the third level.
        levels: of `POOLED` that regions are pooled from: all of them, or one.
    """
    pool = _Pool(levels, output_size=side, sampling_ratio=2, canonical_scale=canonical)
    # torchvision guesses the scales from the first picture it sees, wrongly when much of it is padding
    pool.scales = [2.0 ** -(POOLED.index(level) + 2) for level in levels]
    pool.map_levels = initLevelMapper(2, 5, canonical_scale=canonical)
    return pool


class _Anchors(AnchorGenerator):  # type: ignore[misc]
    """Anchors in float32, at given strides."""

    def __init__(
        self,
        sizes: tuple[tuple[int, ...], ...],
        ratios: tuple[tuple[float, ...], ...],
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__(sizes, ratios)
        self._strides = strides

    def grid_anchors(self, grid_sizes: list[Any], strides: list[list[Tensor]]) -> list[Tensor]:
        if self._strides is not None:
            strides = [
                [torch.full_like(side, stride) for side in level]
                for stride, level in zip(self._strides, strides, strict=True)
            ]
        anchors: list[Tensor] = super().grid_anchors(grid_sizes, strides)
        return anchors

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        # torchvision looks at no more than the shape, the type and the device
        shapes = [at_least_float32(level.new_empty(())).expand(level.shape) for level in feature_maps]
        anchors: list[Tensor] = super().forward(image_list, shapes)
        return anchors


class _ProposalHead(RPNHead):  # type: ignore[misc]
    """Scores and deltas of proposals in float32."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, deltas = super().forward(x)
        return [at_least_float32(level) for level in scores], [at_least_float32(level) for level in deltas]


class _Pool(MultiScaleRoIAlign):  # type: ignore[misc]
    """Pooling of regions in float32."""

    def forward(
        self, x: Mapping[str, Tensor], boxes: list[Tensor], image_shapes: Sequence[tuple[int, int]]
    ) -> Tensor:
        levels = {name: at_least_float32(level) for name, level in x.items() if name in self.featmap_names}
        pooled: Tensor = super().forward(levels, boxes, image_shapes)
        return pooled
