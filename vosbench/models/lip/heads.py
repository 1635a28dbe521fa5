"""Heads of LIP: region proposals, ids, boxes and masks."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead  # type: ignore[import-untyped]
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
from vosbench.models.lip.widths import LIPWidths

RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0)
AGNOSTIC = 2
"""Rows of boxes and masks that do not depend on the id: background and foreground."""

STRIDES = (4, 8, 16, 32, 64)
REGIONS = 128
BOX_SIDE, MASK_SIDE = 7, 28


@dataclass(frozen=True)
class IdLoss:
    """The loss of ids.

    Attributes:
        focal: whether it is a focal loss (Lin et al., 2017), -alpha (1 - p)^gamma log p of the softmax;
            the paper has one online.
        gamma: of that; its values here are those of Lin et al.
        alpha: of that.
        last_layer_only: keep its gradient from everything before the last layer of ids, as online.
    """

    focal: bool = False
    gamma: float = 2.0
    alpha: float = 0.25
    last_layer_only: bool = False

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over regions; (N, 1 + ids) logits and (N,) int64 ids, 0 for background."""
        if not self.focal:
            return F.cross_entropy(logits, labels)
        log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        return -(self.alpha * (1 - log_p.exp()) ** self.gamma * log_p).mean()


PLAIN = IdLoss()
FOCAL = IdLoss(focal=True)
ONLINE = IdLoss(focal=True, last_layer_only=True)


class Regions(NamedTuple):
    """Regions of a picture before masks are drawn.

    Attributes:
        found: ``boxes``, ``labels`` and ``scores``, best first, in pixels of the resized picture.
        proposals: (P, 4), likewise, best first.
        vectors: (P, hidden) inputs of the last layers for the proposals.
    """

    found: Found
    proposals: Tensor
    vectors: Tensor


