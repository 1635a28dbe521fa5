"""Boards: what a leaderboard shows of one data set under one protocol, before any formatting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from vosbench.benchmark.leakage import leaks
from vosbench.data.verify.verify import SEQUENCES
from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record
from vosbench.evaluation.score import intervals_of
from vosbench.evaluation.statistics import Interval
from vosbench.leaderboard.conditions import Conditions, measured_conditions
from vosbench.leaderboard.published import REPORTED, published_name
from vosbench.leaderboard.reported import Reported, select
from vosbench.leaderboard.status import UNKNOWN, Status, Training, status_of
from vosbench.leaderboard.verdicts import Deviation, Measured, Tolerance, Verdict, judge, reason_of
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import (
    LOWER_IS_BETTER,
    METRIC_VERSION,
    SequenceScore,
    counted_rows,
    overall,
    summary_notes,
)

Origin = Literal["measured", "reported"]

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
        model: method name, or the label under which it took part.
        size: ``"full"``, ``"tiny"`` or ``""``.
        records: sequence name -> record; empty when the method failed on every sequence.
        values: metric -> data-set value, a fraction; None where undefined.
        frames_per_second: of the sequence in the middle, by seconds of flow and segmentation per frame: one
            sequence during which the machine was busy does not move it. None without timing.
        comparisons: published numbers of this method; empty on miniature editions.
        origin: ``"reported"`` when others measured these values and published them by sequence.
        title: what the row is called, e.g. a reported method as in its paper; ``""`` for its name.
        intervals: metric -> where its data-set value lies, judged by the spread between sequences.
        status: how far the method has come.
        failures: sequence name -> why the method has no record there: a hole in the table.
        remarks: metric -> why the values of this row do not compete with those of others.
    """

    model: str
    size: str
    records: Mapping[str, Record]
    values: Mapping[str, float | None]
    frames_per_second: float | None
    comparisons: tuple[Comparison, ...] = ()
    origin: Origin = "measured"
    title: str = ""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    status: Status = UNKNOWN
    failures: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The method, whatever its label; what was scored from masks alone is called what its label says."""
        told = (record.provenance.get("config", {}).get("model") for record in self.records.values())
        return str(next((name for name in told if name), self.model))

    @property
    def name(self) -> str:
        """The method and its size, e.g. ``"mpnet (tiny)"``."""
        title = self.title or self.model
        return f"{title} ({self.size})" if self.size else title

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

    def headline(self, row: Row) -> Comparison | None:
        """Return the published number to show beside a row: of the first column that has one."""
        return next((found for name in self.metrics if (found := row.headline(name))), None)

    def competes(self, row: Row, metric: str) -> bool:
        """Whether `row` can be the best: it has a value on every sequence that counts.

        Baselines cannot, nor values with a remark.
        """
        if not self.complete(row) or row.status.kind == "baseline" or metric in row.remarks:
            return False
        counted = counted_rows(_scores(row.records), metric, self.protocol)
        return all(row.records[name].values.get(metric) is not None for name in counted)

    def best(self, metric: str) -> float | None:
        """Return the best value of a metric among the rows that compete; None without any."""
        return next(iter(self.ranked(metric)), None)

    def ranked(self, metric: str) -> list[float]:
        """Return the values of a metric of the rows that compete, best first."""
        values = [row.values.get(metric) for row in self.rows if self.competes(row, metric)]
        numbers = [value for value in values if value is not None]
        return sorted(numbers, reverse=metric not in LOWER_IS_BETTER)


def make_boards(
    records: Iterable[Record],
    reported: Sequence[Reported] = (),
    deviations: Sequence[Deviation] = (),
    tolerance: Tolerance | None = None,
    split_sizes: Mapping[tuple[str, str], int] | None = None,
    *,
    published: Iterable[Record] = (),
    failures: Iterable[Failure] = (),
    zoo: Training | None = None,
) -> list[Board]:
    """Gather records into boards, official editions first.

    A record made under an earlier version of its protocol or of the metrics never stands beside current
    ones: its cell is left empty and the row says why.

    Args:
        records: any mixture.
        reported: published numbers; they are set beside official editions only.
        deviations: accepted differences.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.
        split_sizes: label of an edition and split -> number of sequences, where it is known; else that
            of the official split, else the number of sequences that any method has.
        published: values that others published by sequence; they join the boards that have records or
            failures, on the sequences of these.
        failures: where a method has no record because it failed.
        zoo: the weights whose training is known, see `vosbench.leaderboard.status.trained_weights`.

    Raises:
        InputError: two records of one method, sequence and protocol, or an unknown protocol.
    """
    gathered: dict[_Key, _Cells] = {}
    failures = list(failures)
    for record in records:
        outdated = _outdated(record)
        if outdated is None:
            gathered.setdefault(_key(record), _Cells()).records.append(record)
        else:
            failures.append(outdated)
    for failure in failures:
        gathered.setdefault(_key(failure), _Cells()).failures.append(failure)
    for record in published:
        cells = gathered.get(_key(record))
        if cells is not None and record.sequence in cells.sequences:
            cells.published.append(record)
    context = _Context(reported, deviations, tolerance or Tolerance(), split_sizes or {}, zoo or {})
    return [_board(key, gathered[key], context) for key in sorted(gathered, key=_order)]


def data_set_values(records: Mapping[str, Record], protocol: Protocol) -> dict[str, float | None]:
    """Return metric -> data-set value of the sequences given; None where no sequence has one."""
    values = overall(_scores(records), protocol)
    return {name: None if math.isnan(value) else value for name, value in values.items()}


@dataclass
class _Cells:
    """What one board is made of."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    published: list[Record] = field(default_factory=list)

    @property
    def sequences(self) -> set[str]:
        return {item.sequence for item in self.records} | {item.sequence for item in self.failures}


