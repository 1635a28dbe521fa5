"""The measures of the DAVIS benchmarks as torchmetrics: one update per video, averages over videos."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vosbench.metrics.functional.tensors import id_videos
from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.kernels.overlap import Ids, Matching, OverlapSeries, object_count
from vosbench.metrics.kernels.statistics import named_statistics, nan_mean
from vosbench.metrics.kernels.temporal import T_SCALE, PairValues, Toolkit, check_toolkit
from vosbench.metrics.specs import METRICS

FrameChoice = Literal["inner", "all"]


class _SequenceMean(GatheredMetric):
    """Averages values over videos (or objects); one that a video does not define (NaN) is left out."""

    names: ClassVar[tuple[str, ...]]
    choices: ClassVar[tuple[Matching, ...]] = ("union", "ids", "match")

    def __init__(self, frames: FrameChoice = "inner", objects: Matching = "union") -> None:
        self._begin(frames, objects)

    def _begin(self, frames: FrameChoice, objects: Matching, *others: Hashable) -> None:
        super().__init__(frames, objects, *others)
        if frames not in ("inner", "all"):
            raise ValueError(f"frames must be 'inner' or 'all', got {frames!r}")
        if objects not in self.choices:
            raise ValueError(f"objects must be {' or '.join(map(repr, self.choices))}, got {objects!r}")
        self.frames = frames
        self.objects = objects

    def update(self, pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> None:
        """Add one video.

        Args:
            pred_ids: (T, H, W) integer, predicted object ids, 0 = background; bool for one object.
            target_ids: (T, H, W) integer or bool, the ground truth of the same frames.
            void: (T, H, W) bool, pixels to leave out.

        Raises:
            ValueError: ids neither integer nor bool, or negative; not (T, H, W), shapes that differ, no
                frame to evaluate, no object in the first frame of the ground truth unless
                ``objects="union"``, or a predicted id beyond those allowed, under `void` too.
        """
        pred, target, masks = id_videos(pred_ids, target_ids, void=void)
        if len(pred[self._evaluated]) == 0:
            raise ValueError(f"frames={self.frames!r} leaves none of {len(pred)} frames to evaluate")
        objects = 1 if self.objects == "union" else object_count(target[0])
        if not objects:
            raise ValueError(f"objects={self.objects!r}: the first frame of target_ids holds no object")
        for values in self._object_values(pred, target, masks["void"], objects):
            self._keep(torch.tensor([values[name] for name in self.names], dtype=torch.float64))

    @property
    def _evaluated(self) -> slice:
        return slice(1, -1) if self.frames == "inner" else slice(None)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of every value over the videos (or objects) so far: () float64 each."""
        columns = self._all().reshape(-1, len(self.names)).cpu().numpy().T
        means = [nan_mean(column) for column in columns]
        values = torch.tensor(means, dtype=torch.float64, device=self.device)
        return dict(zip(self.names, values.unbind(), strict=True))

    def _object_values(
        self, pred: Ids, target: Ids, void: NDArray[np.bool_] | None, objects: int
    ) -> list[dict[str, float]]:
        """Values of every object from (T, H, W) ids."""
        pred, target = pred[self._evaluated], target[self._evaluated]
        void = None if void is None else void[self._evaluated]
        measures = dict.fromkeys(name.partition("_")[0] for name in self.names)
        series = OverlapSeries(tuple(measures), self.objects, objects)
        highest = int(pred.max())
        if series.highest_id is not None and highest > series.highest_id:
            reason = (
                f"the first ground truth only 1..{objects}" if self.objects == "ids" else "20 is the most"
            )
            raise ValueError(f"objects={self.objects!r}: pred_ids holds id {highest}, {reason}")
        for t in range(len(pred)):
            series.add(pred[t], target[t], None if void is None else void[t])
        return [named_statistics(values) for values in series.finish()]


