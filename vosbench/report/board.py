"""Boards: what a leaderboard shows of one data set under one protocol, before any formatting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vosbench.benchmark.evaluate import LOWER_IS_BETTER, SequenceScore, overall, summary_notes
from vosbench.benchmark.protocols import Protocol, load_protocol
from vosbench.benchmark.record import Record
from vosbench.data.verify import SEQUENCES
from vosbench.errors import InputError
from vosbench.report.reported import Reported, select
from vosbench.report.verdicts import Deviation, Measured, Tolerance, Verdict, judge

METRIC_ORDER = (
    "JF_mean",
    "J_mean",
    "J_recall",
    "J_decay",
    "F_mean",
    "F_recall",
    "F_decay",
    "T_mean",
    "f_measure",
    "precision",
    "recall",
    "n_objects",
    "delta_obj",
    "iou_mean",
    "map50_det",
    "map50_seg",
)
"""Columns, in this order; a board ranks by the first it has."""

# seconds of these steps make up the frame rate; scoring is not part of a method
_METHOD_STEPS = ("flow", "segment")


@dataclass(frozen=True)
class Comparison:
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
class Row:
    """One method on one board.

    Attributes:
        model: method name.
        size: ``"full"``, ``"tiny"`` or ``""``.
        records: sequence name -> record.
        values: metric -> data-set value, a fraction; None where undefined.
        frames_per_second: frames over seconds of flow and segmentation; None without timing.
        comparisons: published numbers of this method; empty on miniature editions.
    """

    model: str
    size: str
    records: Mapping[str, Record]
    values: Mapping[str, float | None]
    frames_per_second: float | None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def name(self) -> str:
        """The method and its size, e.g. ``"mpnet (tiny)"``."""
        return f"{self.model} ({self.size})" if self.size else self.model

    def headline(self, metric: str) -> Comparison | None:
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
        notes: what a reader must know about the averages.
    """

    dataset: str
    mini: bool
    split: str
    protocol: Protocol
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    sequences: tuple[str, ...]
    expected: int
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Label of the edition, e.g. ``"davis16-mini"``."""
        return f"{self.dataset}-mini" if self.mini else self.dataset

    def complete(self, row: Row) -> bool:
        """Whether `row` has every sequence."""
        return len(row.records) == self.expected

    def best(self, metric: str) -> float | None:
        """Return the best value of a metric among the rows that can be compared; None without any."""
        values = [row.values.get(metric) for row in self.rows if self.complete(row)]
        numbers = [value for value in values if value is not None]
        if not numbers:
            return None
        return min(numbers) if metric in LOWER_IS_BETTER else max(numbers)


def make_boards(
    records: Iterable[Record],
    reported: Sequence[Reported] = (),
    deviations: Sequence[Deviation] = (),
    tolerance: Tolerance | None = None,
    split_sizes: Mapping[str, int] | None = None,
) -> list[Board]:
    """Gather records into boards, official editions first.

    Args:
        records: any mixture.
        reported: published numbers; they are set beside official editions only.
        deviations: accepted differences.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.
        split_sizes: label of an edition -> number of sequences, where it is known; else that of the
            official split, else the number of sequences that any method has.

    Raises:
        InputError: two records of one method, sequence and protocol, or an unknown protocol.
    """
    groups: dict[tuple[bool, str, str, str], list[Record]] = {}
    for record in records:
        key = (record.edition == "mini", record.dataset, record.split, record.protocol)
        groups.setdefault(key, []).append(record)
    limits, sizes = tolerance or Tolerance(), split_sizes or {}
    return [_board(groups[key], reported, deviations, limits, sizes) for key in sorted(groups)]


def data_set_values(records: Mapping[str, Record], protocol: Protocol) -> dict[str, float | None]:
    """Return metric -> data-set value of the sequences given; None where no sequence has one."""
    values = overall(_scores(records), protocol)
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def edition_label(record: Record) -> str:
    """Return the label of a record's edition, e.g. ``"davis16-mini"``."""
    return f"{record.dataset}-mini" if record.edition == "mini" else record.dataset


