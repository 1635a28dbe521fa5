"""J and F of two masks, and of the objects of a video frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.silhouette import BOUND_TH, Silhouette, count, match_radius

Ids = NDArray[np.integer]
"""(H, W) integer object ids, 0 = background."""

Matching = Literal["union", "ids", "match"]

VOID = 255
"""Id of ground-truth pixels that belong to no object and not to the background either."""

MAX_PROPOSALS = 20
"""Most object ids a prediction may use under matching (Caelles et al., 2019)."""


def region(pred: Silhouette, target: Silhouette) -> float:
    """Return ``J = |pred and target| / |pred or target|``, 1 when both are empty."""
    shared = count(pred.words & target.words)
    union = pred.area + target.area - shared
    return shared / union if union else 1.0


def contour(pred: Silhouette, target: Silhouette) -> float:
    """Return ``F = 2PR / (P + R)`` of the boundary pixels within the radius of the other boundary.

    A mask without boundary (empty, or covering the whole frame) has P = 1 as prediction and R = 1
    as ground truth: F is 1 when neither has one, 0 when one has.
    """
    if not pred.boundary_length or not target.boundary_length:
        return float(pred.boundary_length == target.boundary_length)
    precision = count(pred.boundary & target.neighbourhood) / pred.boundary_length
    recall = count(target.boundary & pred.neighbourhood) / target.boundary_length
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def object_count(first_target: Ids) -> int:
    """Return K, the largest id of the first ground-truth frame: its objects are 1..K. 255 is none."""
    objects = first_target[first_target != VOID]
    return int(objects.max(initial=0))


MEASURES: dict[str, Callable[[Silhouette, Silhouette], float]] = {"J": region, "F": contour}
"""Per-frame measures of a predicted and a true mask."""


class OverlapSeries:
    """Values of every object of a video, frame by frame, in bounded memory.

    * ``"union"``: one foreground, every non-zero id, on either side;
    * ``"ids"``: object i is id i on either side;
    * ``"match"``: each object gets one predicted id for the whole video, by the assignment that
      maximises the mean over frames and measures. Candidates are all ids from 1 to the largest of the
      prediction, under void too: those that never occur are empty masks, as are those that make up the
      number of objects. Surplus candidates cost nothing.

    Args:
        measures: names out of `MEASURES`.
        matching: as above.
        objects: number of objects; only for ``"ids"`` and ``"match"``.
        bound_th: see `vosbench.metrics.kernels.silhouette.match_radius`.

    Attributes:
        highest_id: the largest id a prediction may have; None where any will do.

    Source: Pont-Tuset et al., 2017; Caelles et al., 2019 (matching).
    """

    def __init__(
        self,
        measures: Sequence[str],
        matching: Matching = "union",
        objects: int = 1,
        bound_th: float = BOUND_TH,
    ) -> None:
        self._measures = [MEASURES[name] for name in measures]
        self._names = tuple(measures)
        self._matching = matching
        self._objects = 1 if matching == "union" else objects
        self._bound_th = bound_th
        self.highest_id = {"union": None, "ids": objects, "match": MAX_PROPOSALS}[matching]
        self._frames: list[NDArray[np.float64]] = []
        self._highest = 0

    def add(self, pred_ids: Ids, target_ids: Ids, void: NDArray[np.bool_] | None = None) -> None:
        """Take the next frame: (H, W) integer ids or bool masks of one shape.

        Pixels of `void` are left out: they are emptied in both, which removes them from J, and makes the
        boundaries along them that the released evaluation has.
        """
        if self._matching == "match":
            self._highest = max(self._highest, int(pred_ids.max(initial=0)))
        if void is not None:
            pred_ids, target_ids = pred_ids * ~void, target_ids * ~void
        height, width = pred_ids.shape
        radius = match_radius(height, width, self._bound_th)
        if self._matching == "union":
            pred, target = Silhouette(pred_ids != 0, radius), Silhouette(target_ids != 0, radius)
            self._frames.append(self._values(pred, target)[:, None])
            return
        objects = [Silhouette(target_ids == i, radius) for i in range(1, self._objects + 1)]
        if self._matching == "ids":
            pairs = zip(range(1, self._objects + 1), objects, strict=True)
            columns = [self._values(Silhouette(pred_ids == i, radius), target) for i, target in pairs]
            self._frames.append(np.stack(columns, axis=1))
            return
        self._frames.append(self._table(pred_ids, objects, radius))

    def finish(self) -> list[dict[str, NDArray[np.float64]]]:
        """Return per object: measure -> (N,) float64 values of the frames."""
        if not self._frames:
            return [{name: np.empty(0) for name in self._names} for _ in range(self._objects)]
        values = np.stack(self._frames, axis=-1)
        if self._matching == "match":
            values = self._assigned(values)
        return [
            {name: values[index, object_index] for index, name in enumerate(self._names)}
            for object_index in range(self._objects)
        ]

    def _values(self, pred: Silhouette, target: Silhouette) -> NDArray[np.float64]:
        return np.array([measure(pred, target) for measure in self._measures])

    def _table(self, pred_ids: Ids, objects: Sequence[Silhouette], radius: float) -> NDArray[np.float64]:
        """Values of every object with every proposal: (measures, objects, 1 + proposals).

        Column 0 is the empty mask, which is also what a proposal is in a frame without it.
        """
        present = [int(i) for i in np.flatnonzero(np.bincount(pred_ids.ravel())) if i]
        empty = Silhouette(np.zeros(pred_ids.shape, bool), radius)
        nothing = np.stack([self._values(empty, target) for target in objects], axis=1)
        table = np.repeat(nothing[:, :, None], 1 + MAX_PROPOSALS, axis=2)
        for i in present:
            proposal = Silhouette(pred_ids == i, radius)
            table[:, :, i] = np.stack([self._values(proposal, target) for target in objects], axis=1)
        return table

    def _assigned(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        # only matching needs scipy, whose import takes longer than scoring a short sequence
        from scipy.optimize import linear_sum_assignment

        columns = [*range(1, self._highest + 1), *[0] * (self._objects - self._highest)]
        # Laid out, averaged and solved as the released evaluation does: among assignments of one total,
        # which differ in J and in F, the solver then finds the same.
        means = values.mean(axis=-1)[:, :, columns]
        candidates, objects = linear_sum_assignment(means.sum(axis=0).T / len(means), maximize=True)
        column_of = {int(i): columns[c] for i, c in zip(objects, candidates, strict=True)}
        return np.stack([values[:, i, column_of[i]] for i in range(self._objects)], axis=1)
