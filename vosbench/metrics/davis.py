"""The measures of the DAVIS benchmarks as torchmetrics: one update per video, averages over videos."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from vosbench.metrics.functional import (
    contour_accuracy,
    region_similarity,
    sequence_statistics,
    temporal_stability,
)
from vosbench.metrics.kernels.statistics import STATISTICS
from vosbench.metrics.kernels.temporal import T_SCALE

FrameChoice = Literal["inner", "all"]
ObjectChoice = Literal["union", "ids"]

VOID = 255


class _SequenceMean(Metric):
    """Sums per-sequence values over videos (or objects); every value has a count of its own.

    A value that is not defined for a sequence (NaN) is left out of the mean.
    """

    is_differentiable = False
    full_state_update = False
    names: ClassVar[tuple[str, ...]]
    total: Tensor
    count: Tensor

    def __init__(self, frames: FrameChoice = "inner", objects: ObjectChoice = "union") -> None:
        super().__init__()
        if frames not in ("inner", "all"):
            raise ValueError(f"frames must be 'inner' or 'all', got {frames!r}")
        if objects not in ("union", "ids"):
            raise ValueError(f"objects must be 'union' or 'ids', got {objects!r}")
        self.frames = frames
        self.objects = objects
        zeros = torch.zeros(len(self.names), dtype=torch.float64)
        self.add_state("total", zeros, dist_reduce_fx="sum")
        self.add_state("count", zeros.clone(), dist_reduce_fx="sum")

    def update(self, pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> None:
        """Add one video.

        Args:
            pred_ids: (T, H, W) integer, predicted object ids, 0 = background.
            target_ids: (T, H, W) integer, the ground truth of the same frames.
            void: (T, H, W) bool, pixels to leave out.

        Raises:
            ValueError: not integer, not (T, H, W), shapes that differ, no frame to evaluate, or with
                ``objects="ids"`` no object in the first frame of the ground truth or a predicted id
                beyond its largest.
        """
        _check_ids(pred_ids, target_ids)
        evaluated = slice(1, -1) if self.frames == "inner" else slice(None)
        if len(pred_ids[evaluated]) == 0:
            raise ValueError(f"frames={self.frames!r} leaves none of {len(pred_ids)} frames to evaluate")
        void = None if void is None else void[evaluated]
        for pred, target in _object_masks(pred_ids, target_ids, self.objects):
            values = self._sequence_values(pred[evaluated], target[evaluated], void).to(self.total.device)
            self.total += values.nan_to_num(0.0)
            self.count += ~values.isnan()

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of every value over the videos (or objects) so far: () float64 each."""
        return dict(zip(self.names, (self.total / self.count).unbind(), strict=True))

    @abstractmethod
    def _sequence_values(self, pred: Tensor, target: Tensor, void: Tensor | None) -> Tensor:
        """Values of one sequence of (T, H, W) bool masks: (len(names),) float64."""


