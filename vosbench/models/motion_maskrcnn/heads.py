"""Heads of Mask R-CNN: region proposals, scores, boxes and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import (  # type: ignore[import-untyped]
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.mask_rcnn import (  # type: ignore[import-untyped]
    MaskRCNNHeads,
    MaskRCNNPredictor,
)

from vosbench.models.layers.detection import (
    POOLED,
    Features,
    Found,
    RegionHeads,
    Targets,
    region_pool,
    region_proposals,
)
from vosbench.models.layers.precision import at_least_float32

RATIOS = (0.5, 1.0, 2.0)
OBJECT_CLASSES = 2
"""Background and object."""
CLASS_DEPENDENT = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""Where the tensors are whose shape depends on the number of classes."""


@dataclass(frozen=True)
class HeadWidths:
    """Channels and sizes of the heads, by default the published ones.

    Attributes:
        box: of the two fully connected layers.
        mask: of the convolutions and the deconvolution of the mask head.
        mask_layers: convolutions before the deconvolution.
        mask_pool: side of the features that a mask is drawn from; the mask has twice that.
        mask_levels: that these are pooled from.
        anchors: side of the anchors of each level, pixels.
        canonical: side, in pixels, of a region that is pooled from the third level.
        proposals: before and after their suppression in training, then in a test; before is per level.
        sampled: anchors, and regions, that losses are taken over, of each picture.
        detections: most of them in a picture.
        strides: of the levels, pixels; None: sides of a picture by sides of a level, rounded down.
    """

    box: int = 1024
    mask: int = 256
    mask_layers: int = 4
    mask_pool: int = 14
    mask_levels: tuple[str, ...] = POOLED
    anchors: tuple[int, ...] = (32, 64, 128, 256, 512)
    canonical: int = 224
    proposals: tuple[int, int, int, int] = (2000, 2000, 1000, 1000)
    sampled: tuple[int, int] = (256, 512)
    detections: int = 100
    strides: tuple[int, ...] | None = None


class DetectionHeads(nn.Module):
    """A region proposal network, a box head and a mask head, named as in torchvision's Mask R-CNN.

    Args:
        channels: of the features that proposals and boxes come from.
        mask_channels: of those that masks come from.
        classes: with background.
        widths: sizes.

    Attributes:
        channels: of the features that proposals and boxes come from.
    """

    def __init__(
        self, channels: int, mask_channels: int, classes: int, widths: HeadWidths | None = None
    ) -> None:
        super().__init__()
        self.channels = channels
        widths = widths or HeadWidths()
        self.rpn = region_proposals(
            *(channels, widths.anchors, RATIOS, widths.proposals, widths.sampled[0]), strides=widths.strides
        )
        self.roi_heads = ClassHeads(
            region_pool(7, widths.canonical),
            TwoMLPHead(channels * 7**2, widths.box),
            FastRCNNPredictor(widths.box, classes),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=widths.sampled[1],
            positive_fraction=0.25,
            bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=widths.detections,
            mask_roi_pool=region_pool(widths.mask_pool, widths.canonical, widths.mask_levels),
            mask_head=MaskRCNNHeads(mask_channels, (widths.mask,) * widths.mask_layers, 1),
            mask_predictor=MaskRCNNPredictor(widths.mask, widths.mask, classes),
        )

    def learn(
        self, images: ImageList, features: Features, mask_features: Features, targets: Targets
    ) -> dict[str, Tensor]:
        """Return the five losses by name; all have weight 1.

        Args:
            images: the padded pictures and their sizes.
            features: for proposals and boxes.
            mask_features: for masks.
            targets: of each picture ``boxes``, ``labels`` and ``masks``, as torchvision has them.
        """
        proposals, losses = self.rpn(images, features, targets)
        named: dict[str, Tensor] = losses
        return named | self.roi_heads.learn(features, mask_features, proposals, images.image_sizes, targets)

    def classified(self, target: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a target of `detection_targets` for these heads: all is one class, if they know one."""
        labels = target["labels"]
        if self.roi_heads.box_predictor.cls_score.out_features == OBJECT_CLASSES:
            labels = torch.ones_like(labels)
        return {"boxes": target["boxes"], "labels": labels, "masks": target["masks"]}

    def find(
        self, images: ImageList, features: Features, mask_features: Features, least_score: float = 0.0
    ) -> list[Found]:
        """Return what is in each picture; detections with scores up to `least_score` are left out.

        Other arguments are as in `learn`.
        """
        proposals, _ = self.rpn(images, features)
        return self.roi_heads.find(features, mask_features, proposals, images.image_sizes, least_score)


class ClassHeads(RegionHeads):
    """Heads of regions of some classes, with masks from features of their own."""

    def learn(
        self,
        features: Features,
        mask_features: Features,
        proposals: list[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Targets,
    ) -> dict[str, Tensor]:
        """Return the losses of classes, boxes and masks over sampled regions."""
        sampled, matched, labels, regression = self.select_training_samples(proposals, targets)
        logits, deltas = self._boxes(features, sampled, sizes)
        mask_loss = self.mask_loss(mask_features, sampled, matched, labels, sizes, targets)
        return {
            "loss_classifier": F.cross_entropy(logits, torch.cat(labels)),
            "loss_box_reg": self.box_loss(deltas, torch.cat(labels), torch.cat(list(regression))),
            "loss_mask": mask_loss,
        }

    def find(
        self,
        features: Features,
        mask_features: Features,
        proposals: list[Tensor],
        sizes: Sequence[tuple[int, int]],
        least_score: float,
    ) -> list[Found]:
        """Return boxes, labels, scores and masks of each picture."""
        logits, deltas = self._boxes(features, proposals, sizes)
        per_picture = zip(*self.postprocess_detections(logits, deltas, proposals, sizes), strict=True)
        found: list[Found] = []
        for boxes, scores, labels in per_picture:
            kept = scores > least_score
            found.append({"boxes": boxes[kept], "labels": labels[kept], "scores": scores[kept]})
        return self.draw(mask_features, found, sizes)

    def _boxes(
        self, features: Features, regions: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        pooled = self.box_roi_pool(features, regions, sizes)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        return at_least_float32(logits), at_least_float32(deltas)
