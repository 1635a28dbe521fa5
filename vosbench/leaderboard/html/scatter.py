"""Accuracy against speed as points to draw, one chart for each combination of hardware and precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vosbench.environment.load import describe_load
from vosbench.leaderboard.board import Board, BoardRow
from vosbench.leaderboard.facts import describe

WIDTH, HEIGHT = 640, 260
"""Size of the drawing area, in its own units."""

_STAMP = ("device", "machine", "precision")
_LETTER, _LINE = 6.4, 14.0
"""About how wide a letter of a label is, and how high a line of text, in units of the drawing."""


@dataclass(frozen=True)
class Point:
    """One method.

    Attributes:
        row: its place on the board.
        name: of the method.
        x, y: place in the drawing, from the left and from the top.
        label_y: height of its label, moved away from those of its neighbours.
        left: whether the label stands to the left of the point.
        rate, value: frames per second and the first metric.
        complete: whether every sequence was measured.
    """

    row: int
    name: str
    x: float
    y: float
    label_y: float
    left: bool
    rate: float
    value: float
    complete: bool


@dataclass(frozen=True)
class Scatter:
    """One chart.

    Attributes:
        stamp: device, machine and precision that all its points share.
        metric: on the vertical axis.
        points: slowest first.
        ticks_x, ticks_y: (place, label) of the lines of the grid.
    """

    stamp: str
    metric: str
    points: tuple[Point, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]


def scatters(board: Board) -> list[Scatter]:
    """Return the charts of a board: frame rates of different machines are never in one.

    A chart needs two methods, else there is nothing to compare; a method whose records come from several
    machines has no rate to show.
    """
    if not board.metrics:
        return []
    metric = board.metrics[0]
    groups: dict[str, list[tuple[int, BoardRow, float, float]]] = {}
    for index, row in enumerate(board.rows):
        rate, value = row.frames_per_second, row.values.get(metric)
        stamps = {_stamp(record.provenance) for record in row.records.values()}
        if rate is not None and value is not None and len(stamps) == 1:
            groups.setdefault(stamps.pop(), []).append((index, row, rate, value))
    return [_scatter(board, stamp, metric, items) for stamp, items in groups.items() if len(items) > 1]


def speed_note(board: Board) -> str:
    """Return the definition of frame rates and the load of the machine in a line; ``""`` without rates."""
    methods: dict[str, list[str]] = {}
    timed = [row for row in board.rows if row.frames_per_second is not None]
    for row in timed:
        load = describe_load(record.provenance.get("load") for record in row.records.values())
        methods.setdefault(load, []).append(row.name)
    if not methods:
        return ""
    texts = [text if len(methods) == 1 else f"{text} [{', '.join(names)}]" for text, names in methods.items()]
    return f"frames/s: optical flow and segmentation, median over sequences; {'; '.join(texts)}"


def _stamp(provenance: dict[str, object]) -> str:
    return ", ".join(text for key in _STAMP if (text := describe(provenance.get(key))))


def _scatter(
    board: Board, stamp: str, metric: str, items: Sequence[tuple[int, BoardRow, float, float]]
) -> Scatter:
    rates = [rate for _, _, rate, _ in items]
    low = math.floor(math.log10(min(rates)))
    high = max(math.ceil(math.log10(max(rates))), low + 1)
    top = _top([value for _, _, _, value in items])
    placed: list[tuple[float, float, float]] = []
    points = []
    for index, row, rate, value in sorted(items, key=lambda item: (item[2], item[1].name)):
        x = WIDTH * (math.log10(rate) - low) / (high - low)
        y = HEIGHT * (1 - min(max(value, 0.0), top) / top)
        left = x > WIDTH * 0.7
        label_y = _label_place(placed, x, y, len(row.name) * _LETTER, left)
        points.append(Point(index, row.name, x, y, label_y, left, rate, value, board.complete(row)))
    ticks_x = tuple(
        (WIDTH * (power - low) / (high - low), f"{10.0**power:g}") for power in range(low, high + 1)
    )
    ticks_y = tuple((HEIGHT * (1 - part / 4), f"{100 * top * part / 4:g}") for part in range(5))
    return Scatter(stamp, metric, tuple(points), ticks_x, ticks_y)


def _top(values: Sequence[float]) -> float:
    """Return the end of the vertical axis: of 20, 40, ... 100 per cent the first that holds all values."""
    return min(max(math.ceil(max(values) * 5) / 5, 0.2), max(1.0, max(values)))


def _label_place(
    placed: list[tuple[float, float, float]], x: float, y: float, width: float, left: bool
) -> float:
    """Return the height nearest to `y` at which a label meets none of those placed, and add it to them."""
    start, end = (x - width - 10, x) if left else (x, x + width + 10)
    for shift in (0.0, *(sign * step * _LINE / 2 for step in range(2, 40) for sign in (-1, 1))):
        height = y + shift
        free = all(end < a or start > b or abs(height - c) >= _LINE for a, b, c in placed)
        if free and 0 <= height <= HEIGHT:
            placed.append((start, end, height))
            return height
    return y
