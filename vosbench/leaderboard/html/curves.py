"""Per-frame values of every sequence as lines to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vosbench.evaluation.record import Record
from vosbench.leaderboard.board import Board
from vosbench.metrics.specs import frame_measures

WIDTH, HEIGHT = 240, 80
"""Size of the drawing area, in its own units; values 0..1 fill the height."""


@dataclass(frozen=True)
class Line:
    """One method's values.

    Attributes:
        name: method.
        index: place of the method on the board, which chooses the colour.
        mean: mean of the defined values.
        pieces: ``"x,y x,y"`` for each run of defined values.
    """

    name: str
    index: int
    mean: float
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """One sequence's chart.

    Attributes:
        sequence: name.
        letter: the measure drawn, e.g. ``"J"``.
        frames: number of frames of the sequence.
        lines: one per method that has values.
    """

    sequence: str
    letter: str
    frames: int
    lines: tuple[Line, ...]


def curves(board: Board) -> list[Curve]:
    """Return a chart for every sequence with values per frame, of J or the first measure that a board has."""
    measures = {name for row in board.rows for record in row.records.values() for name in record.per_frame}
    letter = next((name for name in frame_measures() if name in measures), "")
    charts = []
    # what others published is in the explorer: two dozen lines in a small chart show nothing
    measured = [(index, row) for index, row in enumerate(board.rows) if row.kind == "measured"]
    for sequence in board.sequences:
        shown = [(i, row.name, row.records[sequence]) for i, row in measured if sequence in row.records]
        lines = [_line(board, index, name, record, letter) for index, name, record in shown]
        drawn = tuple(line for line in lines if line is not None)
        if drawn:
            charts.append(Curve(sequence, letter, shown[0][2].frames, drawn))
    return charts


def _line(board: Board, index: int, name: str, record: Record, letter: str) -> Line | None:
    values = record.per_frame.get(letter, [])
    defined = [value for value in values if value is not None]
    if not defined:
        return None
    indices = places(board.protocol.evaluated(record.frames), len(values), record.frames)
    across = [index * WIDTH / max(record.frames - 1, 1) for index in indices]
    return Line(name, index, sum(defined) / len(defined), tuple(_pieces(values, across)))


def places(evaluated: Sequence[int], count: int, frames: int) -> list[float]:
    """Return the frame index of each of `count` values.

    A record does not hold which frames of a sparsely labelled video have ground truth: where `evaluated`
    does not fit either, the values are spread evenly.

    Args:
        evaluated: indices of the frames that the protocol counts.
        count: number of values.
        frames: number of frames of the video.
    """
    if len(evaluated) == count:
        return list(evaluated)
    return [i * (frames - 1) / max(count - 1, 1) for i in range(count)]


def _pieces(values: Sequence[float | None], across: Sequence[float]) -> list[str]:
    runs: list[list[str]] = [[]]
    for x, value in zip(across, values, strict=True):
        if value is None:
            runs.append([])
            continue
        height = HEIGHT * (1 - min(max(value, 0.0), 1.0))
        runs[-1].append(f"{x:.1f},{height:.1f}")
    return [" ".join(run) for run in runs if run]
