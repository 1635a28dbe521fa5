"""Selection of the detections of a frame, and the map of ids of the selected ones (section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision.ops import box_iou  # type: ignore[import-untyped]

from vosbench.models.layers.detection import Found, pixels

Order = Literal["continuity_first", "maximum_first"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class DetectionRules:
    """Constraints on the detections of a frame; numbers are the paper's.

    Attributes:
        least_score: detections of an id need a higher score.
        candidates: of an id, at most so many, those with the highest scores.
        trusted_score: detections of the frame before with a higher score say where their ids are.
        least_iou: boxes of such ids need at least this intersection over union with that box.
        order: ``"continuity_first"``, the best of those near where the id was; or ``"maximum_first"``, the
            best of all, or none where that is too far. The paper does not say.
        one_maximum: of each id one detection is believed; otherwise all that are near.
        overlap_weight: [ours] weight of the intersection over union with the last box of the id against the
            score, in the order of the detections of an id.
        follow: [ours] an id of which no detection is believed is where its best detection near its last box
            is, however low its score.
    """

    least_score: float = 0.2
    candidates: int = 10
    trusted_score: float = 0.4
    least_iou: float = 0.3
    order: Order = "continuity_first"
    one_maximum: bool = True
    overlap_weight: float = 0.0
    follow: bool = False


def candidates(found: Found, rules: DetectionRules, previous: Found | None = None) -> Tensor:
    """Return the numbers of the detections that are looked at at all, best first.

    Args:
        found: ``labels`` (N,), ``scores`` (N,) and ``boxes`` (N, 4), in any order.
        rules: `DetectionRules.least_score`, `DetectionRules.candidates` and `DetectionRules.overlap_weight`.
        previous: detections of the frame before, as in `continuous`.

    Returns:
        (M,) int64.
    """
    labels, scores = found["labels"], found["scores"]
    value = scores
    if rules.overlap_weight and previous is not None:
        value = torch.lerp(scores, overlap(found, previous), rules.overlap_weight)
    ranked = value.argsort(descending=True, stable=True)
    ranked = ranked[scores[ranked] > rules.least_score]
    same = labels[ranked][:, None] == labels[ranked][None]
    better = same.tril(-1).sum(dim=1)
    return ranked[better < rules.candidates]


def continuous(found: Found, previous: Found | None, rules: DetectionRules) -> Tensor:
    """Tell which detections are where their ids were in the frame before, if that is known.

    Args:
        found: ``boxes`` (N, 4) and ``labels`` (N,).
        previous: the same with ``scores``, at most one of an id; None before the first frame.
        rules: `DetectionRules.trusted_score` and `DetectionRules.least_iou`.

    Returns:
        (N,) bool.
    """
    if previous is None:
        return torch.ones_like(found["labels"], dtype=torch.bool)
    trusted = previous["scores"] > rules.trusted_score
    same = found["labels"][:, None] == previous["labels"][trusted][None]
    far = box_iou(found["boxes"], previous["boxes"][trusted]) < rules.least_iou
    near: Tensor = ~(same & far).any(dim=1)
    return near


def overlap(found: Found, previous: Found) -> Tensor:
    """Return the intersection over union of detections with the last box of their id, (N,); 0 without one."""
    if not len(previous["labels"]):
        return torch.zeros_like(found["scores"])
    same = found["labels"][:, None] == previous["labels"][None]
    shared: Tensor = (box_iou(found["boxes"], previous["boxes"]) * same).amax(dim=1)
    return shared


def followed(found: Found, previous: Found, kept: Tensor, rules: DetectionRules) -> Tensor:
    """Return the numbers of the best detections of ids that are lost otherwise, at most one of each.

    Args:
        found: as in `select`.
        previous: as in `select`.
        kept: (M,) numbers of the detections that are believed.
        rules: `DetectionRules.least_iou`.

    Returns:
        (L,) int64.
    """
    shared = overlap(found, previous)
    value = found["scores"] * shared
    lost = ~torch.isin(found["labels"], found["labels"][kept])
    near = (lost & (shared >= rules.least_iou) & (shared > 0)).nonzero()[:, 0]
    near = near[value[near].argsort(descending=True, stable=True)]
    return near[best_of_each(found["labels"][near])]


def best_of_each(labels: Tensor) -> Tensor:
    """Return the number of the first detection of each id, ascending; (N,) ids, best first."""
    same = labels[:, None] == labels[None]
    return (~same.tril(-1).any(dim=1)).nonzero()[:, 0]


def select(found: Found, previous: Found | None, rules: DetectionRules) -> Tensor:
    """Return the numbers of the detections that are believed, best first.

    Args:
        found: ``boxes`` (N, 4), ``labels`` (N,) and ``scores`` (N,) of a frame.
        previous: those believed in the frame before, None before the first.
        rules: constraints.

    Returns:
        (M,) int64.
    """
    kept = _believed(found, previous, rules)
    if not rules.follow or previous is None:
        return kept
    return torch.cat([kept, followed(found, previous, kept, rules)])


def _believed(found: Found, previous: Found | None, rules: DetectionRules) -> Tensor:
    kept = candidates(found, rules, previous)
    near = continuous(found, previous, rules)
    if not rules.one_maximum:
        return kept[near[kept]]
    if rules.order == "continuity_first":
        kept = kept[near[kept]]
        return kept[best_of_each(found["labels"][kept])]
    kept = kept[best_of_each(found["labels"][kept])]
    return kept[near[kept]]


def id_map(found: Found) -> Tensor:
    """Return (H, W) uint8: the id whose mask covers a pixel, 0 for none.

    Where masks overlap, the id with the higher score wins, [ours]; of equal scores the first one.

    Args:
        found: ``labels`` (N,) ids to 255, ``scores`` (N,) and ``masks`` (N, 1, H, W) probabilities.
    """
    masks = pixels(found)
    result = torch.zeros(masks.shape[1:], dtype=torch.uint8, device=masks.device)
    for number in found["scores"].argsort(descending=True, stable=True).flip(0):
        result[masks[number]] = found["labels"][number].to(torch.uint8)
    return result
