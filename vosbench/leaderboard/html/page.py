"""The leaderboard as one HTML file that needs nothing else: styles, script, data and pictures are inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from vosbench import __version__
from vosbench.leaderboard.attributes import Attribute, attribute_value, attributes_of
from vosbench.leaderboard.board import Board
from vosbench.leaderboard.facts import facts, provenance
from vosbench.leaderboard.html import curves as curve
from vosbench.leaderboard.html import scatter
from vosbench.leaderboard.html.payload import anchor, payload
from vosbench.leaderboard.html.pictures import Album, album
from vosbench.leaderboard.tables import (
    ABSENT,
    FAILED,
    MINI_WARNING,
    arrow,
    board_title,
    coverage,
    dagger,
    missing_results,
    protocol_notes,
    rank_of,
    remark_parts,
    show,
    show_interval,
    show_rate,
    statuses,
)
from vosbench.metrics.specs import value_spec
from vosbench.video import Video

COLOURS = 8
"""Number of line colours in the style sheet; more methods use them again, dashed."""

LARGEST = 15_000_000
"""Bytes of a page with pictures: it should still go by mail."""

_ROOM = 1_000
"""Bytes for the line about missing pictures."""

SCRIPTS = (
    "dom.js",
    "tables.js",
    "filters.js",
    "masks.js",
    "records.js",
    "timeline.js",
    "links.js",
    "explorer.js",
    "download.js",
    "page.js",
)
"""Parts of the script; each uses those before it."""


def html(
    boards: Sequence[Board],
    title: str,
    *,
    videos: Mapping[str, Sequence[Video]] | None = None,
    masks: Path | None = None,
    pictures: Album | None = None,
) -> str:
    """Return a whole leaderboard as one self-contained HTML page.

    Args:
        boards: what to show, in order.
        title: of the page.
        videos: label (``"davis16-mini"``) -> the data set, for pictures; no pictures when None.
        masks: folder with ``<label>/<model>/<sequence>/<frame>.png``; no pictures when None.
        pictures: pictures made before, shown where there are no `videos`.

    Raises:
        InputError: a frame or a mask cannot be read.
    """
    shown = videos or {}
    bare = _render(boards, title, shown, pictures or Album({}))
    if masks is None or not shown:
        return bare
    made = album(boards, shown, masks, budget=LARGEST - len(bare.encode()) - _ROOM)
    return _render(boards, title, shown, made)


def _render(
    boards: Sequence[Board], title: str, videos: Mapping[str, Sequence[Video]], pictures: Album
) -> str:
    template = _environment().get_template("leaderboard.html.j2")
    return template.render(
        album=pictures,
        attribute_names={item.code: item.name for board in boards for item in attributes_of(board)},
        boards=boards,
        first_explorer=_first_explorer(boards, pictures),
        payload=payload(boards, videos, pictures),
        title=title,
        version=__version__,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vosbench.leaderboard.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "ABSENT": ABSENT,
        "CURVE_HEIGHT": curve.HEIGHT,
        "CURVE_WIDTH": curve.WIDTH,
        "FAILED": FAILED,
        "MINI_WARNING": MINI_WARNING,
        "SCATTER_HEIGHT": scatter.HEIGHT,
        "SCATTER_WIDTH": scatter.WIDTH,
        "SCRIPTS": SCRIPTS,
        "anchor": anchor,
        "arrow": arrow,
        "attribute_value": attribute_value,
        "attributes_of": attributes_of,
        "compared_rows": _compared_rows,
        "codes_of": _codes_of,
        "colour": _colour,
        "coverage": coverage,
        "curves": curve.curves,
        "dagger": dagger,
        "facts": facts,
        "missing_results": missing_results,
        "protocol_notes": protocol_notes,
        "provenance": provenance,
        "rank_of": rank_of,
        "remark_parts": remark_parts,
        "scatters": scatter.scatters,
        "sequence_metrics": _sequence_metrics,
        "shade": _shade,
        "share": _share,
        "show": show,
        "show_interval": show_interval,
        "show_rate": show_rate,
        "speed_note": scatter.speed_note,
        "statuses": statuses,
        "title_of": board_title,
    }
    return environment


def _first_explorer(boards: Sequence[Board], pictures: Album) -> int:
    """Return the position of the first board with pictures; its frames are open from the start."""
    labels = {label for label, _ in pictures.of}
    return next((position for position, board in enumerate(boards) if board.label in labels), 0)


def _compared_rows(board: Board) -> tuple[int, int]:
    """Return the two methods compared at first: the best two measured here, which have masks."""
    order = sorted(range(len(board.rows)), key=lambda index: board.rows[index].kind != "measured")
    return order[0], order[min(1, len(order) - 1)]


def _codes_of(attributes: Sequence[Attribute], sequence: str) -> str:
    return " ".join(attribute.code for attribute in attributes if sequence in attribute.sequences)


def _sequence_metrics(board: Board) -> list[str]:
    return [name for name in board.metrics if value_spec(name).per_sequence]


def _colour(index: int) -> str:
    """Return the classes that give a method its line colour."""
    return f"c{index % COLOURS} again" if index >= COLOURS else f"c{index}"


def _share(value: float | None) -> str:
    """Return the length of a bar as a number from 0 to 1, for a style attribute."""
    return "0" if value is None else f"{min(max(value, 0.0), 1.0):.3f}"


def _shade(metric: str, value: float | None) -> str:
    """Return how strongly to shade a cell, 0 to 1, stronger for better."""
    if value is None:
        return "0"
    return _share(value if value_spec(metric).higher_is_better else 1 - value)
