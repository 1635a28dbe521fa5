"""Check of numbers against a baseline and published ones, and of tables against their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vosbench.benchmark.leakage import leaks
from vosbench.evaluation.record import Record
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.baseline import identity, read_baseline
from vosbench.leaderboard.board import Board, BoardRow, data_set_values
from vosbench.leaderboard.build import contents, records_of
from vosbench.leaderboard.html.examples import EXAMPLES
from vosbench.leaderboard.published import disagreements, load_published
from vosbench.leaderboard.reported import Reported
from vosbench.leaderboard.status import trained_weights
from vosbench.leaderboard.tables import board_title, show
from vosbench.leaderboard.verdicts import LEAK, Deviation, Tolerance, reason_of
from vosbench.models.pretrained.zoo import shipped, trainings

_WORST = 5
"""Number of sequences that a finding names."""

_SHOWN = 0.0005
"""A difference that shows in a percentage with one decimal."""


@dataclass(frozen=True)
class CheckFinding:
    """A number or file that a check did not accept.

    Attributes:
        kind: ``"moved"`` (a number is not that of the baseline), ``"missing"`` (the baseline has a
            number that was not measured now), ``"differs"`` (from the published number, without an
            accepted deviation, or from what was published of a frame of the same masks), ``"leak"``
            (scored on what was trained or selected on, without an accepted deviation of the metric `LEAK`),
            ``"outdated"`` (a generated file).
        message: one line: what, where, what to do.
    """

    kind: Literal["moved", "missing", "differs", "leak", "outdated"]
    message: str


def check(
    records_root: Path,
    baseline: Path | None,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    *,
    tables: Path | None = None,
    tolerance: Tolerance | None = None,
    whole: bool = False,
) -> list[CheckFinding]:
    """Return all findings about the records; empty when all is well.

    Args:
        records_root: folder with the records to check.
        baseline: numbers to compare with, see `vosbench.leaderboard.baseline.read_baseline`; None to leave
            this out.
        reported: published numbers; empty to leave this out.
        deviations: accepted differences.
        tables: folder with the generated files of these records; None to leave this out.
        tolerance: limits of the verdicts and of what counts as moved; the defaults when None.
        whole: every method and metric of the baseline must be there, not only those measured now.

    Raises:
        InputError: a folder is missing or holds a file that is not a record.
    """
    limits = tolerance or Tolerance()
    records = records_of(records_root)
    boards = make_boards(records, reported, deviations, limits, zoo=trained_weights(shipped()))
    findings = _differing(boards) + _leaking(records, deviations)
    findings += [CheckFinding("differs", message) for message in disagreements(records, load_published())]
    if baseline is not None:
        findings += _against(boards, make_boards(read_baseline(baseline)), limits, whole)
    if tables is not None:
        texts = contents(records_root, reported, deviations, tolerance, examples=tables / EXAMPLES)
        findings += _outdated(texts, tables)
    return findings


def _leaking(records: Sequence[Record], deviations: Sequence[Deviation]) -> list[CheckFinding]:
    return [
        CheckFinding(
            "leak", f"{leak}; leave such numbers out, or accept them in deviations.yaml, metric {LEAK}"
        )
        for leak in leaks(records, trainings())
        if not reason_of(leak, deviations)
    ]


def _differing(boards: Sequence[Board]) -> list[CheckFinding]:
    return [
        CheckFinding(
            "differs",
            f"{row.name} on {_where(board)}: {item.metric} is {show(item.metric, item.measured)}, "
            f"published {show(item.metric, item.published.value)} ({item.published.source}); "
            "explain it in deviations.yaml or find the cause",
        )
        for board in boards
        for row in board.rows
        for item in row.comparisons
        if item.verdict.unexplained
    ]


def _against(
    boards: Sequence[Board], committed: Sequence[Board], limits: Tolerance, whole: bool
) -> list[CheckFinding]:
    before = {(_board_key(board), row.name): row for board in committed for row in board.rows}
    findings: list[CheckFinding] = []
    compared = False
    for board in boards:
        for row in board.rows:
            old = before.get((_board_key(board), row.name))
            if old is None or not row.records.keys() & old.records.keys():
                continue
            compared = True
            findings += _moved(board, row, old, limits)
            findings += _missing_parts(board, row, old, whole)
    if not compared:
        # a check that compared nothing must not look like one that found nothing
        findings.append(CheckFinding("moved", "no method and sequence in common with the baseline"))
    return findings + (_missing_rows(boards, committed) if whole else [])


def _moved(board: Board, row: BoardRow, old: BoardRow, limits: Tolerance) -> list[CheckFinding]:
    """Compare data-set values over the sequences that both rows have, then every cell."""
    common = sorted(row.records.keys() & old.records.keys())
    now, then = ({name: of.records[name] for name in common} for of in (row, old))
    values = data_set_values(now, board.protocol), data_set_values(then, board.protocol)
    where = f"{row.name} on {_where(board)}, {len(common)} sequences in common"
    cause = _cause(now, then)
    findings = []
    for metric in sorted(_metrics(now) & _metrics(then)):
        new, was = (of.get(metric) for of in values)
        if _differ(new, was, limits.moved_by(metric)):
            cells = _moved_cells(metric, now, then, _SHOWN)
            text = f"{metric} was {show(metric, was)}, is {show(metric, new)}"
        elif cells := _moved_cells(metric, now, then, limits.cell_moved_by(metric)):
            text = f"{metric} stays {show(metric, new)}, but single sequences moved"
        else:
            continue
        findings.append(CheckFinding("moved", f"{where}: {text} ({_list(metric, cells)}); {cause}"))
    return findings


def _metrics(records: Mapping[str, Record]) -> set[str]:
    return {name for record in records.values() for name in record.values}


def _moved_cells(
    metric: str, now: Mapping[str, Record], then: Mapping[str, Record], limit: float
) -> list[tuple[str, float | None, float | None]]:
    """Return (sequence, value then, value now) of the cells that moved, the furthest first."""
    cells = [(name, then[name].values.get(metric), now[name].values.get(metric)) for name in now]
    moved = [cell for cell in cells if _differ(cell[2], cell[1], limit)]

    def distance(cell: tuple[str, float | None, float | None]) -> float:
        # a value that came or went moved furthest
        return float("inf") if cell[1] is None or cell[2] is None else abs(cell[1] - cell[2])

    return sorted(moved, key=distance, reverse=True)


def _list(metric: str, cells: Sequence[tuple[str, float | None, float | None]]) -> str:
    text = [f"{name} {show(metric, was)} to {show(metric, new)}" for name, was, new in cells[:_WORST]]
    more = f" and {len(cells) - _WORST} more" if len(cells) > _WORST else ""
    return f"{', '.join(text)}{more}"


def _cause(now: Mapping[str, Record], then: Mapping[str, Record]) -> str:
    """Return the inputs that changed since the baseline was measured."""
    changes: dict[str, None] = {}
    for name, record in now.items():
        new, old = identity(record), identity(then[name])
        for key in sorted(new.keys() & old.keys()):
            if new[key] != old[key]:
                changes[f"{key} {old[key]} became {new[key]}" if key != "data" else "the data"] = None
    text = f"changed since: {', '.join(changes)}" if changes else "same weights, settings and data"
    return f"{text}; find the cause, or commit a new baseline with the reason"


def _missing_parts(board: Board, row: BoardRow, old: BoardRow, whole: bool) -> list[CheckFinding]:
    """Report sequences that another method was measured on now and this method in the baseline; metrics."""
    sequences = (old.records.keys() & set(board.sequences)) - row.records.keys()
    metrics = _metrics(old.records) - _metrics(row.records) if whole else set[str]()
    return [
        _missing(board, row, f"{what} {', '.join(sorted(names))}")
        for what, names in (("no record of", sequences), ("no", metrics))
        if names
    ]


def _missing_rows(boards: Sequence[Board], committed: Sequence[Board]) -> list[CheckFinding]:
    there = {(_board_key(board), row.name) for board in boards for row in board.rows if row.records}
    return [
        _missing(board, row, "the baseline has it")
        for board in committed
        for row in board.rows
        if (_board_key(board), row.name) not in there
    ]


def _missing(board: Board, row: BoardRow, reason: str) -> CheckFinding:
    return CheckFinding("missing", f"{row.name} on {_where(board)}: {reason}; measure it")


def _differ(now: float | None, then: float | None, limit: float) -> bool:
    if now is None or then is None:
        return now is not then
    # a difference of exactly the limit is within it, whatever binary fractions make of it
    return abs(now - then) > limit + 1e-9


def _outdated(texts: Mapping[str, str], tables: Path) -> list[CheckFinding]:
    return [
        CheckFinding(
            "outdated", f"{tables / name} is not what its records give: run `vosbench leaderboard build`"
        )
        for name, text in texts.items()
        if not (tables / name).is_file() or (tables / name).read_text(encoding="utf-8") != text
    ]


def _where(board: Board) -> str:
    return f"{board_title(board)} under {board.protocol.id}"


def _board_key(board: Board) -> tuple[str, str, str]:
    return board.label, board.split, board.protocol.id
