"""Leaderboards as Markdown: aligned, so that the raw text reads as well as the rendered one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from vosbench.data.catalogue import catalogue
from vosbench.leaderboard.board import Board, BoardRow, PublishedComparison
from vosbench.leaderboard.facts import facts
from vosbench.leaderboard.status import MEANING, MethodStatus
from vosbench.metrics.specs import value_spec

ABSENT = "-"
"""What a cell without a value shows."""

FAILED = "failed"
"""What the cell of a sequence shows on which the method failed."""

LEGEND = (
    "Values are percentages; ↑ higher is better, ↓ lower is better. **Best**, <u>second</u> of the methods "
    "that have a value on every sequence that counts; baselines do not compete."
)

MINI_WARNING = (
    "Rendered miniature scenes in the layout of the data set: a test of the pipeline, "
    "not comparable with any published number."
)


class _Markup(str):
    """Cell with marks of Markdown and HTML that are ours."""

    __slots__ = ()


def plain(text: str) -> str:
    """Return text of others as one line of Markdown without HTML, links or pictures."""
    return " ".join(text.split()).replace("<", "&lt;").replace("](", "]\\(")


def show(metric: str, value: float | None, *, sign: bool = False) -> str:
    """Format a metric value: fractions as percent with one decimal, counts as they are, ``-`` for None."""
    if value is None:
        return ABSENT
    number = round(100 * value if value_spec(metric).unit == "fraction" else value, 1) + 0.0
    return f"{number:+.1f}" if sign else f"{number:.1f}"


def arrow(metric: str) -> str:
    """Return the direction in which a metric is better."""
    return "↑" if value_spec(metric).higher_is_better else "↓"


def board_title(board: Board) -> str:
    """Return the heading of a board, which names a miniature edition as such."""
    known = catalogue()
    title = known[board.dataset].title if board.dataset in known else board.dataset
    if board.mini:
        return f"Miniature edition of {title} ({board.label}, {board.split})"
    return f"{title} ({board.label}, {board.split})"


def coverage(board: Board, row: BoardRow) -> str:
    """Return how many sequences of the split were measured, e.g. ``"20/20"`` or ``"18/20, 2 failed"``."""
    text = f"{len(row.records)}/{board.expected}"
    return f"{text}, {len(row.failures)} {FAILED}" if row.failures else text


def rank_of(board: Board, row: BoardRow, metric: str) -> Literal[1, 2] | None:
    """Return the rank of a value, as shown, among the methods that compete: 1, 2 or None.

    Only methods that have every sequence compete, and no baselines: the best of two, the second of three.
    """
    value, rivals = row.values.get(metric), board.ranked(metric)
    if len(rivals) < 2 or value is None or not board.competes(row, metric):
        return None
    shown = list(dict.fromkeys(show(metric, rival) for rival in rivals))
    if show(metric, value) == shown[0]:
        return 1
    return 2 if len(rivals) > 2 and show(metric, value) == shown[1] else None


def show_interval(row: BoardRow, metric: str) -> str:
    """Return the interval of a value, e.g. ``"[47.5, 59.6]"``; ``""`` where none is shown."""
    interval = row.intervals.get(metric)
    if not value_spec(metric).interval or interval is None or math.isnan(interval.low):
        return ""
    return f"[{show(metric, interval.low)}, {show(metric, interval.high)}]"


def dagger(row: BoardRow, metric: str) -> str:
    """Return the mark of a value with a footnote; ``""`` for others."""
    return "†" if metric in row.remarks and row.values.get(metric) is not None else ""


def markdown(boards: Sequence[Board], title: str, methods: Sequence[MethodStatus] = ()) -> str:
    """Return a whole leaderboard as Markdown.

    Nothing of it depends on how fast a machine is: equal results give equal text.

    Args:
        boards: what to show, in order.
        title: first heading.
        methods: how far the methods of this project have come.
    """
    parts = [f"# {plain(title)}", LEGEND]
    for board in boards:
        parts += _board_parts(board)
    if not boards:
        parts.append("Nothing has been measured yet.")
    if methods:
        parts += ["## Methods of this project", methods_table(methods)]
    return "\n\n".join(parts) + "\n"


def overall_table(board: Board) -> str:
    """Return the table of data-set values, one row per method."""
    header = ["method", "status", *(f"{name} {arrow(name)}" for name in board.metrics), "sequences"]
    published = any(row.comparisons for row in board.rows)
    if published:
        header += ["published", "verdict"]
    body = []
    for row in board.rows:
        cells = [row.name, row.status.kind, *(_cell(board, row, name) for name in board.metrics)]
        cells.append(coverage(board, row))
        if published:
            cells += published_cells(board.headline(row))
        body.append(cells)
    right = len(board.metrics) + 1
    return markdown_table(header, body, "ll" + "r" * right + ("ll" if published else ""))


def methods_table(methods: Sequence[MethodStatus]) -> str:
    """Return the table of the status of every method, with its evidence."""
    body = [[m.name, m.size or ABSENT, m.status.kind, m.status.evidence] for m in methods]
    return markdown_table(["method", "size", "status", "follows from"], body, "llll")


def missing_results(board: Board) -> list[str]:
    """Return one line per method and error, with the sequences that have no result."""
    lines = []
    for row in board.rows:
        errors: dict[str, list[str]] = {}
        for sequence, error in sorted(row.failures.items()):
            errors.setdefault(error, []).append(sequence)
        lines += [f"{row.name} on {', '.join(where)}: {error}" for error, where in errors.items()]
    return lines


def published_table(board: Board) -> str:
    """Return every published number of the methods on this board beside the measured one.

    Remarks (variant, doubts, reasons) follow the table as a numbered list.
    """
    remarks: dict[str, int] = {}
    body = []
    for row in board.rows:
        for item in row.comparisons:
            numbers = [remarks.setdefault(text, len(remarks) + 1) for text in remark_parts(item)]
            body.append(
                [
                    row.name,
                    item.metric,
                    show(item.metric, item.measured),
                    show(item.metric, item.published.value),
                    show(item.metric, item.difference, sign=True),
                    item.verdict.kind,
                    item.published.source,
                    ", ".join(str(number) for number in numbers),
                ]
            )
    header = ["method", "metric", "measured", "published", "difference", "verdict", "source", "remarks"]
    table = markdown_table(header, body, "llrrrlll")
    listed = "\n".join(f"{number}. {plain(text)}" for text, number in remarks.items())
    return f"{table}\n\n{listed}" if listed else table


def sequence_table(board: Board, metric: str) -> str:
    """Return one metric of every sequence, one column per method measured here."""
    rows = [row for row in board.rows if row.kind == "measured"]
    body = [[name, *(_sequence_cell(row, name, metric) for row in rows)] for name in board.sequences]
    header = [f"{metric} {arrow(metric)}", *(row.name for row in rows)]
    return markdown_table(header, body, "l" + "r" * len(rows))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Return an aligned Markdown table.

    Args:
        header: column titles.
        rows: cells; HTML, links, ``|`` and line breaks in them are escaped.
        align: one letter per column, ``l`` or ``r``.
    """
    lines = [[_escape(cell) for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(header))]
    rule = [
        "-" * (width - 1) + ":" if a == "r" else "-" * width for a, width in zip(align, widths, strict=True)
    ]
    padded = [
        [
            cell.rjust(width) if a == "r" else cell.ljust(width)
            for cell, a, width in zip(line, align, widths, strict=True)
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))


