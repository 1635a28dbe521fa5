"""The measures of FBMS-59: official (MoSegEval), proposed (Dave et al.), and the count of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Variant = Literal["official", "proposed"]

EXTRACTED = 0.75
"""An object counts as extracted when its pair has an F above this (Ochs et al., section 6)."""

BACKGROUND = 0


@dataclass(frozen=True)
class _Overlap:
    """Pixels shared by predicted clusters and ground-truth regions over the whole video.

    Attributes:
        shared: (C, R) pixels in both.
        clusters, regions: (C,) and (R,) pixels of each.
    """

    shared: NDArray[np.float64]
    clusters: NDArray[np.float64]
    regions: NDArray[np.float64]

    def assignment(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Return clusters and regions of the one-to-one pairs of the largest total F, and F of each."""
        total = self.clusters[:, None] + self.regions[None, :]
        # 2PR / (P + R) of P = shared / cluster and R = shared / region
        f_measure = 2 * self.shared / np.maximum(total, 1)
        rows, columns = linear_sum_assignment(f_measure, maximize=True)
        return rows, columns, f_measure[rows, columns]


def fbms_measure(
    pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None, variant: Variant = "proposed"
) -> dict[str, float]:
    """Return precision, recall and F-measure of one video, and how many objects were extracted.

    Predicted clusters and ground-truth regions are compared over all frames together, so an id that
    changes hands halfway is an error, and assigned one to one by the largest total F.

    * ``"proposed"``: objects only. With C the pixels shared by assigned pairs, precision is C over
      all predicted object pixels and recall C over all true object pixels; void is background.
      Source: Dave et al., Towards Segmenting Anything That Moves, 2019.
    * ``"official"``: the background is a region and a cluster like any other; precision and recall are means
      over regions, a region without a cluster adds precision 1 and recall 0, void has no weight.
      Source: Ochs, Malik, Brox, TPAMI 2014, dense reading of the released MoSegEval program.

    Args:
        pred_ids: (T, H, W) integer ids on the labelled frames, 0 = background.
        target_ids: (T, H, W) integer ids of the same frames, 0 = background.
        void: (T, H, W) bool, unlabelled pixels.
        variant: which measure.

    Returns:
        ``precision``, ``recall``, ``f_measure`` in [0, 1], ``n_objects``: objects with F above 0.75
        (the official count takes one off for the background).

    Raises:
        ValueError: not integer, not (T, H, W), shapes that differ, or an unknown variant.
    """
    _check(pred_ids, target_ids, void)
    if variant not in ("official", "proposed"):
        raise ValueError(f"variant must be 'official' or 'proposed', got {variant!r}")
    pred, target = pred_ids.cpu().numpy().ravel(), target_ids.cpu().numpy().ravel()
    unlabelled = np.zeros(pred.shape, bool) if void is None else void.cpu().numpy().ravel()
    if variant == "official":
        return _official(_overlap(pred[~unlabelled], target[~unlabelled], background=True))
    return _proposed(_overlap(pred, np.where(unlabelled, BACKGROUND, target), background=False))


def object_count_error(pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> int:
    """Return Delta-Obj of one video: how far the number of predicted objects is from the true one.

    Distinct non-background ids on the labelled frames are counted; the sign is dropped.
    Source: Bideau et al., 2018.

    Args:
        pred_ids: (T, H, W) integer ids, 0 = background.
        target_ids: (T, H, W) integer ids of the same frames.
        void: (T, H, W) bool, unlabelled pixels, whose ground-truth ids do not count.

    Raises:
        ValueError: not integer, not (T, H, W), or shapes that differ.
    """
    _check(pred_ids, target_ids, void)
    target = target_ids if void is None else target_ids[~void]
    predicted, true = (np.unique(ids.cpu().numpy()) for ids in (pred_ids, target))
    return abs(int((predicted != BACKGROUND).sum()) - int((true != BACKGROUND).sum()))


def _check(pred_ids: Tensor, target_ids: Tensor, void: Tensor | None) -> None:
    for name, ids in (("pred_ids", pred_ids), ("target_ids", target_ids)):
        if ids.ndim != 3 or ids.dtype.is_floating_point or ids.dtype.is_complex or ids.dtype == torch.bool:
            raise ValueError(f"{name} must be (T, H, W) integer ids, got {ids.dtype} {tuple(ids.shape)}")
    if pred_ids.shape != target_ids.shape:
        raise ValueError(f"shapes differ: {tuple(pred_ids.shape)} and {tuple(target_ids.shape)}")
    if void is not None and (void.dtype != torch.bool or void.shape != target_ids.shape):
        raise ValueError(f"void must be {tuple(target_ids.shape)} bool, got {void.dtype} {tuple(void.shape)}")


def _overlap(pred: NDArray[np.integer], target: NDArray[np.integer], *, background: bool) -> _Overlap:
    """Count what every cluster shares with every region; with or without the background of both."""
    clusters, cluster_of = np.unique(pred, return_inverse=True)
    regions, region_of = np.unique(target, return_inverse=True)
    table = np.bincount(cluster_of * len(regions) + region_of, minlength=len(clusters) * len(regions))
    shared = table.reshape(len(clusters), len(regions)).astype(np.float64)
    rows = np.ones(len(clusters), bool) if background else clusters != BACKGROUND
    columns = np.ones(len(regions), bool) if background else regions != BACKGROUND
    return _Overlap(shared[np.ix_(rows, columns)], shared.sum(1)[rows], shared.sum(0)[columns])


def _proposed(overlap: _Overlap) -> dict[str, float]:
    rows, columns, f_measures = overlap.assignment()
    shared = overlap.shared[rows, columns].sum()
    precision = shared / max(overlap.clusters.sum(), 1)
    recall = shared / max(overlap.regions.sum(), 1)
    return _values(precision, recall, int((f_measures > EXTRACTED).sum()))


def _official(overlap: _Overlap) -> dict[str, float]:
    rows, columns, f_measures = overlap.assignment()
    shared = overlap.shared[rows, columns]
    regions = len(overlap.regions)
    without_cluster = regions - len(columns)
    precision = ((shared / overlap.clusters[rows]).sum() + without_cluster) / max(regions, 1)
    recall = (shared / overlap.regions[columns]).sum() / max(regions, 1)
    return _values(precision, recall, max(int((f_measures > EXTRACTED).sum()) - 1, 0))


def _values(precision: float, recall: float, extracted: int) -> dict[str, float]:
    total = precision + recall
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f_measure": float(2 * precision * recall / total) if total else 0.0,
        "n_objects": float(extracted),
    }
