"""A leaderboard before formatting: the boards, their rows, and published numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vosbench.evaluation.record import Record
from vosbench.evaluation.statistics import Interval
from vosbench.leaderboard.reported import Reported
from vosbench.leaderboard.status import UNKNOWN, Status
from vosbench.leaderboard.verdicts import Verdict
from vosbench.metrics.specs import value_spec
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, counted_rows, overall

RowKind = Literal["measured", "reported"]


@dataclass(frozen=True)
class PublishedComparison:
    """A measured data-set value beside a published number."""

    metric: str
    measured: float | None
    published: Reported
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        return None if self.measured is None else self.measured - self.published.value


@dataclass(frozen=True)
class BoardRow:
    """One method on one board.

    Attributes:
        model: method name, or the label under which it took part.
        size: ``"full"``, ``"tiny"`` or ``""``.
        records: sequence name -> record; empty when the method failed on every sequence.
        values: metric -> data-set value, a fraction; None where undefined.
        frames_per_second: of the sequence in the middle, by seconds of flow and segmentation per frame: one
            sequence during which the machine was busy does not move it. None without timing.
        comparisons: published numbers of this method; empty on miniature editions.
        kind: ``"reported"`` for values that others measured and published by sequence.
        title: heading of the row, e.g. a reported method as in its paper; ``""`` for its name.
        intervals: metric -> interval of its data-set value, from the spread between sequences.
        status: stage of the method, see `Status`.
        failures: sequence name -> error that left a missing result.
        remarks: metric -> reason why the value of this row does not compete.
    """

    model: str
    size: str
    records: Mapping[str, Record]
    values: Mapping[str, float | None]
    frames_per_second: float | None
    comparisons: tuple[PublishedComparison, ...] = ()
    kind: RowKind = "measured"
    title: str = ""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    status: Status = UNKNOWN
    failures: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The method without its label; the label itself for a row scored from masks alone."""
        names = (record.provenance.get("config", {}).get("model") for record in self.records.values())
        return str(next((name for name in names if name), self.model))

    @property
    def name(self) -> str:
        """The method and its size, e.g. ``"mpnet (tiny)"``."""
        title = self.title or self.model
        return f"{title} ({self.size})" if self.size else title

    def headline(self, metric: str) -> PublishedComparison | None:
        """Return the published number to show beside `metric`; None when there is none."""
        return next((item for item in self.comparisons if item.metric == metric), None)


@dataclass(frozen=True)
class Board:
    """One data set edition and split under one protocol.

    Attributes:
        dataset: data set name.
        mini: whether this is the miniature edition.
        split: split name.
        protocol: the rules.
        metrics: columns in order.
        rows: best first by the first metric; methods that lack sequences come after the others.
        sequences: names of all sequences of any row, in order.
        expected: number of sequences of the split.
        notes: remarks on the averages, for readers.
    """

    dataset: str
    mini: bool
    split: str
    protocol: Protocol
    metrics: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    sequences: tuple[str, ...]
    expected: int
    notes: tuple[str, ...] = ()
    _rivals: dict[str, list[BoardRow]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Label of the edition, e.g. ``"davis16-mini"``."""
        return f"{self.dataset}-mini" if self.mini else self.dataset

    def complete(self, row: BoardRow) -> bool:
        """Whether `row` has every sequence."""
        return len(row.records) == self.expected

    def headline(self, row: BoardRow) -> PublishedComparison | None:
        """Return the published number to show beside a row: of the first column that has one."""
        return next((item for name in self.metrics if (item := row.headline(name))), None)

    def competes(self, row: BoardRow, metric: str) -> bool:
        """Whether `row` can be the best: it has a value on every sequence that counts.

        Baselines cannot, nor values with a remark.
        """
        return any(rival is row for rival in self._competing(metric))

    def ranked(self, metric: str) -> list[float]:
        """Return the values of a metric of the rows that compete, best first."""
        values = [row.values.get(metric) for row in self._competing(metric)]
        numbers = [value for value in values if value is not None]
        return sorted(numbers, reverse=value_spec(metric).higher_is_better)

    def _competing(self, metric: str) -> list[BoardRow]:
        # every cell of every table asks for the rivals of its column
        if metric not in self._rivals:
            self._rivals[metric] = [row for row in self.rows if self._has_all(row, metric)]
        return self._rivals[metric]

    def _has_all(self, row: BoardRow, metric: str) -> bool:
        if not self.complete(row) or row.status.kind == "baseline" or metric in row.remarks:
            return False
        counted = counted_rows(scores_of(row.records), metric, self.protocol)
        return all(row.records[name].values.get(metric) is not None for name in counted)


def data_set_values(records: Mapping[str, Record], protocol: Protocol) -> dict[str, float | None]:
    """Return metric -> data-set value of the sequences given; None where no sequence has one."""
    values = overall(scores_of(records), protocol)
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def scores_of(records: Mapping[str, Record]) -> dict[str, SequenceScore]:
    """Return the scores that records hold, by sequence."""
    return {
        name: SequenceScore(
            values={key: math.nan if value is None else value for key, value in record.values.items()},
            objects=int(record.provenance.get("objects", 1)),
        )
        for name, record in records.items()
    }
