"""The cheapest correspondence of two closed contours: monotone paths through their cost matrix.

What a path costs: see `path_totals`. Most cells are far from any cheapest path, and a lower bound of their
cost is enough. Rough costs around a first guess find the few cells that may lie on one, and exact costs of
these decide, in the very sums that a search through all exact costs would make.

A single search of the released code, restated in `tests/metrics/kernels/released.py`, takes 77 ms for a pair
of masks of DAVIS 2016 car-shadow (240 points each), and T of that pair with both of its searches less than
5 ms. Beside the CPU time that vos-benchmark needs for J and F of the same masks, T takes 1.06 times as much
as a whole program and 1.75 times on masks in memory (benchmarks/speed/results/metrics_peer.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.heap_order import first_ways
from vosbench.metrics.kernels.path_totals import (
    BATCH,
    Batch,
    Block,
    Cell,
    Cells,
    Grid,
    Totals,
    Units,
    Workspace,
    units_of_one,
)
from vosbench.metrics.kernels.rough_costs import ROUGH_ERROR, RoughCosts

_PART = 1 << 11  # cells whose exact costs are computed at a time
_MOST_PATHS = 64
_STEP = 4  # of the rows and columns that a first guess of a path is made from
_REACH = 4  # cells across from a guess whose rough costs are computed
_AT_ONCE = 1 << 13  # totals in one operation that make it worth while


class AlignmentCosts(NamedTuple):
    """Costs of the cells of one matrix, rough and exact.

    Attributes:
        rough: within `ROUGH_ERROR` and half a unit of the exact costs where known, not above that elsewhere.
        exact: gives the exact costs of (n, 2) cells as (n,) float64, none negative.
    """

    rough: RoughCosts
    exact: Callable[[Cells], NDArray[np.float64]]


class AlignmentPath(NamedTuple):
    """A path from the last cell to the first.

    Attributes:
        cells: (n, 2).
        costs: (n,) float64 exact costs of the cells.
    """

    cells: Cells
    costs: NDArray[np.float64]


class CheapestPaths(NamedTuple):
    """Cheapest paths: of exactly the same cost, in float64 sums from the first cell.

    Attributes:
        paths: at least one.
        complete: whether there are no others.
    """

    paths: list[AlignmentPath]
    complete: bool


@dataclass
class _Candidates:
    """Numbers of cells that may lie on a cheapest path.

    Attributes:
        route: a path, from the last cell to the first.
        detours: the other cells.
        rivals: cells of the route with another way to them than the route's, from a cell of the route.
        leaving: cells in the anti-diagonals before the last block, and how much more ways through them cost.
        sure: whether rough costs of the whole route are known; nothing else is complete otherwise.
    """

    route: list[int]
    detours: set[int] = field(default_factory=set)
    rivals: list[tuple[int, int]] = field(default_factory=list)
    leaving: list[tuple[int, int]] = field(default_factory=list)
    sure: bool = True


def batch_size(shape: tuple[int, int]) -> int:
    """Return the number of matrices of at most some rows and columns to search at once in bounded memory."""
    enough = -(-_AT_ONCE // (shape[0] + 1))
    return max(1, min(enough, BATCH // ((shape[0] + 1) * (sum(shape) + 1))))


def cheapest_paths(
    costs: Sequence[AlignmentCosts], firsts: Sequence[Cell], workspace: Workspace
) -> list[CheapestPaths]:
    """Find the cheapest paths from a cell of a torus to the one diagonally before it.

    Args:
        costs: of the cells, one per torus; see `batch_size` for how many.
        firsts: the first cell of each.
        workspace: for the totals.

    Returns:
        One item per torus.
    """
    for item, guess in zip(costs, _guesses(costs, firsts, workspace), strict=True):
        item.rough.refine(guess, _REACH)
    found: dict[int, CheapestPaths] = {}
    pending, reach = list(range(len(costs))), _REACH
    while pending:
        batch = Batch([costs[index].rough.units for index in pending], [firsts[index] for index in pending])
        searches = _search([costs[index].rough for index in pending], batch, workspace)
        again = []
        for index, grid, candidates in zip(pending, batch.grids, searches, strict=True):
            if candidates.sure:
                found[index] = _decide(candidates, costs[index], grid)
            else:
                costs[index].rough.refine(grid.cells(candidates.route), reach)
                again.append(index)
        pending, reach = again, 2 * reach
    return [found[index] for index in range(len(costs))]


def _guesses(costs: Sequence[AlignmentCosts], firsts: Sequence[Cell], workspace: Workspace) -> list[Cells]:
    """Cheapest paths through some rows and columns, where those through all may be."""
    coarse = [_coarse(item.rough.units) for item in costs]
    batch = Batch(coarse, [(row // _STEP, column // _STEP) for row, column in firsts])
    routes = [[grid.goal] for grid in batch.grids]
    for block in batch.blocks_from_last(workspace):
        for route, totals, grid in zip(routes, block.totals, batch.grids, strict=True):
            _extend(route, totals.data, block, grid)
    return [_STEP * grid.cells(route) for route, grid in zip(routes, batch.grids, strict=True)]


def _coarse(units: Units) -> Units:
    """Costs of some rows and columns, in units of their own number."""
    few = units[::_STEP, ::_STEP]
    coarse: Units = few // max(1, units_of_one(units.shape) // units_of_one(few.shape))
    return coarse


def _search(rough: Sequence[RoughCosts], batch: Batch, workspace: Workspace) -> list[_Candidates]:
    """Find the cheapest path of each matrix, and every way that costs hardly more.

    Where exact costs make another path the cheapest, known costs make it dearer by twice the error of a path
    at most, and lower bounds even less. So no such path is left out, as long as the route's costs are known.
    """
    searches = [_Candidates([grid.goal]) for grid in batch.grids]
    for block in batch.blocks_from_last(workspace):
        for costs, candidates, grid, totals in zip(rough, searches, batch.grids, block.totals, strict=True):
            start = len(candidates.route) - 1
            _extend(candidates.route, totals.data, block, grid)
            candidates.sure = candidates.sure and costs.known(grid.cells(candidates.route[start:]))
            if candidates.sure:
                _explore(candidates, start, totals, block, grid)
    return searches


def _decide(candidates: _Candidates, costs: AlignmentCosts, grid: Grid) -> CheapestPaths:
    """Choose between candidates by exact costs."""
    numbers = [*reversed(candidates.route), *sorted(candidates.detours)]
    cells = grid.cells(numbers)
    exact = costs.exact(cells)
    if _is_unrivalled(candidates, numbers, exact, grid):
        length = len(candidates.route)
        return CheapestPaths([AlignmentPath(cells[:length][::-1], exact[:length][::-1])], complete=True)
    cost = dict(zip(numbers, exact.tolist(), strict=True))
    paths, complete = _list_paths(cost, grid)
    return CheapestPaths(
        [AlignmentPath(grid.cells(path), np.array([cost[n] for n in path])) for path in paths], complete
    )


def released_path(
    costs: AlignmentCosts, first: Cell, known: CheapestPaths, workspace: Workspace
) -> AlignmentPath:
    """Of several cheapest paths, find the one that the released code takes.

    It takes what Dijkstra's algorithm finds first, so its heap decides: see `heap_order.first_ways`.
    Paths are followed back from the last cell, so it matters only before they part.

    Args:
        costs: of the cells.
        first: the first cell.
        known: what `cheapest_paths` found.
        workspace: for the totals.

    Returns:
        The path.
    """
    shape = costs.rough.units.shape
    width = shape[1] + 1
    path = known.paths[0]
    if known.complete and len(known.paths) == 1:
        return path
    shared = 0
    if known.complete:
        cells_at = zip(*(other.cells.tolist() for other in known.paths), strict=False)
        shared = next(i for i, (cell, *others) in enumerate(cells_at) if others.count(cell) < len(others)) - 1
    rows, columns = ((path.cells[shared] - first) % shape).tolist()
    goal = rows * width + columns + 1
    limit = float(np.cumsum([0.0, *path.costs[shared + 1 : -1][::-1]])[-1])
    ways = first_ways(_costs_within(limit, costs, first, workspace), goal, width, limit)
    steps = (0, 1, width, width + 1)
    back = [goal]
    while back[-1] != 1:
        back.append(back[-1] - steps[ways[back[-1]]])
    rows_back, columns_back = np.divmod(back, width)
    cells = (np.stack([rows_back, columns_back - 1], axis=1) + first) % np.array(shape)
    return AlignmentPath(
        np.concatenate([path.cells[:shared], cells]),
        np.concatenate([path.costs[:shared], costs.exact(cells)]),
    )


def _costs_within(
    limit: float, costs: AlignmentCosts, first: Cell, workspace: Workspace
) -> NDArray[np.float64]:
    """Exact costs of the cells whose total may be within a limit; infinite elsewhere.

    Cells are in the order of rows as seen from the first, with one more column on the left.
    """
    n1, n2 = costs.rough.units.shape
    batch = Batch([costs.rough.units], [first])
    near = int(limit * units_of_one((n1, n2))) + _path_error((n1, n2))
    entered = np.full(n1 * (n2 + 1), np.inf)
    for block in batch.blocks_from_last(workspace):
        numbers = np.flatnonzero(block.totals[0][block.stop :] <= near) + (block.base + block.stop)
        rows, columns = batch.grids[0].places(numbers).T
        inside = (rows >= 0) & (rows < n1) & (columns >= 0) & (columns < n2)
        numbers, here = numbers[inside], (rows * (n2 + 1) + columns + 1)[inside]
        for start in range(0, len(numbers), _PART):
            part = slice(start, start + _PART)
            entered[here[part]] = costs.exact(batch.grids[0].cells(numbers[part]))
    return entered


def _path_error(shape: tuple[int, int]) -> int:
    """Largest error of a rough total, in units."""
    return math.ceil((ROUGH_ERROR * units_of_one(shape) + 0.5) * sum(shape))


def _extend(route: list[int], totals: memoryview, block: Block, grid: Grid) -> None:
    """Follow a route back to the anti-diagonals before a block, or to the first cell."""
    right, down, across = grid.steps
    at = route[-1] - block.base
    last = max(grid.start - block.base, block.stop - 1)
    while at > last:
        left, above, diagonal = totals[at - right], totals[at - down], totals[at - across]
        if diagonal <= left and diagonal <= above:
            at -= across
        elif left < above:
            at -= right
        else:
            at -= down
        route.append(at + block.base)


def _explore(candidates: _Candidates, start: int, totals: Totals, block: Block, grid: Grid) -> None:
    """Add the cells of a block on ways back that cost hardly more than the route.

    Args:
        candidates: what to add to; its route reaches back to the anti-diagonals before the block.
        start: index in the route of the first cell that may be in the block.
        totals: of the matrix.
        block: that they are from.
        grid: numbers of the cells.
    """
    budget = 2 * _path_error(grid.shape)
    pending, candidates.leaving = candidates.leaving, []
    steps, base = grid.steps, block.base
    route = candidates.route[start:]
    here = set(route)
    inside = np.array(route[:-1], dtype=np.int64) - base
    ways = totals[inside[:, None] - steps].astype(np.int64)
    rises = ways - ways.min(1, keepdims=True)
    for index, choice in np.argwhere(rises <= budget).tolist():
        cell, way = route[index], route[index] - steps[choice]
        if way == route[index + 1]:
            continue
        if way in here:
            candidates.rivals.append((cell, way))
        pending.append((way, int(rises[index, choice])))
    data = totals.data
    right, down, across = steps
    spent: dict[int, int] = {}
    while pending:
        cell, cost = pending.pop()
        if cell in here or cost >= spent.get(cell, math.inf):
            continue
        at = cell - base
        if at < block.stop:
            candidates.leaving.append((cell, cost))
            continue
        spent[cell] = cost
        left, above, diagonal = data[at - right], data[at - down], data[at - across]
        cost -= min(left, above, diagonal)
        most = budget - cost
        if left <= most:
            pending.append((cell - right, cost + left))
        if above <= most:
            pending.append((cell - down, cost + above))
        if diagonal <= most:
            pending.append((cell - across, cost + diagonal))
    candidates.detours.update(spent)


def _is_unrivalled(
    candidates: _Candidates, numbers: list[int], costs: NDArray[np.float64], grid: Grid
) -> bool:
    """Return whether the route is strictly cheaper than every other way to any of its cells, in exact sums.

    Args:
        candidates: the candidates.
        numbers: the route from its first cell, then the detours in order.
        costs: exact costs of these.
        grid: numbers of the cells.
    """
    right, down, across = grid.steps
    far, none = math.inf, -1.0
    length = len(candidates.route)
    totals = np.cumsum([0.0, *costs[1:length]]).tolist()
    total = dict(zip(numbers, totals, strict=False))
    before = dict(zip(numbers[1:length], totals, strict=False))
    for number, cost in zip(numbers[length:], costs[length:].tolist(), strict=True):
        ways = total.get(number - right, far), total.get(number - down, far), total.get(number - across, far)
        total[number] = here = min(ways) + cost
        after = (
            before.get(number + right, none),
            before.get(number + down, none),
            before.get(number + across, none),
        )
        if here <= max(after):
            return False
    return all(total[way] > before[cell] for cell, way in candidates.rivals)


def _list_paths(cost: dict[int, float], grid: Grid) -> tuple[list[list[int]], bool]:
    """Cheapest paths among some cells, and whether there are no others."""
    steps = grid.steps
    total = {grid.start: 0.0}
    ways: dict[int, list[int]] = {}
    for cell in sorted(cost)[1:]:
        known = [total.get(cell - step, math.inf) for step in steps]
        lowest = min(known)
        total[cell] = lowest + cost[cell]
        ways[cell] = [cell - step for step, value in zip(steps, known, strict=True) if value == lowest]
    parts = [[grid.goal]]
    paths: list[list[int]] = []
    while parts and len(paths) < _MOST_PATHS:
        path = parts.pop()
        while path[-1] != grid.start:
            onward, *others = ways[path[-1]]
            parts += [[*path, other] for other in others]
            path.append(onward)
        paths.append(path)
    return paths, not parts