def _board(
    records: Sequence[Record],
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    tolerance: Tolerance,
    split_sizes: Mapping[str, int],
) -> Board:
    first = records[0]
    protocol = load_protocol(first.protocol)
    mini = first.edition == "mini"
    rows = [_row(method, of_method, protocol) for method, of_method in _by_method(records).items()]
    if not mini:
        rows = [
            replace(row, comparisons=_compare(row, first, reported, deviations, tolerance)) for row in rows
        ]
    sequences = tuple(sorted({record.sequence for record in records}))
    official = None if mini else SEQUENCES.get((first.dataset, first.split))
    expected = split_sizes.get(edition_label(first)) or official or len(sequences)
    measured = {name for row in rows for name in row.values}
    metrics = tuple(name for name in METRIC_ORDER if name in measured)
    rows.sort(key=lambda row: _rank(row, metrics))
    return Board(
        dataset=first.dataset,
        mini=mini,
        split=first.split,
        protocol=protocol,
        metrics=metrics,
        rows=tuple(rows),
        sequences=sequences,
        expected=expected,
        notes=_notes(rows, protocol),
    )


def _by_method(records: Sequence[Record]) -> dict[tuple[str, str], dict[str, Record]]:
    methods: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        of_method = methods.setdefault((record.model, record.size), {})
        if record.sequence in of_method:
            raise InputError(
                f"two records of {record.model} on {record.dataset}/{record.sequence} "
                f"under {record.protocol}: delete one"
            )
        of_method[record.sequence] = record
    return methods


def _row(method: tuple[str, str], records: Mapping[str, Record], protocol: Protocol) -> Row:
    model, size = method
    return Row(
        model=model,
        size=size,
        records=records,
        values=data_set_values(records, protocol),
        frames_per_second=_frames_per_second(records.values()),
    )


def _compare(
    row: Row,
    first: Record,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    tolerance: Tolerance,
) -> tuple[Comparison, ...]:
    comparisons = []
    for metric in (name for name in METRIC_ORDER if name in row.values):
        measured = Measured(
            value=row.values[metric],
            protocol=first.protocol,
            dataset=first.dataset,
            split=first.split,
            model=row.model,
            size=row.size,
            metric=metric,
            sequences=len(row.records),
        )
        published = select(reported, dataset=first.dataset, metric=metric, model=row.model, split=first.split)
        comparisons += [
            Comparison(metric, measured.value, number, judge(measured, number, deviations, tolerance))
            for number in published
        ]
    return tuple(comparisons)


def _rank(row: Row, metrics: Sequence[str]) -> tuple[int, bool, float, str]:
    """Sort key: most sequences first, then by the first metric, best first, then by name."""
    value = row.values.get(metrics[0]) if metrics else None
    lower = bool(metrics) and metrics[0] in LOWER_IS_BETTER
    signed = 0.0 if value is None else value if lower else -value
    return -len(row.records), value is None, signed, row.name


def _frames_per_second(records: Iterable[Record]) -> float | None:
    frames, seconds = 0, 0.0
    for record in records:
        steps = [record.seconds_per_frame[step] for step in _METHOD_STEPS if step in record.seconds_per_frame]
        if not steps:
            return None
        frames += record.frames
        seconds += math.fsum(steps) * record.frames
    return frames / seconds if seconds > 0 else None


def _notes(rows: Sequence[Row], protocol: Protocol) -> tuple[str, ...]:
    """Say what the averages were taken over, naming the methods where it was not the same for all."""
    methods: dict[str, list[str]] = {}
    for row in rows:
        for note in summary_notes(_scores(row.records), protocol):
            methods.setdefault(note, []).append(row.name)
    return tuple(
        note if len(names) == len(rows) else f"{note} ({', '.join(names)})" for note, names in methods.items()
    )


def _scores(records: Mapping[str, Record]) -> dict[str, SequenceScore]:
    return {
        name: SequenceScore(
            values={key: math.nan if value is None else value for key, value in record.values.items()},
            objects=int(record.provenance.get("objects", 1)),
        )
        for name, record in records.items()
    }