class LIPHeads(nn.Module):
    """A region proposal network, an id and box head and a mask head, named as in torchvision's Mask R-CNN.

    Args:
        ids: number of ids (classes, on COCO), without background.
        widths: sizes.
        shortcut: whether features of regions are added to the last convolutions of the heads.
        mask_deconv: whether masks are twice as fine as the regions, 56x56.
    """

    def __init__(
        self, ids: int, widths: LIPWidths | None = None, *, shortcut: bool = True, mask_deconv: bool = True
    ) -> None:
        super().__init__()
        widths = widths or LIPWidths()
        self.rpn = region_proposals(
            widths.channels,
            widths.anchors,
            RATIOS,
            widths.proposals,
            widths.sampled_anchors,
            STRIDES if widths.lite else None,
        )
        channels, layers = widths.channels, [widths.channels] * 4
        self.roi_heads = IdHeads(
            region_pool(BOX_SIDE, widths.canonical),
            _Shortcut(
                *FastRCNNConvFCHead((channels, BOX_SIDE, BOX_SIDE), layers, [widths.hidden], widths.norm)
            ),
            Predictor(widths.hidden, ids),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=REGIONS,
            positive_fraction=0.25,
            bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
            score_thresh=0.0 if widths.lite else 0.05,
            nms_thresh=0.5,
            detections_per_img=100,
            mask_roi_pool=region_pool(MASK_SIDE, widths.canonical, POOLED[:1] if widths.lite else POOLED),
            mask_head=_Shortcut(*MaskRCNNHeads(channels, layers, 1, widths.norm)),
            mask_predictor=_mask_predictor(channels, deconv=mask_deconv),
        )
        self.use_shortcut(shortcut)

    @property
    def ids(self) -> int:
        """Number of ids, without background."""
        return int(self.roi_heads.box_predictor.cls_score.out_features) - 1

    def use_shortcut(self, wanted: bool) -> None:
        """Turn the shortcut on or off; it has no weights."""
        self.roi_heads.box_head.shortcut = wanted
        self.roi_heads.mask_head.shortcut = wanted

    def sample_regions(self, count: int) -> None:
        """Set how many regions of a picture losses are taken over, a quarter of them objects."""
        self.roi_heads.fg_bg_sampler.batch_size_per_image = count

    def replace_ids(self, ids: int, generator: torch.Generator | None = None) -> None:
        """Put a new last layer for other ids in place of the present one; nothing else changes.

        Args:
            ids: how many, without background.
            generator: of its random weights.
        """
        self.roi_heads.box_predictor.replace_ids(ids, generator)

    def specialise(self, ids: int, generator: torch.Generator | None = None) -> LIPHeads:
        """Return a copy of these heads for the ids of one video; these stay as they are.

        The last layers of boxes and masks are specific to the ids: their rows start as copies of the
        foreground's, background's is kept (figure 5). The last layer of ids is new.

        Args:
            ids: how many, without background.
            generator: of the random weights of the last layer of ids.

        Raises:
            ValueError: boxes and masks depend on the id already.
        """
        heads = copy.deepcopy(self)
        predictor, masks = heads.roi_heads.box_predictor, heads.roi_heads.mask_predictor
        if predictor.rows != AGNOSTIC:
            raise ValueError(f"these heads are specific to {self.ids} ids already")
        predictor.bbox_pred = _repeated(predictor.bbox_pred, ids, 4)
        masks.mask_fcn_logits = _repeated(masks.mask_fcn_logits, ids, 1)
        heads.replace_ids(ids, generator)
        return heads

    def learn(
        self, images: ImageList, features: Features, targets: Targets, id_loss: IdLoss = PLAIN
    ) -> dict[str, Tensor]:
        """Return the five losses by name; all have weight 1.

        Args:
            images: the padded pictures and their sizes.
            features: ``"0"`` to ``"pool"``, N2 to N6.
            targets: of each picture ``boxes``, ``labels`` from 1 and ``masks``, as torchvision has them.
            id_loss: loss of ids.

        Raises:
            ValueError: the heads are not in training.
        """
        if not self.training:
            raise ValueError("heads learn in training only: call train()")
        proposals, losses = self.rpn(images, features, targets)
        named: dict[str, Tensor] = losses
        return named | self.roi_heads.learn_ids(features, proposals, images.image_sizes, targets, id_loss)

    def find(
        self, images: ImageList, features: Features, known: Sequence[Tensor] | None = None
    ) -> list[Regions]:
        """Return the regions of each picture, without masks, in a test.

        Args:
            images: as in `learn`.
            features: as in `learn`.
            known: (M, 4) boxes of each picture that are proposals, too, after those of the network.
        """
        proposals, _ = self.rpn(images, features)
        if known is not None:
            proposals = [torch.cat(pair) for pair in zip(proposals, known, strict=True)]
        regions: list[Regions] = self.roi_heads.regions(features, proposals, images.image_sizes)
        return regions

    def draw(self, images: ImageList, features: Features, found: Sequence[Found]) -> list[Found]:
        """Return the detections of each picture with ``masks`` (N, 1, M, M)."""
        drawn: list[Found] = self.roi_heads.draw(features, found, images.image_sizes)
        return drawn


