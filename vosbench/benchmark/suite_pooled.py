"""Values that come from the frames of all sequences at once: average precision of detections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vosbench.benchmark.evaluate import SequenceScore
from vosbench.benchmark.statistics import Floats, Rows
from vosbench.metrics.kernels.detection import UNDEFINED, DetectionPool

RESAMPLES = 200
LARGEST = 300
"""Frames of a pool whose sequences are redrawn; every redraw is matched anew, which takes seconds beyond."""

_Evidence = tuple[str, ...]


class DetectionRow(dict[str, float | None]):
    """Values of a sequence, with the frames that they come from.

    Attributes:
        evidence: records of a `DetectionPool`.
    """

    def __init__(self, score: SequenceScore) -> None:
        super().__init__({name: _defined(value) for name, value in score.values.items()})
        self.evidence = score.evidence


@dataclass(frozen=True)
class Pooled:
    """How `DetectionRow` of sequences make a value.

    Attributes:
        metric: ``map50_det`` or ``map50_seg``.
    """

    metric: str

    def value(self, rows: Rows) -> float:
        """Return the value of all frames; NaN without a region to find."""
        return self._value(_evidence(rows), [1] * len(rows))

    def draws_sequences(self, rows: Rows) -> bool:
        """Whether there are few enough frames to redraw sequences."""
        return sum(map(len, _evidence(rows))) <= LARGEST

    def resample(self, rows: Rows, counts: Floats) -> Floats:
        """Return the value of every resample, (R,).

        Args:
            rows: the n sequences.
            counts: (R, n) how often each was drawn.
        """
        evidence = _evidence(rows)
        # the few ways to draw a few sequences come again and again
        drawn, places = np.unique(counts.astype(np.int64), axis=0, return_inverse=True)
        values = np.array([self._value(evidence, row.tolist()) for row in drawn])
        return np.asarray(values[places.reshape(-1)], np.float64)

    def _value(self, evidence: Sequence[_Evidence], counts: Sequence[int]) -> float:
        pool = tuple((each, count) for each, count in zip(evidence, counts, strict=True) if count)
        return _precision(pool)[self.metric]


@lru_cache(4096)
def _precision(pool: tuple[tuple[_Evidence, int], ...]) -> Mapping[str, float]:
    records = [record for evidence, count in pool for record in evidence * count]
    values = DetectionPool(records).compute()
    return {name: math.nan if value == UNDEFINED else value for name, value in values.items()}


def _evidence(rows: Rows) -> list[_Evidence]:
    found = []
    for row in rows.values():
        assert isinstance(row, DetectionRow)
        found.append(row.evidence)
    return found


def _defined(value: float | None) -> float | None:
    return None if value is None or value == UNDEFINED or math.isnan(value) else value
