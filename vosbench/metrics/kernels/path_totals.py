"""Least totals of monotone paths through several matrices at once, one anti-diagonal after the other.

A step goes right, down or diagonally and costs the cell it enters; the first cell is free. A matrix is a
torus: any cell may come first. Only the cells of a band along the diagonals are looked at; what lies beside
the band is one lane on either side, which costs no more. See `alignment` for what the search takes.
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

Totals = NDArray[np.signedinteger[Any]]

Units = NDArray[np.int32]
"""(n1, n2) int32 costs in parts of one, see `units_of_one`; integers, so that sums are exact."""

BATCH = 1 << 22
"""Totals that are in memory at a time."""

BLOCK = 4
"""Rows and columns of a block of cells that share a lower bound of their costs."""

_MOST_BITS = 24  # of a cost of one
_LEAST_BITS = 16  # below, longer totals serve better


def units_of_one(shape: tuple[int, int]) -> int:
    """Return a cost of one in the units of a matrix of a shape."""
    bits = _short_bits(shape)
    return 1 << (min(bits, _MOST_BITS) if bits >= _LEAST_BITS else _MOST_BITS)


def _short_bits(shape: tuple[int, int]) -> int:
    """Bits of a cost of one that let the totals of a matrix stay far below what 30 bits hold."""
    return 29 - sum(shape).bit_length()


class Workspace:
    """Memory that one search leaves to the next: to get it anew takes longer than to fill it."""

    def __init__(self) -> None:
        self._space = np.empty(0, dtype=np.int64)

    def take(self, shape: tuple[int, ...], dtype: type[np.signedinteger[Any]]) -> Totals:
        """Return an array of any content."""
        size = math.prod(shape)
        length = -(-size * np.dtype(dtype).itemsize // 8)
        if len(self._space) < length:
            self._space = np.empty(length, dtype=np.int64)
        return self._space[:length].view(dtype)[:size].reshape(shape)


class Band(NamedTuple):
    """Diagonals of a matrix: of cells whose column less their row, as seen from the first cell, is in bounds.

    Attributes:
        low: the lowest, not above that of the first and of the last cell.
        high: the highest, not below that of the first and of the last cell.
    """

    low: int
    high: int

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Band:
        """All diagonals of a matrix of a shape."""
        return cls(1 - shape[0], shape[1] - 1)


class Strip(NamedTuple):
    """Costs of the cells in a band of a matrix, none above one by more than 1e-3, and lower bounds beside it.

    Attributes:
        shape: rows and columns of the matrix.
        first: the cell that comes first.
        band: the diagonals.
        costs: (diagonals, rows) int32, by rows as seen from the first cell; any number beside the matrix.
        above: (n,) int32, of the first rows, the least cost above the band.
        below: (n,) int32, of the first columns, the least cost below the band.
    """

    shape: tuple[int, int]
    first: Cell
    band: Band
    costs: Units
    above: Units
    below: Units

    def diagonals(self) -> Iterator[tuple[int, Units]]:
        """Yield the diagonals and the costs of their cells, those beside the band included.

        A way beside the band goes on in every row, and in every column. So a lane with the least cost beside
        the band of each row above it, and of each column below it, is never dearer.
        """
        _, n2 = self.shape
        for diagonal, costs in enumerate(self.costs, self.band.low):
            yield diagonal, costs[max(0, -diagonal) : n2 - diagonal]
        yield self.band.high + 1, self.above
        yield self.band.low - 1, self.below


def whole_strip(costs: Units, first: Cell) -> Strip:
    """All diagonals of a matrix."""
    n1, n2 = shape = costs.shape[0], costs.shape[1]
    band = Band.whole(shape)
    rows = np.arange(n1)
    columns = rows + np.arange(band.low, band.high + 1)[:, None]
    nothing = np.empty(0, dtype=np.int32)
    return Strip(
        shape, first, band, costs[(rows + first[0]) % n1, (columns + first[1]) % n2], nothing, nothing
    )


def least_beside(bounds: Units, shape: tuple[int, int], first: Cell, band: Band) -> tuple[Units, Units]:
    """Lower bounds of the least costs above a band, of the first rows, and below it, of the first columns.

    Args:
        bounds: of blocks of `BLOCK` rows and columns.
        shape: rows and columns of the matrix.
        first: the cell that comes first.
        band: the diagonals.

    Returns:
        (n,) int32 each, for the rows and columns that have cells there.
    """
    above = _least_from(bounds, shape, first, band.high + 1)
    below = _least_from(bounds.T, shape[::-1], first[::-1], 1 - band.low)
    return above, below


def _least_from(bounds: Units, shape: tuple[int, int], first: Cell, diagonal: int) -> Units:
    """Least bound of each row from a diagonal on, as seen from the first cell."""
    (n1, n2), (row, column) = shape, first
    length = max(0, min(n1, n2 - diagonal))
    # the blocks of columns as they follow each other from the first cell, that of the first at both ends
    start, blocks = column // BLOCK, bounds.shape[1]
    order = np.r_[start:blocks, 0 : -(-column // BLOCK)]
    least = np.minimum.accumulate(bounds.T[order[::-1]], axis=0)[::-1]
    rows = np.arange(length)
    columns = rows + diagonal + column
    places = np.where(columns < n2, columns // BLOCK - start, blocks - start + (columns - n2) // BLOCK)
    found: Units = least[places, (rows + row) % n1 // BLOCK]
    return found


class Grid(NamedTuple):
    """Numbers of the cells of one matrix of a batch: along anti-diagonals, as no step goes back.

    An anti-diagonal has one number for each diagonal of the band, every second of which has no cell there,
    one for each lane beside the band, and one between the matrices. Two anti-diagonals precede the first
    cell.

    Attributes:
        shape: rows and columns of the matrix.
        first: the cell that comes first.
        stride: numbers of an anti-diagonal.
        band: the diagonals.
    """

    shape: tuple[int, int]
    first: Cell
    stride: int
    band: Band

    @property
    def steps(self) -> tuple[int, int, int]:
        """Differences of numbers by a step right, down and diagonally."""
        return self.stride + 1, self.stride - 1, 2 * self.stride

    @property
    def start(self) -> int:
        """Number of the first cell."""
        return 2 * self.stride + self.slot(0)

    @property
    def goal(self) -> int:
        """Number of the last cell."""
        n1, n2 = self.shape
        return (n1 + n2) * self.stride + self.slot(n2 - n1)

    @property
    def lanes(self) -> Cell:
        """What numbers of the lanes below and above the band leave when divided by the stride."""
        return 1, self.slot(self.band.high + 1)

    def slot(self, diagonal: int) -> int:
        """Number of a diagonal on an anti-diagonal."""
        return diagonal - self.band.low + 2

    def places(self, numbers: list[int] | NDArray[np.int64]) -> Cells:
        """Rows and columns as seen from the first cell; some numbers are of no cell in the matrix."""
        sums, slots = np.divmod(np.asarray(numbers, dtype=np.int64), self.stride)
        rows = (sums - slots - self.band.low) >> 1
        return np.stack([rows, sums - 2 - rows], axis=1)

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


class Route(NamedTuple):
    """A cheapest path, from the last cell to the first.

    Attributes:
        numbers: of the cells.
        totals: of the cells.
    """

    numbers: list[int]
    totals: list[int]


class Batch:
    """Matrices whose totals are computed at once.

    Attributes:
        grids: numbers of the cells of each.
    """

    def __init__(self, strips: Sequence[Strip]) -> None:
        """Take a strip of each matrix."""
        self._strips = strips
        self._length = max(sum(strip.shape) - 1 for strip in strips)
        widths = [strip.band.high - strip.band.low + 4 for strip in strips]
        self._starts = [sum(widths[:index]) for index in range(len(widths))]
        stride = sum(widths) + 1
        self.grids = [Grid(strip.shape, strip.first, stride, strip.band) for strip in strips]
        short = min(_short_bits(strip.shape) for strip in strips) >= _LEAST_BITS
        self._dtype: type[np.signedinteger[Any]] = np.int32 if short else np.int64
        # far above any total, and twice that is still a number
        self._far = (1 << (30 if short else 62)) - 1

    def blocks_from_last(
        self, workspace: Workspace, routes: Sequence[Route] = (), rebates: Sequence[int] = ()
    ) -> Iterator[Block]:
        """Totals of all anti-diagonals, in blocks from the last to the first, each valid until the next.

        Args:
            workspace: for the totals.
            routes: one per matrix, or none; their cells keep the totals they have.
            rebates: how much less every other cell costs, one per matrix, or none.

        Yields:
            The blocks.
        """
        stride = self.grids[0].stride
        height = min(self._length, max(2, BATCH // stride))
        lines = workspace.take((height + 2, stride), self._dtype)
        before = np.full((2, stride), self._far, dtype=self._dtype)
        before[0, [start + grid.slot(0) for start, grid in zip(self._starts, self.grids, strict=True)]] = 0
        starts = range(0, self._length, height)
        fixed = _Fixed(routes, self._starts, stride, self._length + height) if routes else None
        borders = []
        for start in starts:
            borders.append(before)
            self._fill(lines, start, before, fixed, rebates)
            before = lines[-2:].copy()
        flat = lines.reshape(-1)
        views = [flat[start:] for start in self._starts]
        for start, before in zip(reversed(starts), reversed(borders), strict=True):
            if start != starts[-1]:
                self._fill(lines, start, before, fixed, rebates)
            yield Block(start * stride, 2 * stride, views)

    def _fill(
        self, lines: Totals, start: int, before: Totals, fixed: _Fixed | None, rebates: Sequence[int]
    ) -> None:
        """Compute the totals of some anti-diagonals, given those of the two before them.

        No way leads back from beside a matrix, and none there in front of it. What lies between two matrices
        costs more than any path.
        """
        lines[:2] = before
        lines[2:] = 0
        flat = lines.reshape(-1)
        stride = lines.shape[1]
        rebates = rebates or [0] * len(self.grids)
        for strip, offset, grid, rebate in zip(self._strips, self._starts, self.grids, rebates, strict=True):
            for diagonal, costs in strip.diagonals():
                # the first cell on a diagonal is in the first row, or in the first column
                skipped = max(0, -(-(start - abs(diagonal)) // 2))
                at = (abs(diagonal) + 2 * skipped - start + 2) * stride + offset + grid.slot(diagonal)
                here = flat[at :: 2 * stride]
                part = costs[skipped : skipped + len(here)]
                np.subtract(part, rebate, out=here[: len(part)])
            if start == 0:
                flat[grid.start + offset] = 0
        lines[2:, [*self._starts, -1]] = self._far
        least = np.empty(stride - 2, dtype=self._dtype)
        middle = lines[:, 1:-1]
        ways = zip(middle[:-2], lines[1:-1, 2:], lines[1:-1, :-2], middle[2:], strict=True)
        for number, (across, down, right, here) in enumerate(ways, start + 2):
            np.minimum(down, right, out=least)
            np.minimum(least, across, out=least)
            np.add(here, least, out=here)
            if fixed is not None:
                fixed.keep(here, number)


class _Fixed:
    """Totals that cells of routes keep."""

    def __init__(self, routes: Sequence[Route], starts: Sequence[int], stride: int, length: int) -> None:
        numbers = np.concatenate(
            [np.array(route.numbers) + start for route, start in zip(routes, starts, strict=True)]
        )
        totals = np.concatenate([route.totals for route in routes])
        order = np.argsort(numbers)
        self._totals = totals[order]
        sums, slots = np.divmod(numbers[order], stride)
        self._slots = slots - 1
        self._bounds = np.searchsorted(sums, np.arange(length + 3)).tolist()

    def keep(self, line: Totals, number: int) -> None:
        """Put the totals of an anti-diagonal back, given without its first number."""
        part = slice(self._bounds[number], self._bounds[number + 1])
        line[self._slots[part]] = self._totals[part]