_Key = tuple[bool, str, str, str]
"""Whether a miniature, data set, split, protocol."""


@dataclass(frozen=True)
class _Context:
    """What all boards share."""

    reported: Sequence[Reported]
    deviations: Sequence[Deviation]
    tolerance: Tolerance
    split_sizes: Mapping[tuple[str, str], int]
    zoo: Training


def _key(item: Record | Failure) -> _Key:
    return item.edition == "mini", item.dataset, item.split, item.protocol


def _order(key: _Key) -> tuple[bool, str, str, bool, str]:
    """Sort key: official editions first, and what methods are compared under before other protocols."""
    mini, dataset, split, protocol = key
    return mini, dataset, split, not load_protocol(protocol).compared, protocol


def _outdated(record: Record) -> Failure | None:
    """Return what to show instead of a record of rules that have changed since; None when it is current."""
    config = record.provenance.get("config", {})
    protocol = load_protocol(record.protocol)
    made = config.get("protocol", {}).get("version", 1), config.get("metric_version", METRIC_VERSION)
    # records of others' values and of baselines say nothing about versions
    if "protocol" not in config or made == (protocol.version, METRIC_VERSION):
        return None
    error = (
        f"its record is of version {made[0]} of {protocol.id} and {made[1]} of the metrics, now they are "
        f"{protocol.version} and {METRIC_VERSION}: score it again with vosbench compare or leaderboard add"
    )
    place = ("model", "size", "dataset", "edition", "split", "sequence", "protocol")
    told = {"command": record.provenance.get("command", ""), "time": record.provenance.get("time", "")}
    return Failure(**{name: getattr(record, name) for name in place}, error=error, **told)


def _board(key: _Key, cells: _Cells, context: _Context) -> Board:
    mini, dataset, split, protocol_id = key
    protocol = load_protocol(protocol_id)
    methods = _by_method(cells.records)
    failures = _failures_by_method(cells.failures, list(methods))
    rows = [
        _row(method, methods.get(method, {}), failures.get(method, {}), protocol)
        for method in dict.fromkeys((*methods, *failures))
    ]
    label = f"{dataset}-mini" if mini else dataset
    sequences = tuple(sorted(cells.sequences))
    official = None if mini else SEQUENCES.get((dataset, split))
    expected = context.split_sizes.get((label, split)) or official or len(sequences)
    rows += [_reported_row(*each, protocol, expected) for each in _by_method(cells.published).items()]
    measured = {name for row in rows for name in row.values}
    board = Board(
        dataset=dataset,
        mini=mini,
        split=split,
        protocol=protocol,
        metrics=tuple(name for name in METRIC_ORDER if name in measured),
        rows=tuple(rows),
        sequences=sequences,
        expected=expected,
    )
    judged = [_judged(row, board, context) for row in rows]
    return replace(
        board,
        rows=tuple(sorted(judged, key=lambda row: _rank(row, board.metrics))),
        notes=(
            *_notes([row for row in judged if row.records], protocol),
            *_leak_notes(cells.records, context),
        ),
    )


def _leak_notes(records: Sequence[Record], context: _Context) -> list[str]:
    trainings = {sha256: told.get("training", {}) for sha256, told in context.zoo.items()}
    notes = []
    for leak in leaks(records, trainings):
        reason = reason_of(leak, context.deviations)
        notes.append(f"leak: {leak}; {reason}" if reason else f"leak: {leak}")
    return notes


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


def _failures_by_method(
    failures: Sequence[Failure], measured: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, str]]:
    methods: dict[tuple[str, str], dict[str, str]] = {}
    for failure in failures:
        # a method that failed before its weights were read does not know its size
        sizes = [size for model, size in measured if model == failure.model]
        size = sizes[0] if not failure.size and len(sizes) == 1 else failure.size
        methods.setdefault((failure.model, size), {})[failure.sequence] = failure.error
    return methods


