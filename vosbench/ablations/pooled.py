"""Values of the frames of all sequences at once: average precision of detections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vosbench.metrics.kernels.aggregation import Floats, Rows
from vosbench.metrics.kernels.detection import UNDEFINED, DetectionPool
from vosbench.scoring.sequence import SequenceScore

LARGEST = 60_000
"""Frames that are matched anew for an interval over sequences; beyond, it would take more than seconds."""

_Evidence = tuple[str, ...]


class DetectionRow(dict[str, float | None]):
    """Values of a sequence with the frames behind them.

    Attributes:
        evidence: records of a `DetectionPool`.
    """

    def __init__(self, score: SequenceScore) -> None:
        super().__init__({name: _defined(value) for name, value in score.values.items()})
        self.evidence = score.evidence


@dataclass(frozen=True)
class Pooled:
    """Rule that makes one value of the detections of all sequences.

    Attributes:
        metric: ``map50_det`` or ``map50_seg``.
    """

    metric: str
    within = (0.0, 1.0)

    def value(self, rows: Rows) -> float:
        """Return the value of all frames; NaN without a region to find."""
        return self._value(_evidence(rows))

    def leaves_out(self, rows: Rows) -> bool:
        """Whether the frames are few enough to be pooled again without each sequence."""
        return len(rows) * sum(map(len, _evidence(rows))) <= LARGEST

    def leave_one_out(self, rows: Rows) -> Floats:
        """Return the value without each of the n sequences in turn: (n,) float64, NaN where undefined."""
        evidence = _evidence(rows)
        return np.array([self._value(evidence[:index] + evidence[index + 1 :]) for index in range(len(rows))])

    def _value(self, evidence: Sequence[_Evidence]) -> float:
        return _precision(tuple(evidence))[self.metric]


@lru_cache(4096)
def _precision(pool: tuple[_Evidence, ...]) -> Mapping[str, float]:
    values = DetectionPool(record for evidence in pool for record in evidence).compute()
    return {name: math.nan if value == UNDEFINED else value for name, value in values.items()}


def _evidence(rows: Rows) -> list[_Evidence]:
    evidence = []
    for row in rows.values():
        assert isinstance(row, DetectionRow)
        evidence.append(row.evidence)
    return evidence


def _defined(value: float | None) -> float | None:
    return None if value is None or value == UNDEFINED or math.isnan(value) else value
