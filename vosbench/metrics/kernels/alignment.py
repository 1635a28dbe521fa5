"""The cheapest correspondence of two closed contours: monotone paths through their cost matrix.

A step goes right, down or diagonally and costs the cell it enters; the first cell is free. The matrix is
a torus: any cell may come first.

Most cells are far from any cheapest path. Rough costs of all cells find the few that may lie on one, and
exact costs of these decide, in the very sums that a search through all exact costs would make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.heap_order import first_ways

Cell = tuple[int, int]
"""Row and column of a matrix."""

Cells = NDArray[np.int64]
"""(n, 2) int64 rows and columns."""

ROUGH_SCALE = 1 << 24
"""Rough costs are in parts of one of this many, so that integers hold their sums."""

ROUGH_ERROR = 1.2e-6
"""How far a rough cost may be from the exact one, before scaling."""

_FAR = 1 << 60
_BLOCK = 1 << 20  # cells whose totals are in memory at a time
_PART = 1 << 11  # cells whose exact costs are computed at a time
_MOST_PATHS = 64


class Workspace:
    """Memory that one search leaves to the next: to get it anew takes longer than to fill it."""

    def __init__(self) -> None:
        self._space = np.empty(0, dtype=np.int64)

    def take(self, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Two (height, width) int64 arrays of any content."""
        size = height * width
        if self._space.size < 2 * size:
            self._space = np.empty(2 * size, dtype=np.int64)
        first, second = self._space[:size], self._space[size : 2 * size]
        return first.reshape(height, width), second.reshape(height, width)


class Costs(NamedTuple):
    """What a search knows.

    Attributes:
        rough: (n1, n2) float32, within `ROUGH_ERROR` of the exact costs times `ROUGH_SCALE`.
        exact: gives the exact costs of (n, 2) cells as (n,) float64, none negative.
        workspace: for the totals.
    """

    rough: NDArray[np.float32]
    exact: Callable[[Cells], NDArray[np.float64]]
    workspace: Workspace


class Cheapest(NamedTuple):
    """Cheapest paths: of exactly the same cost, in float64 sums from the first cell.

    Attributes:
        paths: each from the last cell to the first.
        complete: whether there are no others.
    """

    paths: list[Cells]
    complete: bool


class _Candidates(NamedTuple):
    """Cells that may lie on a cheapest path.

    Cells are numbered row by row, with one more column on the left: the first is number 1.

    Attributes:
        route: a path, from the last cell to the first.
        detours: the other cells.
        rivals: cells of the route with another way to them than the route's, from a cell of the route.
    """

    route: list[int]
    detours: set[int]
    rivals: list[tuple[int, int]]


def cheapest_paths(costs: Costs, first: Cell = (0, 0)) -> Cheapest:
    """Find the cheapest paths from a cell of the torus to the one diagonally before it.

    Args:
        costs: of the cells.
        first: the first cell.

    Returns:
        At least one path.
    """
    shape = costs.rough.shape
    width = shape[1] + 1
    found = _candidates(costs, first)
    numbers = [*reversed(found.route), *sorted(found.detours)]
    cells = _cells(numbers, first, shape)
    exact = costs.exact(cells)
    if _is_unrivalled(found, numbers, exact, width):
        return Cheapest([cells[: len(found.route)][::-1]], complete=True)
    paths, complete = _list_paths(dict(zip(numbers, exact.tolist(), strict=True)), found.route[0], width)
    return Cheapest([_cells(path, first, shape) for path in paths], complete)


