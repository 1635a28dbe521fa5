"""Agreement of masks with the ground truth, as they are and as they would be after usual mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vosbench.evaluation.doctor.findings import Finding
from vosbench.evaluation.results.shift import Mask, ShiftSearch, foreground, overlap, shift_words
from vosbench.scoring.protocol import Protocol
from vosbench.video import VOID, IdMap

INVERTED, SHIFTED = "inverted", "shifted"
"""First words of problems that a method may have on its own in single sequences."""

RARE = 0.05
"""Empty or full masks in fewer frames than this share are left to the method."""

_MOST_FRAMES = 0.9
_INVERTED_GAIN, _UPRIGHT_AT_MOST = 0.3, 0.2
_SWAP_GAIN, _FIRST_FRAMES = 0.2, 5
_MERGED_GAIN, _MERGED_AT_LEAST = 0.2, 0.5


@dataclass
class _Series:
    """Overlaps and counts of the frames compared."""

    overlap: list[float] = field(default_factory=list)
    upright: list[float] = field(default_factory=list)
    inverted: list[float] = field(default_factory=list)
    empty: int = 0
    full: int = 0
    identical: int = 0
    objects: int = 0
    frames: int = 0


class Agreement:
    """Comparison of the masks of one sequence with its ground truth, frame by frame.

    Args:
        target: frame index -> (H, W) uint8 ground truth, None where there is none; asked for a frame
            and its two neighbours in turn.
        protocol: decides what void means and whether ids are distinguished.
        objects: number of ids of the ground truth.
    """

    def __init__(self, target: Callable[[int], IdMap | None], protocol: Protocol, objects: int) -> None:
        self._target = target
        self._protocol = protocol
        self._series = _Series()
        self._shift = ShiftSearch(target, protocol)
        self._ids_told_apart = protocol.objects in ("ids", "match") and objects > 1
        self._tables: list[NDArray[np.float64]] = []
        self._most = objects
        self._used: set[int] = set()

    def add(self, index: int, ids: IdMap) -> None:
        """Compare frame `index`; `ids` is (H, W) uint8, 0 = background."""
        target = self._target(index)
        if target is None:
            return
        series = self._series
        mask, truth = ids != 0, foreground(target, self._protocol)
        area, true_area = int(np.count_nonzero(mask)), int(np.count_nonzero(truth))
        series.frames += 1
        series.objects += true_area > 0
        series.empty += area == 0 and true_area > 0
        series.full += area == mask.size and true_area < mask.size
        series.identical += self._same(ids, mask, target, truth)
        value = overlap(mask, truth)
        series.overlap.append(value)
        if 0 < area < mask.size and true_area:
            series.upright.append(value)
            series.inverted.append(overlap(~mask, truth))
        self._shift.add(index, ids)
        if self._ids_told_apart:
            self._tables.append(_table(ids, target, self._most))
            self._used |= set(np.flatnonzero(np.bincount(ids.ravel(), minlength=2)).tolist()) - {0}

    def findings(self) -> list[Finding]:
        """Return the mistakes that all frames show."""
        if not self._series.frames:
            return []
        findings = [self._identical(), self._empty(), self._full()]
        if not any(findings):
            findings = [self._inverted(), self._shifted(), self._swapped(), self._merged()]
        return [finding for finding in findings if finding is not None]

    def _same(self, ids: IdMap, mask: Mask, target: IdMap, truth: Mask) -> bool:
        if not self._ids_told_apart:
            return np.array_equal(mask, truth)
        return bool(((ids == target) | (target == VOID)).all())

    def _identical(self) -> Finding | None:
        series = self._series
        if series.objects < min(2, series.frames) or not series.objects or series.identical < series.frames:
            return None
        return Finding(
            series.frames,
            "every evaluated mask is identical to the ground truth",
            "these are the annotations: give the folder of the method's own masks",
        )

    def _empty(self) -> Finding | None:
        series = self._series
        if series.empty <= RARE * series.frames:
            return None
        if series.empty == series.objects:
            return Finding(
                series.empty,
                "every mask is empty",
                "check the level the masks were cut at; of soft masks, write the levels and give --threshold",
            )
        return Finding(
            series.empty,
            "empty masks where the ground truth has an object",
            "nothing to do if the method means it; otherwise write these frames again",
            "warning",
        )

    def _full(self) -> Finding | None:
        series = self._series
        if series.full <= RARE * series.frames:
            return None
        return Finding(
            series.full,
            "masks cover the whole frame",
            "check the level the masks were cut at; of soft masks, write the levels and give --threshold",
            "error" if series.full == series.frames else "warning",
        )

    def _inverted(self) -> Finding | None:
        series = self._series
        if not series.inverted:
            return None
        upright, inverted = np.array(series.upright), np.array(series.inverted)
        steady = float((inverted > upright).mean()) >= _MOST_FRAMES
        if not steady or upright.mean() > _UPRIGHT_AT_MOST or (inverted - upright).mean() < _INVERTED_GAIN:
            return None
        return Finding(
            len(inverted),
            f"{INVERTED}: the complement of the masks agrees far better with the ground truth",
            "write 1 - mask (255 - mask for 0/255)",
        )

    def _shifted(self) -> Finding | None:
        step = self._shift.step()
        if step is None:
            return None
        return Finding(
            self._shift.frames,
            f"{SHIFTED} by one frame: {shift_words(step)}",
            f"name each mask after the frame it shows: add {step:+d} to the numbers of the files",
        )

    def _swapped(self) -> Finding | None:
        if not self._tables or self._protocol.objects != "ids":
            return None
        # Loaded only here: its import takes longer than a short sequence
        from scipy.optimize import linear_sum_assignment

        table = np.mean(self._tables, axis=0)
        first = np.mean(self._tables[:_FIRST_FRAMES], axis=0)
        rows, columns = linear_sum_assignment(table, maximize=True)
        gains = [float(t[rows, columns].mean() - np.diagonal(t).mean()) for t in (table, first)]
        # A method that loses an object and confuses two later on is right in its first frames
        if min(gains) < _SWAP_GAIN:
            return None
        moved = sorted((c + 1, r + 1) for r, c in zip(rows, columns, strict=True) if r != c)
        pairs = [f"{wrong} -> {right}" for wrong, right in moved]
        return Finding(
            len(self._tables),
            "ids swapped between objects: another numbering scores far higher",
            f"renumber the objects as in the first ground-truth frame: {', '.join(pairs)}",
        )

    def _merged(self) -> Finding | None:
        if not self._tables or self._used != {1}:
            return None
        union = float(np.mean(self._series.overlap))
        if union < _MERGED_AT_LEAST or union < float(np.mean(self._tables, axis=0)[0, 0]) + _MERGED_GAIN:
            return None
        ids = self._protocol.objects == "ids"
        return Finding(
            len(self._tables),
            "one merged mask where several objects are distinguished (made for DAVIS 2016?)",
            "write one id per object, or score the merged masks with vosbench score ... --dataset davis16",
            "error" if ids else "warning",
        )


def _table(ids: IdMap, target: IdMap, most: int) -> NDArray[np.float64]:
    """Return J of every ground-truth object (rows) with every predicted id (columns), 1..most each."""
    side = most + 1
    known = np.where(ids <= most, ids, 0).astype(np.int64)
    truth = np.where(target <= most, target, 0)
    counts = np.bincount((truth.astype(np.int64) * side + known).ravel(), minlength=side * side)
    counts = counts.reshape(side, side)
    shared = counts[1:, 1:]
    union = counts[1:].sum(axis=1)[:, None] + counts[:, 1:].sum(axis=0)[None] - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 1.0)