class RegionSimilarity(_SequenceMean):
    """Region similarity J: mean, recall and decay over frames, averaged over videos.

    Per frame ``J = |pred and target| / |pred or target|``, 1 when both are empty; see
    `vosbench.metrics.functional.region_similarity` and `sequence_statistics`. Higher is better for
    mean and recall; decay is the loss from the first to the last quarter of a video.

    Args:
        frames: ``"inner"`` drops the first and the last frame (DAVIS 2016 and semi-supervised
            DAVIS 2017), ``"all"`` keeps them (unsupervised DAVIS 2017).
        objects: ``"union"`` takes every non-zero id as one foreground and averages over videos
            (DAVIS 2016). The others average over objects, 1..K with K the largest id of the first
            ground-truth frame: ``"ids"`` compares equal ids (semi-supervised DAVIS 2017), ``"match"``
            gives each object one of up to 20 predicted ids by the assignment of the highest total
            (unsupervised); an id that never occurs below the largest that does is an empty mask. With
            both, 255 in the ground truth is background; pass `void` to leave it out.

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

    higher_is_better = METRICS["j"].higher_is_better
    names = METRICS["j"].value_names


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

    higher_is_better = METRICS["f"].higher_is_better
    names = METRICS["f"].value_names


class JFMeasure(_SequenceMean):
    """J&F, the mean of J_mean and F_mean, with both measures and their statistics.

    Arguments and source as in `RegionSimilarity`; with ``objects="match"`` the assignment maximises
    the mean over frames of (J + F) / 2, as the released DAVIS 2017 evaluation does when it is asked
    for both. Higher is better.

    Example:
        >>> import torch
        >>> target = torch.zeros(2, 8, 8, dtype=torch.uint8)
        >>> target[:, :4], target[:, 4:] = 1, 2
        >>> measure = JFMeasure(frames="all", objects="match")
        >>> measure.update(3 - target, target)  # other ids, same objects
        >>> measure.compute()["JF_mean"]
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = METRICS["jf"].higher_is_better
    names = RegionSimilarity.names + ContourAccuracy.names

    def compute(self) -> dict[str, Tensor]:
        """Return ``JF_mean`` and the means of every value: () float64 each."""
        values = super().compute()
        return {"JF_mean": (values["J_mean"] + values["F_mean"]) / 2, **values}


class TemporalStability(_SequenceMean):
    """Temporal instability T: five times the mean pair value of a video, averaged over videos.

    Uses the prediction, see `vosbench.metrics.functional.temporal_stability`; the MATLAB toolkit also
    compares the first evaluated mask with the ground truth of the frame before. A video without a valid
    pair is left out. Which videos count is for the caller to decide: DAVIS 2016 leaves out those with
    occlusions or strong changes of shape. Lower is better. Arguments as in `RegionSimilarity`; `void`
    plays no part, and otherwise the ground truth only gives the objects with ``objects="ids"``.

    Args:
        toolkit: ``"python"`` or ``"matlab"``, the released code whose values these are. The published tables
            of DAVIS 2016 are of the latter, which takes inner frames only.

    Source: Perazzi et al., CVPR 2016, section 5.1; the released toolkits.

    Example:
        >>> import torch
        >>> video = torch.zeros(4, 40, 40, dtype=torch.uint8)
        >>> video[:, 5:25, 5:25] = 1
        >>> measure = TemporalStability()
        >>> measure.update(video, video)
        >>> measure.compute()["T_mean"]
        tensor(0., dtype=torch.float64)
    """

    higher_is_better = METRICS["t"].higher_is_better
    names = METRICS["t"].value_names
    choices = ("union", "ids")

    def __init__(
        self, frames: FrameChoice = "inner", objects: Matching = "union", toolkit: Toolkit = "python"
    ) -> None:
        self._begin(frames, objects, toolkit)
        check_toolkit(toolkit)
        if toolkit == "matlab" and frames != "inner":
            raise ValueError(f"toolkit='matlab' takes frames='inner' only, got {frames!r}")
        self.toolkit: Toolkit = toolkit

    def _object_values(
        self, pred: Ids, target: Ids, void: NDArray[np.bool_] | None, objects: int
    ) -> list[dict[str, float]]:
        del void
        ids = pred[self._evaluated]
        if self.toolkit == "matlab":
            ids = np.concatenate([target[:1], ids])
        masks = [ids != 0] if self.objects == "union" else [ids == i for i in range(1, objects + 1)]
        return [{"T_mean": _instability(video, self.toolkit)} for video in masks]


def _instability(masks: NDArray[np.bool_], toolkit: Toolkit) -> float:
    """T of one video of (N, H, W) masks."""
    pairs = PairValues(toolkit)
    for mask in masks:
        pairs.add(mask)
    return T_SCALE * nan_mean(np.array(pairs.values))
