"""Leaderboards as Markdown: aligned, so that the raw text reads as well as the rendered one."""

from __future__ import annotations

from collections.abc import Sequence

from vosbench.benchmark.evaluate import LOWER_IS_BETTER
from vosbench.data.catalogue import CATALOGUE
from vosbench.report.board import Board, Comparison, Row
from vosbench.report.facts import facts

ABSENT = "-"
"""What a cell without a value shows."""

_PLAIN_NUMBERS = frozenset({"n_objects", "delta_obj"})

MINI_WARNING = (
    "Rendered miniature scenes in the layout of the data set: a test of the pipeline, "
    "not comparable with any published number."
)


def show(metric: str, value: float | None, *, sign: bool = False) -> str:
    """Format a metric value: fractions as percent with one decimal, counts as they are, ``-`` for None."""
    if value is None:
        return ABSENT
    number = round(value if metric in _PLAIN_NUMBERS else 100 * value, 1) + 0.0
    return f"{number:+.1f}" if sign else f"{number:.1f}"


def arrow(metric: str) -> str:
    """Return the direction in which a metric is better."""
    return "↓" if metric in LOWER_IS_BETTER else "↑"


def board_title(board: Board) -> str:
    """Return a heading that says what the numbers are, and for a miniature edition what they are not."""
    title = CATALOGUE[board.dataset].title if board.dataset in CATALOGUE else board.dataset
    if board.mini:
        return f"Miniature edition of {title} ({board.label}, {board.split})"
    return f"{title} ({board.label}, {board.split})"


def coverage(board: Board, row: Row) -> str:
    """Return how many sequences of the split were measured, e.g. ``"20/20"``."""
    return f"{len(row.records)}/{board.expected}"


def is_best(board: Board, row: Row, metric: str) -> bool:
    """Whether a value, as shown, is the best of at least two methods that have every sequence."""
    best, value = board.best(metric), row.values.get(metric)
    rivals = sum(board.complete(other) for other in board.rows)
    if rivals < 2 or not board.complete(row) or best is None or value is None:
        return False
    return show(metric, value) == show(metric, best)


def markdown(boards: Sequence[Board], title: str) -> str:
    """Return a whole leaderboard as Markdown.

    Args:
        boards: what to show, in order.
        title: first heading.
    """
    parts = [f"# {title}", "Values are percentages; ↑ higher is better, ↓ lower is better."]
    for board in boards:
        parts += _board_parts(board)
    if not boards:
        parts.append("Nothing has been measured yet.")
    return "\n\n".join(parts) + "\n"


def overall_table(board: Board) -> str:
    """Return the table of data-set values, one row per method."""
    header = ["method", *(f"{name} {arrow(name)}" for name in board.metrics), "frames/s", "sequences"]
    published = any(row.comparisons for row in board.rows)
    if published:
        header += [f"published {board.metrics[0]}", "verdict"]
    body = []
    for row in board.rows:
        cells = [row.name, *(_cell(board, row, name) for name in board.metrics)]
        cells += [show_rate(row.frames_per_second), coverage(board, row)]
        if published:
            cells += _published_cells(row.headline(board.metrics[0]))
        body.append(cells)
    right = len(board.metrics) + 2
    return markdown_table(header, body, "l" + "r" * right + ("ll" if published else ""))


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
    listed = "\n".join(f"{number}. {text}" for text, number in remarks.items())
    return f"{table}\n\n{listed}" if listed else table


def sequence_table(board: Board, metric: str) -> str:
    """Return one metric of every sequence, one column per method."""
    body = []
    for name in board.sequences:
        records = [row.records.get(name) for row in board.rows]
        values = [None if record is None else record.values.get(metric) for record in records]
        body.append([name, *(show(metric, value) for value in values)])
    header = [f"{metric} {arrow(metric)}", *(row.name for row in board.rows)]
    return markdown_table(header, body, "l" + "r" * len(board.rows))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Return an aligned Markdown table.

    Args:
        header: column titles.
        rows: cells; ``|`` and line breaks in them are escaped.
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


def remark_parts(item: Comparison) -> list[str]:
    """Return what to know about a comparison: the variant, doubts about the number, the reason."""
    return [text for text in (item.published.variant, item.published.note, item.verdict.reason) if text]


def _board_parts(board: Board) -> list[str]:
    parts = [f"## {board_title(board)}"]
    if board.mini:
        parts.append(f"**{MINI_WARNING}**")
    about = [f"* protocol: {board.protocol.id} ({board.protocol.title})"]
    about += [f"* {name}: {value}" for name, value in facts(board)]
    parts += ["\n".join(about), overall_table(board)]
    if board.notes:
        parts.append("\n".join(f"* {note}" for note in board.notes))
    if any(row.comparisons for row in board.rows):
        parts += ["### Beside the published numbers", published_table(board)]
    if board.metrics:
        parts += ["### Per sequence", sequence_table(board, board.metrics[0])]
    return parts


def _cell(board: Board, row: Row, metric: str) -> str:
    text = show(metric, row.values.get(metric))
    return f"**{text}**" if is_best(board, row, metric) else text


def _published_cells(item: Comparison | None) -> list[str]:
    if item is None:
        return [ABSENT, ABSENT]
    return [f"{show(item.metric, item.published.value)} ({item.published.source})", item.verdict.kind]


def _escape(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
