"""Least totals of all monotone paths through several matrices at once, one anti-diagonal after the other.

A step goes right, down or diagonally and costs the cell it enters; the first cell is free. A matrix is a
torus: any cell may come first. See `alignment` for what the search takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]
"""Row and column of a matrix."""

Cells = NDArray[np.int64]
"""(n, 2) int64 rows and columns."""

Totals = NDArray[np.unsignedinteger[Any]]

Units = NDArray[np.uint32]
"""(n1, n2) uint32 costs in parts of one, see `units_of_one`; integers, so that sums are exact."""

BATCH = 1 << 22
"""Totals that are in memory at a time."""

_MOST_BITS = 24  # of a cost of one
_LEAST_BITS = 18  # below, longer totals serve better


def units_of_one(shape: tuple[int, int]) -> int:
    """Return a cost of one in the units of a matrix of a shape."""
    bits = _short_bits(shape)
    return 1 << (min(bits, _MOST_BITS) if bits >= _LEAST_BITS else _MOST_BITS)


def _short_bits(shape: tuple[int, int]) -> int:
    """Bits of a cost of one that let the totals of a matrix fit in 31."""
    return 31 - sum(shape).bit_length()


class Workspace:
    """Memory that one search leaves to the next: to get it anew takes longer than to fill it."""

    def __init__(self) -> None:
        self._space = np.empty(0, dtype=np.int64)

    def take(self, shape: tuple[int, ...], dtype: type[np.unsignedinteger[Any]]) -> Totals:
        """Return an array of any content."""
        size = math.prod(shape)
        length = -(-size * np.dtype(dtype).itemsize // 8)
        if len(self._space) < length:
            self._space = np.empty(length, dtype=np.int64)
        return self._space[:length].view(dtype)[:size].reshape(shape)


class Grid(NamedTuple):
    """Numbers of the cells of one matrix of a batch: along anti-diagonals, as no step goes back.

    An anti-diagonal has one number for each row and one for a row above them, of every matrix. Two
    anti-diagonals precede the first cell.

    Attributes:
        shape: rows and columns of the matrix.
        first: the cell that comes first.
        stride: numbers of an anti-diagonal.
    """

    shape: tuple[int, int]
    first: Cell
    stride: int

    @property
    def steps(self) -> tuple[int, int, int]:
        """Differences of numbers by a step right, down and diagonally."""
        return self.stride, self.stride + 1, 2 * self.stride + 1

    @property
    def start(self) -> int:
        """Number of the first cell."""
        return 2 * self.stride + 1

    @property
    def goal(self) -> int:
        """Number of the last cell."""
        return sum(self.shape) * self.stride + self.shape[0]

    def places(self, numbers: list[int] | NDArray[np.int64]) -> Cells:
        """Rows and columns as seen from the first cell; some numbers are of no cell in the matrix."""
        diagonals, rows = np.divmod(np.asarray(numbers, dtype=np.int64), self.stride)
        return np.stack([rows - 1, diagonals - rows - 1], axis=1)

    def cells(self, numbers: list[int] | NDArray[np.int64]) -> Cells:
        """Cells of the torus."""
        cells: Cells = (self.places(numbers) + self.first) % np.array(self.shape)
        return cells


class Block(NamedTuple):
    """Totals of some anti-diagonals, below those of the two before them.

    Attributes:
        base: number of the first.
        stop: how many of the numbers are of the two anti-diagonals before.
        totals: for each matrix, its totals by number, less the base.
    """

    base: int
    stop: int
    totals: list[Totals]


class Batch:
    """Matrices whose totals are computed at once.

    Attributes:
        grids: numbers of the cells of each.
    """

    def __init__(self, costs: Sequence[Units], firsts: Sequence[Cell]) -> None:
        """Take costs, none above one by more than 1e-3, and the cell where each matrix starts."""
        shapes = [(item.shape[0], item.shape[1]) for item in costs]
        self._costs = costs
        self._diagonals = max(sum(shape) - 1 for shape in shapes)
        self._width = max(shape[0] for shape in shapes) + 1
        stride = self._width * len(costs)
        self.grids = [Grid(shape, first, stride) for shape, first in zip(shapes, firsts, strict=True)]
        short = min(map(_short_bits, shapes)) >= _LEAST_BITS
        self._dtype: type[np.unsignedinteger[Any]] = np.uint32 if short else np.uint64
        # above any total, and twice that is still a number
        self._far = (1 << (31 if short else 63)) - 1

    def blocks_from_last(self, workspace: Workspace) -> Iterator[Block]:
        """Totals of all anti-diagonals, in blocks from the last to the first, each valid until the next."""
        stride = self.grids[0].stride
        height = min(self._diagonals, max(2, BATCH // stride))
        lines = workspace.take((height + 2, stride), self._dtype)
        before = np.full((2, stride), self._far, dtype=self._dtype)
        before[0, :: self._width] = 0  # the ways into the first cells
        starts = range(0, self._diagonals, height)
        borders = []
        for start in starts:
            borders.append(before)
            self._fill(lines, start, before)
            before = lines[-2:].copy()
        flat = lines.reshape(-1)
        views = [flat[start:] for start in range(0, stride, self._width)]
        for start, before in zip(reversed(starts), reversed(borders), strict=True):
            if start != starts[-1]:
                self._fill(lines, start, before)
            yield Block(start * stride, 2 * stride, views)

    def _fill(self, lines: Totals, start: int, before: Totals) -> None:
        """Compute the totals of some anti-diagonals, given those of the two before them.

        What is above a matrix comes after the last row of another, whose totals are never more than far. So
        with a cost of its own it stays between far and twice that.
        """
        lines[:2] = before
        lines[2:] = 0
        for index, (costs, grid) in enumerate(zip(self._costs, self.grids, strict=True)):
            own = lines[:, index * self._width : (index + 1) * self._width]
            _lay_out(costs, grid, own, start)
            if start == 0:
                own[2, 1] = 0
        lines[2:, :: self._width] = self._far
        least = np.empty(lines.shape[1] - 1, dtype=self._dtype)
        above, level = lines[:, :-1], lines[:, 1:]
        for diagonal, over, left, here in zip(above[:-2], above[1:-1], level[1:-1], level[2:], strict=True):
            np.minimum(over, left, out=least)
            np.minimum(least, diagonal, out=least)
            np.add(here, least, out=here)


def _lay_out(costs: Units, grid: Grid, totals: Totals, start: int) -> None:
    """Put the costs of some anti-diagonals where their totals will be."""
    n1, n2 = grid.shape
    stop = start + len(totals) - 2
    whole = start == 0 and stop >= n1 + n2 - 1
    for top in range(0, n1, n1 if whole else 1):
        left, right = (0, n2) if whole else (max(0, start - top), min(n2, stop - top))
        if left >= right:
            continue
        bottom = n1 if whole else top + 1
        corner = totals[top + left - start + 2, top + 1 :]
        along, step = totals.strides
        cells = np.lib.stride_tricks.as_strided(corner, (bottom - top, right - left), (along + step, along))
        for rows, from_rows in _turned(top, bottom, grid.first[0], n1):
            for columns, from_columns in _turned(left, right, grid.first[1], n2):
                cells[rows, columns] = costs[from_rows, from_columns]


def _turned(start: int, stop: int, first: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Of the places from start to stop, as seen from the first: where to, and where in the array from."""
    wrap = length - first
    for low, high, turn in ((start, min(stop, wrap), first), (max(start, wrap), stop, -wrap)):
        if low < high:
            yield slice(low - start, high - start), slice(low + turn, high + turn)