def show_rate(frames_per_second: float | None) -> str:
    """Format a frame rate: one decimal below 10, none above, ``-`` for None."""
    if frames_per_second is None:
        return ABSENT
    return f"{frames_per_second:.0f}" if frames_per_second >= 10 else f"{frames_per_second:.1f}"


def remark_parts(item: PublishedComparison) -> list[str]:
    """Return the remarks on a comparison: the variant, doubts about the number, the reason."""
    return [text for text in (item.published.variant, item.published.note, item.verdict.reason) if text]


def published_cells(item: PublishedComparison | None) -> list[str]:
    """Return the published number with its place, and the verdict; ``-`` where nothing was published."""
    if item is None:
        return [ABSENT, ABSENT]
    number = f"{item.metric} {show(item.metric, item.published.value)}"
    return [f"{number} ({item.published.source})", item.verdict.kind]


def statuses(board: Board) -> list[str]:
    """Return the meaning of every status on a board, one line each."""
    shown = {row.status.kind for row in board.rows}
    return [f"{kind}: {meaning}" for kind, meaning in MEANING.items() if kind in shown]


def protocol_notes(board: Board) -> list[str]:
    """Return the footnotes of a board: its rules, the coverage of its averages, its marks."""
    rules = board.protocol
    notes = [
        f"{rules.id}: {rules.title}; frames {rules.frames}, objects {rules.objects}, void {rules.void}, "
        f"mean over {rules.average}. {rules.source}",
        *board.notes,
    ]
    if any(show_interval(row, name) for row in board.rows for name in board.metrics):
        notes.append(
            "[low, high]: 95 % interval, judged by the spread between sequences (leaderboards/README.md)"
        )
    notes += remark_notes(board)
    sources = dict.fromkeys(row.status.evidence for row in board.rows if row.kind == "reported")
    notes += [f"reported rows: {source}" for source in sources]
    return notes