def released_path(costs: Costs, first: Cell, known: Cheapest) -> Cells:
    """Of several cheapest paths, find the one that the released code takes.

    It takes what Dijkstra's algorithm finds first, so its heap decides: see `heap_order.first_ways`.
    Paths are followed back from the last cell, so it matters only before they part.

    Args:
        costs: of the cells.
        first: the first cell.
        known: what `cheapest_paths` found.

    Returns:
        The path from the last cell to the first.
    """
    shape = costs.rough.shape
    n1, width = shape[0], shape[1] + 1
    path = known.paths[0]
    if known.complete and len(known.paths) == 1:
        return path
    shared = 0
    if known.complete:
        together = zip(*(other.tolist() for other in known.paths), strict=False)
        shared = next(i for i, (cell, *others) in enumerate(together) if others.count(cell) < len(others)) - 1
    rows, columns = ((path[shared] - first) % shape).tolist()
    goal = rows * width + columns + 1
    limit = float(np.cumsum([0.0, *costs.exact(path)[shared + 1 : -1][::-1]])[-1])
    near = int(limit * ROUGH_SCALE) + _path_error(shape)
    entered = np.full(n1 * width, np.inf)
    for base, totals in _blocks_from_last(costs, first):
        numbers = np.flatnonzero(totals[width:] <= near) + (base + width)
        for part in np.split(numbers, range(_PART, len(numbers), _PART)):
            entered[part] = costs.exact(_cells(part, first, shape))
    ways = first_ways(entered, goal, width, limit)
    steps = (0, 1, width, width + 1)
    numbers_back = [goal]
    while numbers_back[-1] != 1:
        numbers_back.append(numbers_back[-1] - steps[ways[numbers_back[-1]]])
    return np.concatenate([path[:shared], _cells(numbers_back, first, shape)])


def _cells(numbers: list[int] | NDArray[np.int64], first: Cell, shape: tuple[int, ...]) -> Cells:
    """Cells of the torus, given their numbers as seen from the first."""
    rows, columns = np.divmod(np.asarray(numbers), shape[1] + 1)
    cells: Cells = np.stack([rows + first[0], columns - 1 + first[1]], axis=1) % np.array(shape)
    return cells


def _path_error(shape: tuple[int, ...]) -> int:
    """How far a rough total may be from the exact one, rounding included."""
    return int((ROUGH_ERROR * ROUGH_SCALE + 1) * sum(shape))


def _candidates(costs: Costs, first: Cell) -> _Candidates:
    """Follow the cheapest rough path back, and every way that costs hardly more.

    Where exact costs make another path the cheapest, rough costs make it dearer by twice the error of
    a path at most.
    """
    n1, n2 = costs.rough.shape
    budget = 2 * _path_error((n1, n2))
    found = _Candidates([n1 * (n2 + 1) - 1], set(), [])
    pending: list[tuple[int, int]] = []
    for base, totals in _blocks_from_last(costs, first):
        start = len(found.route) - 1
        _extend(found.route, totals.data, base, n2 + 1)
        pending = _explore(found, start, pending, totals, base, n2 + 1, budget)
    return found


def _blocks_from_last(costs: Costs, first: Cell) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Rough totals, in blocks of rows from the last to the first.

    Yields:
        The number of the first element, and flat totals: of the row before the block, then of its rows. They
        are valid until the next.
    """
    n1, n2 = costs.rough.shape
    height = max(1, min(n1, _BLOCK // (n2 + 1)))
    totals, sums = costs.workspace.take(height + 1, n2 + 1)
    before = np.full(n2 + 1, _FAR)
    before[0] = 0  # the way into the first cell
    starts = list(range(0, n1, height))
    borders = []
    for start in starts:
        borders.append(before)
        block = _fill(totals, sums, costs.rough, first, start, before)
        before = block[-1].copy()
    for start, before in zip(reversed(starts), reversed(borders), strict=True):
        if start != starts[-1]:
            block = _fill(totals, sums, costs.rough, first, start, before)
        yield (start - 1) * (n2 + 1), block.reshape(-1)


def _fill(
    totals: NDArray[np.int64],
    sums: NDArray[np.int64],
    rough: NDArray[np.float32],
    first: Cell,
    start: int,
    before: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Rough totals of some rows, below those of the row before them.

    Within a row a path only goes right. So the least total of a cell is the sum of its row so far and the
    least, over the cells up to it, of the total on the way in minus the sum before it.
    """
    n1, n2 = rough.shape
    row, column = (start + first[0]) % n1, first[1]
    count = min(len(totals) - 1, n1 - start)
    totals, sums = totals[: count + 1], sums[:count]
    unturned = min(count, n1 - row)
    for to, rows in ((sums[:unturned], rough[row : row + unturned]), (sums[unturned:], rough)):
        to[:, 1 : n2 - column + 1] = rows[: len(to), column:]
        to[:, n2 - column + 1 :] = rows[: len(to), :column]
    sums[:, 0] = 0
    if start == 0:
        sums[0, 1] = 0
    np.cumsum(sums, axis=1, out=sums)
    totals[0] = before
    totals[1:, 0] = _FAR
    way_in = np.empty(n2, dtype=np.int64)
    for above_left, above, here, sum_before, sum_here in zip(
        totals[:-1, :-1], totals[:-1, 1:], totals[1:, 1:], sums[:, :-1], sums[:, 1:], strict=True
    ):
        np.minimum(above, above_left, out=way_in)
        np.subtract(way_in, sum_before, out=way_in)
        np.fmin.accumulate(way_in, out=here)  # the same as minimum for integers, in half the time
        np.add(here, sum_here, out=here)
    return totals


