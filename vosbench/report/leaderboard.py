"""A leaderboard as files: built from records, checked against records and published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vosbench.benchmark.record import Record
from vosbench.benchmark.store import read_records
from vosbench.data.video import Video
from vosbench.errors import InputError
from vosbench.files import write_text
from vosbench.report.board import Board, Row, data_set_values, make_boards
from vosbench.report.page import html
from vosbench.report.reported import Reported, load_reported
from vosbench.report.tables import board_title, markdown, show
from vosbench.report.verdicts import Deviation, Tolerance, load_deviations

TITLE = "vosbench leaderboard"


@dataclass(frozen=True)
class Finding:
    """Something that a check did not accept.

    Attributes:
        kind: ``"moved"`` (a number is not that of the committed records), ``"differs"`` (from the
            published number, without an accepted deviation), ``"outdated"`` (a generated file).
        message: one line: what, where, what to do.
    """

    kind: Literal["moved", "differs", "outdated"]
    message: str


def build(
    records_root: Path,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    out: Path,
    *,
    tolerance: Tolerance | None = None,
) -> list[Path]:
    """Write ``leaderboard.md`` and ``leaderboard.html``; equal records give equal files.

    The page has no pictures, so that frames of real data sets are never published by accident.

    Args:
        records_root: folder with records, e.g. ``leaderboards/records``.
        reported: published numbers.
        deviations: accepted differences.
        out: folder to write to.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.

    Returns:
        The files written.

    Raises:
        InputError: the folder is missing or holds a file that is not a record.
    """
    contents = _contents(make_boards(_read(records_root), reported, deviations, tolerance))
    for name, text in contents.items():
        write_text(out / name, text)
    return [out / name for name in contents]


def write_report(
    out: Path,
    *,
    videos: Mapping[str, Sequence[Video]] | None = None,
    pictures: bool = True,
    reported: Sequence[Reported] | None = None,
    deviations: Sequence[Deviation] | None = None,
    tolerance: Tolerance | None = None,
) -> list[Path]:
    """Write ``<out>/leaderboard.md`` and ``<out>/leaderboard.html`` after a comparison.

    Args:
        out: the folder of the comparison, with ``records/`` and ``masks/``.
        videos: label (``"davis16"``, ``"davis16-mini"``) -> the split that was run: its length says
            what complete means, its frames become pictures.
        pictures: whether to put frames and masks on the page; mind the licence of the data.
        reported: published numbers; those vosbench ships when None.
        deviations: accepted differences; those vosbench ships when None.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.

    Returns:
        The files written.

    Raises:
        InputError: there are no records, or one of the files cannot be read.
    """
    given = videos or {}
    boards = make_boards(
        _read(out / "records"),
        load_reported() if reported is None else reported,
        load_deviations() if deviations is None else deviations,
        tolerance,
        {label: len(split) for label, split in given.items()},
    )
    contents = {
        "leaderboard.md": markdown(boards, TITLE),
        "leaderboard.html": html(boards, TITLE, videos=given if pictures else {}, masks=out / "masks"),
    }
    for name, text in contents.items():
        write_text(out / name, text)
    return [out / name for name in contents]


def check(
    records_root: Path,
    baseline: Path | None,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    *,
    tables: Path | None = None,
    tolerance: Tolerance | None = None,
) -> list[Finding]:
    """Return everything about the records that needs a person; empty when all is well.

    Args:
        records_root: folder with the records to check.
        baseline: folder with committed records to compare with; None to leave this out.
        reported: published numbers; empty to leave this out.
        deviations: accepted differences.
        tables: folder with the generated files of these records; None to leave this out.
        tolerance: limits of the verdicts and of what counts as moved; the defaults when None.

    Raises:
        InputError: a folder is missing or holds a file that is not a record.
    """
    limits = tolerance or Tolerance()
    boards = make_boards(_read(records_root), reported, deviations, limits)
    findings = _differing(boards)
    if baseline is not None:
        findings += _moved(boards, make_boards(_read(baseline)), limits.moved)
    if tables is not None:
        findings += _outdated(boards, tables)
    return findings


def _read(root: Path) -> list[Record]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; it should hold the records of a comparison")
    return read_records(root)


def _contents(boards: Sequence[Board]) -> dict[str, str]:
    return {"leaderboard.md": markdown(boards, TITLE), "leaderboard.html": html(boards, TITLE)}


def _differing(boards: Sequence[Board]) -> list[Finding]:
    return [
        Finding(
            "differs",
            f"{row.name} on {board_title(board)}: {item.metric} is {show(item.metric, item.measured)}, "
            f"published {show(item.metric, item.published.value)} ({item.published.source}); "
            "explain it in deviations.yaml or find the cause",
        )
        for board in boards
        for row in board.rows
        for item in row.comparisons
        if item.verdict.unexplained
    ]


def _moved(boards: Sequence[Board], committed: Sequence[Board], limit: float) -> list[Finding]:
    before = {(_place(board), row.name): row for board in committed for row in board.rows}
    findings: list[Finding] = []
    compared = False
    for board in boards:
        for row in board.rows:
            old = before.get((_place(board), row.name))
            if old is None or not row.records.keys() & old.records.keys():
                continue
            compared = True
            findings += _moved_values(board, row, old, limit)
    if not compared:
        # a check that compared nothing must not look like one that found nothing
        findings.append(Finding("moved", "no method and sequence in common with the committed records"))
    return findings


def _moved_values(board: Board, row: Row, old: Row, limit: float) -> list[Finding]:
    """Compare data-set values over the sequences that both rows have."""
    common = row.records.keys() & old.records.keys()
    now = data_set_values({name: row.records[name] for name in sorted(common)}, board.protocol)
    then = data_set_values({name: old.records[name] for name in sorted(common)}, board.protocol)
    where = f"{row.name} on {board_title(board)}, {len(common)} sequences in common"
    return [
        Finding(
            "moved",
            f"{where}: {metric} was {show(metric, then[metric])}, is {show(metric, now[metric])}; "
            "find the cause, or commit the new records with the reason",
        )
        for metric in sorted(now.keys() & then.keys())
        if _differ(now[metric], then[metric], limit)
    ]


def _differ(now: float | None, then: float | None, limit: float) -> bool:
    if now is None or then is None:
        return now is not then
    # a difference of exactly the limit is within it, whatever binary fractions make of it
    return abs(now - then) > limit + 1e-9


def _outdated(boards: Sequence[Board], tables: Path) -> list[Finding]:
    return [
        Finding("outdated", f"{tables / name} is not what its records give: run `vosbench leaderboard build`")
        for name, text in _contents(boards).items()
        if not (tables / name).is_file() or (tables / name).read_text(encoding="utf-8") != text
    ]


def _place(board: Board) -> tuple[str, str, str]:
    return board.label, board.split, board.protocol.id