def _row(
    method: tuple[str, str], records: Mapping[str, Record], failures: Mapping[str, str], protocol: Protocol
) -> Row:
    model, size = method
    return Row(
        model=model,
        size=size,
        records=records,
        values=data_set_values(records, protocol),
        frames_per_second=_frames_per_second(records.values()),
        intervals=intervals_of(_scores(records), protocol) if records else {},
        failures=failures,
    )


def _reported_row(
    method: tuple[str, str], records: Mapping[str, Record], protocol: Protocol, expected: int
) -> Row:
    told = next(iter(records.values())).provenance[REPORTED]
    row = _row(method, records, {}, protocol)
    values = dict(row.values)
    if len(records) == expected:
        # what was published of the data set alone, or not of every sequence
        everywhere = set.intersection(*(set(record.values) for record in records.values()))
        values |= {name: value for name, value in told.get("table", {}).items() if name not in everywhere}
    return replace(
        row, origin="reported", title=str(told["title"]), values=values, remarks=told.get("remarks", {})
    )


def _judged(row: Row, board: Board, context: _Context) -> Row:
    """Set a row beside the published numbers and say how far its method has come."""
    if not board.mini and row.origin == "measured":
        of_same_masks = _same_masks(row, board)
        row = replace(
            row,
            title=f"{of_same_masks.title} (authors' masks)" if of_same_masks else "",
            comparisons=(
                *(_compare_same_masks(row, of_same_masks, board, context) if of_same_masks else ()),
                *_compare(row, board, context),
            ),
        )
    own = board.headline(row)
    reproduced = own is not None and own.published.own and own.verdict.kind == "reproduced"
    return replace(row, status=status_of(row.records.values(), context.zoo, reproduced))


def _same_masks(row: Row, board: Board) -> Row | None:
    """Return the reported row whose values come from the masks of `row`."""
    names = {published_name(record) for record in row.records.values()}
    return next((each for each in board.rows if each.origin == "reported" and names == {each.model}), None)


def _compare_same_masks(row: Row, published: Row, board: Board, context: _Context) -> Iterator[Comparison]:
    told = next(iter(published.records.values())).provenance[REPORTED]
    for metric in (name for name in METRIC_ORDER if name in row.values and name in told["table"]):
        number = Reported(
            paper=told["source"],
            table=f"table of {board.split}",
            method=published.title,
            dataset=board.dataset,
            split=board.split,
            metric=metric,
            value=told["table"][metric],
            variant="",
            note="",
            own=True,
            protocol=board.protocol.id,
        )
        verdict = (
            Verdict("not comparable", published.remarks[metric])
            if metric in published.remarks
            else judge(_measured(row, board, metric, None), number, context.deviations, context.tolerance)
        )
        yield Comparison(metric, row.values[metric], number, verdict)


def _compare(row: Row, board: Board, context: _Context) -> tuple[Comparison, ...]:
    conditions = measured_conditions(row.records.values(), context.zoo)
    comparisons = []
    for metric in (name for name in METRIC_ORDER if name in row.values):
        measured = _measured(row, board, metric, conditions)
        published = select(
            context.reported, dataset=board.dataset, metric=metric, model=row.method, split=board.split
        )
        comparisons += [
            Comparison(
                metric, measured.value, number, judge(measured, number, context.deviations, context.tolerance)
            )
            for number in published
        ]
    return tuple(comparisons)


def _measured(row: Row, board: Board, metric: str, conditions: Conditions | None) -> Measured:
    return Measured(
        value=row.values[metric],
        protocol=board.protocol.id,
        dataset=board.dataset,
        split=board.split,
        model=row.model,
        size=row.size,
        metric=metric,
        sequences=len(row.records),
        conditions=conditions,
    )


def _rank(row: Row, metrics: Sequence[str]) -> tuple[int, bool, float, str]:
    """Sort key: most sequences first, then by the first metric, best first, then by name."""
    value = row.values.get(metrics[0]) if metrics else None
    lower = bool(metrics) and metrics[0] in LOWER_IS_BETTER
    signed = 0.0 if value is None else value if lower else -value
    return -len(row.records), value is None, signed, row.name


def _frames_per_second(records: Iterable[Record]) -> float | None:
    seconds = []
    for record in records:
        steps = [record.seconds_per_frame[step] for step in _METHOD_STEPS if step in record.seconds_per_frame]
        if not steps:
            return None
        seconds.append(math.fsum(steps))
    middle = median(seconds) if seconds else 0.0
    return 1 / middle if middle > 0 else None


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