def _extend(route: list[int], totals: memoryview, base: int, width: int) -> None:
    """Follow a route back to the row before a block, or to the first cell."""
    at = route[-1] - base
    last = max(1 - base, width - 1)
    while at > last:
        left, above, diagonal = totals[at - 1], totals[at - width], totals[at - width - 1]
        if diagonal <= left and diagonal <= above:
            at -= width + 1
        elif left < above:
            at -= 1
        else:
            at -= width
        route.append(at + base)


def _explore(
    found: _Candidates,
    start: int,
    pending: list[tuple[int, int]],
    totals: NDArray[np.int64],
    base: int,
    width: int,
    budget: int,
) -> list[tuple[int, int]]:
    """Add the cells of a block on ways back that cost hardly more than the route.

    Args:
        found: what to add to; its route reaches back to the row before the block.
        start: index in the route of the first cell that may be in the block.
        pending: cells on such ways in the block, and how much more they cost.
        totals: of the block.
        base: number of the first of them.
        width: of a row.
        budget: how much more a way may cost.

    Returns:
        Such cells in the row before the block.
    """
    steps = (1, width, width + 1)
    route = found.route[start:]
    here = set(route)
    inside = np.array(route[:-1], dtype=np.int64) - base
    ways = totals[inside[:, None] - steps]
    rises = ways - ways.min(1, keepdims=True)
    for index, choice in np.argwhere(rises <= budget).tolist():
        cell, way = route[index], route[index] - steps[choice]
        if way == route[index + 1]:
            continue
        if way in here:
            found.rivals.append((cell, way))
        pending.append((way, int(rises[index, choice])))
    data = totals.data
    spent: dict[int, int] = {}
    leaving = []
    while pending:
        cell, cost = pending.pop()
        if cell in here or cost >= spent.get(cell, _FAR):
            continue
        spent[cell] = cost
        found.detours.add(cell)
        at = cell - base
        if at < width:
            leaving.append((cell, cost))
            continue
        values = [data[at - step] for step in steps]
        cost -= min(values)
        pending += [
            (cell - step, cost + v) for step, v in zip(steps, values, strict=True) if cost + v <= budget
        ]
    return leaving


def _is_unrivalled(found: _Candidates, numbers: list[int], costs: NDArray[np.float64], width: int) -> bool:
    """Whether the route is strictly cheaper than every other way to any of its cells, in exact sums.

    Args:
        found: the candidates.
        numbers: the route from its first cell, then the detours in order.
        costs: exact costs of these.
        width: of a row.
    """
    steps = (1, width, width + 1)
    length = len(found.route)
    totals = np.cumsum([0.0, *costs[1:length]]).tolist()
    total = dict(zip(numbers, totals, strict=False))
    before = dict(zip(numbers[1:length], totals, strict=False))
    for number, cost in zip(numbers[length:], costs[length:].tolist(), strict=True):
        total[number] = here = min(total.get(number - step, math.inf) for step in steps) + cost
        if any(here <= before.get(number + step, -1.0) for step in steps):
            return False
    return all(total[way] > before[cell] for cell, way in found.rivals)


def _list_paths(cost: dict[int, float], goal: int, width: int) -> tuple[list[list[int]], bool]:
    """Cheapest paths among some cells, and whether there are no others."""
    steps = (1, width, width + 1)
    total = {1: 0.0}
    ways: dict[int, list[int]] = {}
    for cell in sorted(cost)[1:]:
        known = [total.get(cell - step, math.inf) for step in steps]
        lowest = min(known)
        total[cell] = lowest + cost[cell]
        ways[cell] = [cell - step for step, value in zip(steps, known, strict=True) if value == lowest]
    parts = [[goal]]
    paths: list[list[int]] = []
    while parts and len(paths) < _MOST_PATHS:
        path = parts.pop()
        while path[-1] != 1:
            onward, *others = ways[path[-1]]
            parts += [[*path, other] for other in others]
            path.append(onward)
        paths.append(path)
    return paths, not parts
