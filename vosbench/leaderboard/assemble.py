"""Boards from records: which rows a board has, their values, and their order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from vosbench.benchmark.leakage import leaks
from vosbench.data.catalogue import published_counts
from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record
from vosbench.evaluation.scores import intervals_of
from vosbench.leaderboard.board import Board, BoardRow, data_set_values, scores_of
from vosbench.leaderboard.comparisons import Context, with_published
from vosbench.leaderboard.conditions import Zoo
from vosbench.leaderboard.published import REPORTED
from vosbench.leaderboard.reported import Reported
from vosbench.leaderboard.verdicts import Deviation, Tolerance, reason_of
from vosbench.metrics.specs import value_spec, values_in_order
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import METRIC_VERSION, summary_notes

# seconds of these steps make up the frame rate; scoring is not part of a method
_METHOD_STEPS = ("flow", "segment")


def make_boards(
    records: Iterable[Record],
    reported: Sequence[Reported] = (),
    deviations: Sequence[Deviation] = (),
    tolerance: Tolerance | None = None,
    split_sizes: Mapping[tuple[str, str], int] | None = None,
    *,
    published: Iterable[Record] = (),
    failures: Iterable[Failure] = (),
    zoo: Zoo | None = None,
) -> list[Board]:
    """Gather records into boards, official editions first.

    A record made under an earlier version of its protocol or of the metrics never stands beside current
    ones: its cell is left empty and the row gives the reason.

    Args:
        records: any mixture.
        reported: published numbers; they are set beside official editions only.
        deviations: accepted differences.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.
        split_sizes: label of an edition and split -> number of sequences, where it is known; else that
            of the official split, else the number of sequences that any method has.
        published: values that others published by sequence; they join the boards that have records or
            failures, on the sequences of these.
        failures: missing results of methods that failed.
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
    context = Context(reported, deviations, tolerance or Tolerance(), split_sizes or {}, zoo or {})
    return [_board(key, gathered[key], context) for key in sorted(gathered, key=_order)]


@dataclass
class _Cells:
    """Records, failures and published values of one board."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    published: list[Record] = field(default_factory=list)

    @property
    def sequences(self) -> set[str]:
        return {item.sequence for item in self.records} | {item.sequence for item in self.failures}


_Key = tuple[bool, str, str, str]
"""Whether a miniature, data set, split, protocol."""


def _protocol(item: Record | Failure) -> Protocol:
    try:
        return load_protocol(item.protocol)
    except InputError as error:
        raise InputError(f"{item.model} on {item.sequence}: {error}") from None


def _key(item: Record | Failure) -> _Key:
    return item.edition == "mini", item.dataset, item.split, _protocol(item).id


def _order(key: _Key) -> tuple[bool, str, str, bool, int, str]:
    """Sort key: official editions first, and what methods are compared under before other protocols."""
    mini, dataset, split, name = key
    protocol = load_protocol(name)
    return mini, dataset, split, not protocol.compared, protocol.order, protocol.id


def _outdated(record: Record) -> Failure | None:
    """Return the failure in place of a record under rules that have changed since; None for a current one."""
    config = record.provenance.get("config", {})
    protocol = _protocol(record)
    made = config.get("protocol", {}).get("version", 1), config.get("metric_version", METRIC_VERSION)
    # records of others' values and of baselines hold no versions
    if "protocol" not in config or made == (protocol.version, METRIC_VERSION):
        return None
    error = (
        f"its record is of version {made[0]} of {protocol.id} and {made[1]} of the metrics, now they are "
        f"{protocol.version} and {METRIC_VERSION}: score it again with vosbench compare or leaderboard add"
    )
    fields = ("model", "size", "dataset", "edition", "split", "sequence", "protocol")
    source = {name: record.provenance.get(name, "") for name in ("command", "time")}
    return Failure(**{name: getattr(record, name) for name in fields}, error=error, **source)


def _board(key: _Key, cells: _Cells, context: Context) -> Board:
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
    official = None if mini else published_counts(dataset, split)
    complete = len(sequences) if official is None else official.sequences
    expected = context.split_sizes.get((label, split)) or complete
    rows += [_reported_row(*reported, protocol, expected) for reported in _by_method(cells.published).items()]
    measured = {name for row in rows for name in row.values}
    board = Board(
        dataset=dataset,
        mini=mini,
        split=split,
        protocol=protocol,
        metrics=values_in_order(measured),
        rows=tuple(rows),
        sequences=sequences,
        expected=expected,
    )
    rows = [with_published(row, board, context) for row in rows]
    return replace(
        board,
        rows=tuple(sorted(rows, key=lambda row: _rank(row, board.metrics))),
        notes=(
            *_notes([row for row in rows if row.records], protocol),
            *_leak_notes(cells.records, context),
        ),
    )


def _leak_notes(records: Sequence[Record], context: Context) -> list[str]:
    trainings = {sha256: weights.get("training", {}) for sha256, weights in context.zoo.items()}
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
) -> BoardRow:
    model, size = method
    return BoardRow(
        model=model,
        size=size,
        records=records,
        values=data_set_values(records, protocol),
        frames_per_second=_frames_per_second(records.values()),
        intervals=intervals_of(scores_of(records), protocol) if records else {},
        failures=failures,
    )


def _reported_row(
    method: tuple[str, str], records: Mapping[str, Record], protocol: Protocol, expected: int
) -> BoardRow:
    source = next(iter(records.values())).provenance[REPORTED]
    row = _row(method, records, {}, protocol)
    values = dict(row.values)
    if len(records) == expected:
        # what was published of the data set alone, or not of every sequence
        everywhere = set.intersection(*(set(record.values) for record in records.values()))
        values |= {name: value for name, value in source.get("table", {}).items() if name not in everywhere}
    return replace(
        row, kind="reported", title=str(source["title"]), values=values, remarks=source.get("remarks", {})
    )


def _rank(row: BoardRow, metrics: Sequence[str]) -> tuple[int, bool, float, str]:
    """Sort key: most sequences first, then by the first metric, best first, then by name."""
    value = row.values.get(metrics[0]) if metrics else None
    higher = bool(metrics) and value_spec(metrics[0]).higher_is_better
    signed = 0.0 if value is None else -value if higher else value
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


def _notes(rows: Sequence[BoardRow], protocol: Protocol) -> tuple[str, ...]:
    """Return the coverage of the averages, with the methods named where the coverage differs."""
    methods: dict[str, list[str]] = {}
    for row in rows:
        for note in summary_notes(scores_of(row.records), protocol):
            methods.setdefault(note, []).append(row.name)
    return tuple(
        note if len(names) == len(rows) else f"{note} ({', '.join(names)})" for note, names in methods.items()
    )