class RegionSimilarity(_SequenceMean):
    """Region similarity J: mean, recall and decay over frames, averaged over videos.

    Per frame ``J = |pred and target| / |pred or target|``, 1 when both are empty; see
    `vosbench.metrics.functional.region_similarity` and `sequence_statistics`. Higher is better for
    mean and recall; decay is the loss from the first to the last quarter of a video.

    Args:
        frames: ``"inner"`` drops the first and the last frame (DAVIS 2016 and semi-supervised
            DAVIS 2017), ``"all"`` keeps them (unsupervised DAVIS 2017).
        objects: ``"union"`` takes every non-zero id as one foreground and averages over videos
            (DAVIS 2016); ``"ids"`` measures the ids 1..K one by one, K the largest id of the first
            ground-truth frame, and averages over objects. With ``"ids"``, 255 in the ground truth is
            background; pass `void` to leave it out.

    Source: Perazzi et al., CVPR 2016, section 5; Pont-Tuset et al., 2017.

    Example:
        >>> import torch
        >>> target = torch.ones(4, 2, 2, dtype=torch.uint8)
        >>> pred = target.clone()
        >>> pred[:, 0] = 0
        >>> measure = RegionSimilarity()
        >>> measure.update(pred, target)
        >>> measure.compute()["J_mean"]
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True
    names = tuple(f"J_{name}" for name in STATISTICS)

    def _sequence_values(self, pred: Tensor, target: Tensor, void: Tensor | None) -> Tensor:
        return _statistics(region_similarity(pred, target, void))


class ContourAccuracy(_SequenceMean):
    """Contour accuracy F: mean, recall and decay over frames, averaged over videos.

    Per frame ``F = 2PR / (P + R)`` of boundary pixels matched within a small radius; see
    `vosbench.metrics.functional.contour_accuracy`. Arguments, source and direction as in
    `RegionSimilarity`.

    Example:
        >>> import torch
        >>> target = torch.zeros(3, 8, 8, dtype=torch.uint8)
        >>> target[:, 2:5, 2:5] = 1
        >>> measure = ContourAccuracy(frames="all")
        >>> measure.update(target.roll(1, dims=1), target)
        >>> measure.compute()["F_mean"]
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = True
    names = tuple(f"F_{name}" for name in STATISTICS)

    def _sequence_values(self, pred: Tensor, target: Tensor, void: Tensor | None) -> Tensor:
        return _statistics(contour_accuracy(pred, target, void))


class TemporalStability(_SequenceMean):
    """Temporal instability T: five times the mean pair value of a video, averaged over videos.

    Uses the prediction alone; see `vosbench.metrics.functional.temporal_stability`. A video without
    a valid pair is left out. Which videos count is for the caller to decide: DAVIS 2016 leaves out
    those with occlusions or strong changes of shape. Lower is better. Arguments as in
    `RegionSimilarity`; the ground truth only tells the objects with ``objects="ids"``, and `void`
    plays no part.

    Source: Perazzi et al., CVPR 2016, section 5.1; the released Python toolkit.

    Example:
        >>> import torch
        >>> video = torch.zeros(4, 40, 40, dtype=torch.uint8)
        >>> video[:, 5:25, 5:25] = 1
        >>> measure = TemporalStability()
        >>> measure.update(video, video)
        >>> measure.compute()["T_mean"]
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = False
    names = ("T_mean",)

    def _sequence_values(self, pred: Tensor, target: Tensor, void: Tensor | None) -> Tensor:
        del target, void
        return T_SCALE * temporal_stability(pred).nanmean().reshape(1)


def _statistics(values: Tensor) -> Tensor:
    statistics = sequence_statistics(values)
    return torch.tensor([statistics[name] for name in STATISTICS], dtype=torch.float64)


def _check_ids(pred_ids: Tensor, target_ids: Tensor) -> None:
    for name, ids in (("pred_ids", pred_ids), ("target_ids", target_ids)):
        if ids.ndim != 3 or ids.is_floating_point() or ids.is_complex():
            raise ValueError(
                f"{name} must be (T, H, W) integer ids, got {ids.dtype} of shape {tuple(ids.shape)}"
            )
    if pred_ids.shape != target_ids.shape:
        raise ValueError(
            f"pred_ids has shape {tuple(pred_ids.shape)}, target_ids has {tuple(target_ids.shape)}: "
            "sizes must agree"
        )


def _object_masks(
    pred_ids: Tensor, target_ids: Tensor, objects: ObjectChoice
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield predicted and true (T, H, W) bool masks of every object that counts."""
    if objects == "union":
        yield pred_ids != 0, target_ids != 0
        return
    first = target_ids[0]
    largest = int(first[first != VOID].max()) if (first != VOID).any() else 0
    if largest == 0:
        raise ValueError("objects='ids': the first frame of target_ids holds no object")
    if (beyond := int(pred_ids.max())) > largest:
        raise ValueError(
            f"objects='ids': pred_ids holds id {beyond}, the first ground truth only 1..{largest}"
        )
    for object_id in range(1, largest + 1):
        yield pred_ids == object_id, target_ids == object_id
