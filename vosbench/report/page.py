"""The leaderboard as one HTML file that needs nothing else: styles, script and pictures are inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from vosbench import __version__
from vosbench.benchmark.evaluate import LOWER_IS_BETTER
from vosbench.data.video import Video
from vosbench.report.board import Board
from vosbench.report.curves import HEIGHT, WIDTH, curves
from vosbench.report.facts import facts, provenance
from vosbench.report.pictures import Strip, strips
from vosbench.report.tables import (
    ABSENT,
    MINI_WARNING,
    arrow,
    board_title,
    coverage,
    is_best,
    remark_parts,
    show,
    show_rate,
)

SEQUENCE_METRICS = ("J_mean", "F_mean", "T_mean", "f_measure", "iou_mean")
"""Metrics that get a table per sequence."""

COLOURS = 8
"""Number of line colours in the style sheet; more methods use them again, dashed."""


def html(
    boards: Sequence[Board],
    title: str,
    *,
    videos: Mapping[str, Sequence[Video]] | None = None,
    masks: Path | None = None,
) -> str:
    """Return a whole leaderboard as one self-contained HTML page.

    Args:
        boards: what to show, in order.
        title: of the page.
        videos: label (``"davis16-mini"``) -> the data set, for pictures; no pictures when None.
        masks: folder with ``<label>/<model>/<sequence>/<frame>.png``; no pictures when None.

    Raises:
        InputError: a frame or a mask cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("vosbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "ABSENT": ABSENT,
        "COLOURS": COLOURS,
        "HEIGHT": HEIGHT,
        "MINI_WARNING": MINI_WARNING,
        "WIDTH": WIDTH,
        "arrow": arrow,
        "coverage": coverage,
        "curves": curves,
        "facts": facts,
        "is_best": is_best,
        "provenance": provenance,
        "remark_parts": remark_parts,
        "share": _share,
        "shade": _shade,
        "show": show,
        "show_rate": show_rate,
        "title_of": board_title,
        "anchor": _anchor,
        "sequence_metrics": _sequence_metrics,
    }
    pictures = {_anchor(board): _strips(board, videos or {}, masks) for board in boards}
    template = environment.get_template("leaderboard.html.j2")
    return template.render(boards=boards, title=title, pictures=pictures, version=__version__)


def _strips(board: Board, videos: Mapping[str, Sequence[Video]], masks: Path | None) -> list[Strip]:
    if masks is None or board.label not in videos:
        return []
    return strips(board, videos[board.label], masks / board.label)


def _sequence_metrics(board: Board) -> list[str]:
    return [name for name in board.metrics if name in SEQUENCE_METRICS]


def _share(value: float | None) -> str:
    """Return the length of a bar as a number from 0 to 1, for a style attribute."""
    return "0" if value is None else f"{min(max(value, 0.0), 1.0):.3f}"


def _shade(metric: str, value: float | None) -> str:
    """Return how strongly to shade a cell, 0 to 1, stronger for better."""
    if value is None:
        return "0"
    return _share(1 - value if metric in LOWER_IS_BETTER else value)


def _anchor(board: Board) -> str:
    return f"{board.label}-{board.split}-{board.protocol.id}"