class IdHeads(RegionHeads):
    """Heads of regions whose boxes and masks may be the same for all ids."""

    def learn_ids(
        self,
        features: Features,
        proposals: list[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Targets,
        id_loss: IdLoss,
    ) -> dict[str, Tensor]:
        """Return the losses of ids, boxes and masks over sampled regions."""
        sampled, matched, labels, wanted = self.select_training_samples(proposals, targets)
        vectors = self.box_head(self.box_roi_pool(features, sampled, sizes))
        logits, deltas = self.box_predictor(vectors, last_layer_only=id_loss.last_layer_only)
        mask_loss = self.mask_loss(features, sampled, matched, labels, sizes, targets)
        return {
            "loss_classifier": id_loss(logits, torch.cat(labels)),
            "loss_box_reg": self.box_loss(deltas, torch.cat(labels), torch.cat(list(wanted))),
            "loss_mask": mask_loss,
        }

    def regions(
        self, features: Features, proposals: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Regions]:
        """Return boxes, ids and scores of each picture, and the inputs of the last layers."""
        vectors = self.box_head(self.box_roi_pool(features, proposals, sizes))
        logits, deltas = self.box_predictor(vectors)
        per_picture = self.postprocess_detections(logits, deltas, proposals, sizes)
        seen = vectors.split([len(boxes) for boxes in proposals])
        return [
            Regions({"boxes": boxes, "labels": labels, "scores": scores}, own, vector)
            for boxes, scores, labels, own, vector in zip(*per_picture, proposals, seen, strict=True)
        ]

    def mask_rows(self, labels: Tensor) -> Tensor:
        """Return the outputs of the mask head that draw objects with labels, (N,) int64."""
        return labels.clamp(max=self.box_predictor.rows - 1)


class Predictor(nn.Module):
    """Last layers of ids and boxes, with random weights as in Detectron.

    Args:
        inputs: length of the vectors.
        ids: how many, without background.
    """

    def __init__(self, inputs: int, ids: int) -> None:
        super().__init__()
        self.bbox_pred = nn.Linear(inputs, AGNOSTIC * 4)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.bbox_pred.bias)
        self.replace_ids(ids)

    @property
    def rows(self) -> int:
        """Number of boxes: background's and the foreground's, or background's and one per id."""
        return self.bbox_pred.out_features // 4

    def replace_ids(self, ids: int, generator: torch.Generator | None = None) -> None:
        """Put a new last layer of ids in place of the present one."""
        like = self.bbox_pred.weight
        layer = nn.Linear(self.bbox_pred.in_features, 1 + ids, device=like.device, dtype=like.dtype)
        weights = torch.empty(layer.weight.shape, device="meta" if like.is_meta else "cpu")
        with torch.no_grad():
            # drawn on the CPU: the same weights on every device
            layer.weight.copy_(weights.normal_(std=0.01, generator=generator))
            nn.init.zeros_(layer.bias)
        self.cls_score = layer

    def forward(self, vectors: Tensor, *, last_layer_only: bool = False) -> tuple[Tensor, Tensor]:
        """Return logits of ids and deltas of boxes.

        Args:
            vectors: (N, inputs).
            last_layer_only: keep the gradient of ids from the vectors.

        Returns:
            (N, 1 + ids) and (N, 4 * (1 + ids)), background first, float32; where boxes do not depend on the
            id, those of all ids are the same.
        """
        logits = at_least_float32(self.cls_score(vectors.detach() if last_layer_only else vectors))
        ids = torch.arange(logits.shape[1], device=vectors.device)
        deltas = at_least_float32(self.bbox_pred(vectors)).reshape(len(vectors), -1, 4)
        return logits, deltas[:, ids.clamp(max=self.rows - 1)].flatten(1)


class _Shortcut(nn.Sequential):
    """Layers whose input is added to what the fourth returns, if wanted."""

    shortcut = True

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number, layer in enumerate(self, start=1):
            y = layer(y)
            if number == 4 and self.shortcut:
                y = y + x
        return y


def _mask_predictor(channels: int, *, deconv: bool) -> Any:
    if deconv:
        return MaskRCNNPredictor(channels, channels, AGNOSTIC)
    layer = nn.Conv2d(channels, AGNOSTIC, kernel_size=1)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(OrderedDict(mask_fcn_logits=layer))


def _repeated(layer: nn.Linear | nn.Conv2d, ids: int, per_row: int) -> nn.Module:
    """Return a last layer with background's outputs and a copy of the foreground's for each id."""
    own = layer.weight.shape[0] // per_row
    rows = torch.arange(1 + ids, device=layer.weight.device).clamp(max=own - 1)
    repeated = copy.deepcopy(layer)
    for name, value in layer.named_parameters():
        copied = value.detach().reshape(own, per_row, *value.shape[1:])[rows].flatten(0, 1)
        setattr(repeated, name, nn.Parameter(copied, requires_grad=value.requires_grad))
    if isinstance(repeated, nn.Linear):
        repeated.out_features = len(rows) * per_row
    else:
        repeated.out_channels = len(rows) * per_row
    return repeated