def remark_notes(board: Board) -> list[str]:
    """Return the footnotes of marked values, with those of the same masks measured here."""
    remarks = {metric: text for row in board.rows for metric, text in row.remarks.items()}
    notes = []
    for metric in (name for name in board.metrics if name in remarks):
        pairs = [
            f"{row.name} {show(metric, item.measured)} here, {show(metric, item.published.value)} published"
            for row in board.rows
            if row.status.kind == "authors' masks" and (item := row.headline(metric))
        ]
        seen = f" ({'; '.join(pairs)})" if pairs else ""
        notes.append(f"† {metric}: {remarks[metric]}{seen}; these values do not compete")
    return notes


def _board_parts(board: Board) -> list[str]:
    parts = [f"## {plain(board_title(board))}, {board.protocol.id}"]
    if board.mini:
        parts.append(f"**{MINI_WARNING}**")
    about = [f"{name}: {value}" for name, value in facts(board)]
    parts += [_list(about)] if about else []
    parts += [overall_table(board), _list([*protocol_notes(board), *statuses(board)])]
    if missing := missing_results(board):
        parts += ["### Missing results", _list(missing)]
    if any(row.comparisons for row in board.rows):
        parts += ["### Beside the published numbers", published_table(board)]
    if board.metrics and any(row.kind == "measured" for row in board.rows):
        parts += ["### Per sequence", sequence_table(board, board.metrics[0])]
    return parts


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"* {plain(line)}" for line in lines)


def _cell(board: Board, row: BoardRow, metric: str) -> str:
    text = show(metric, row.values.get(metric)) + dagger(row, metric)
    rank = rank_of(board, row, metric)
    marked = f"**{text}**" if rank == 1 else f"<u>{text}</u>" if rank == 2 else text
    return _Markup(" ".join(part for part in (marked, show_interval(row, metric)) if part))


def _sequence_cell(row: BoardRow, sequence: str, metric: str) -> str:
    if sequence in row.failures:
        return FAILED
    record = row.records.get(sequence)
    return show(metric, None if record is None else record.values.get(metric))


def _escape(cell: str) -> str:
    # a backslash before a pipe would escape the escape
    escaped = cell if isinstance(cell, _Markup) else plain(cell.replace("\\", "\\\\"))
    return escaped.replace("|", "\\|")
