"""The cheapest correspondence of two closed contours: monotone paths through their cost matrix.

What a path costs: see `path_totals`. Most cells are far from any cheapest path, and lower bounds of the costs
of blocks are enough there. Rough costs in a band around a first guess find the few cells that may lie on one
(`near_paths`), and exact costs of these decide, in the very sums that a search through all exact costs would
make.

A single search of the released code, restated in `tests/metrics/kernels/released.py`, takes 77 ms for a pair
of masks of DAVIS 2016 car-shadow (240 points each), and T of that pair with both of its searches less than
5 ms. How long T takes beside J and F of vos-benchmark: benchmarks/speed/results/metrics_peer.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.heap_order import first_ways
from vosbench.metrics.kernels.near_paths import Candidates, cheapest_routes, largest_error, near_routes
from vosbench.metrics.kernels.path_totals import (
    BLOCK,
    Band,
    Batch,
    Cell,
    Cells,
    Grid,
    Strip,
    Workspace,
    least_beside,
    units_of_one,
    whole_strip,
)
from vosbench.metrics.kernels.rough_costs import RoughCosts

_PART = 1 << 11  # cells whose exact costs are computed at a time
_MOST_PATHS = 64
_STEP = 2  # of the blocks that a first guess of a path is made from
_SIDE = _STEP * BLOCK
_MARGIN = 12  # diagonals beside a guess that are in the band
_FAR = 64  # of them where totals are wanted and not only a path
_CELLS = 1 << 24  # of the matrices that are searched at once


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
class _Search:
    """The search for the cheapest paths of one torus.

    Attributes:
        costs: of the cells.
        first: the first cell.
        band: diagonals that are looked at.
        found: the paths, at the end.
    """

    costs: AlignmentCosts
    first: Cell
    band: Band
    found: CheapestPaths | None = None

    def strip(self) -> Strip:
        """Costs in the band, and lower bounds beside it."""
        rough = self.costs.rough
        beside = least_beside(rough.bounds, rough.shape, self.first, self.band)
        return Strip(rough.shape, self.first, self.band, rough.along(self.first, self.band), *beside)

    def leaves_band(self, numbers: Collection[int], grid: Grid) -> bool:
        """Return whether any numbers are of no cell, but of what is beside the band; widen it there if so."""
        below, above = (lane in {number % grid.stride for number in numbers} for lane in grid.lanes)
        more = (self.band.high - self.band.low) // 2 + 1
        low, high = self.band.low - more * below, self.band.high + more * above
        self.band = _clipped(low, high, grid.shape)
        return below or above


def batch_size(shape: tuple[int, int]) -> int:
    """Return the number of matrices of at most some rows and columns to search at once in bounded memory."""
    return max(1, _CELLS // (shape[0] * shape[1]))


def cheapest_paths(
    costs: Sequence[AlignmentCosts],
    firsts: Sequence[Cell],
    workspace: Workspace,
    guesses: Sequence[Cells] | None = None,
) -> list[CheapestPaths]:
    """Find the cheapest paths from a cell of a torus to the one diagonally before it.

    Args:
        costs: of the cells, one per torus; see `batch_size` for how many.
        firsts: the first cell of each.
        workspace: for the totals.
        guesses: cells of each torus that the paths may be near; made from lower bounds when not given.

    Returns:
        One item per torus.
    """
    searches = [
        _Search(item, first, _band_around(guess, first, item.rough.shape))
        for item, first, guess in zip(
            costs, firsts, guesses or _guesses(costs, firsts, workspace), strict=True
        )
    ]
    pending = searches
    while pending:
        batch = Batch([item.strip() for item in pending])
        routes = cheapest_routes(batch, workspace)
        sure = [
            not item.leaves_band(route.numbers, grid)
            for item, route, grid in zip(pending, routes, batch.grids, strict=True)
        ]
        for item, candidates, grid in zip(
            pending, near_routes(batch, routes, sure, workspace), batch.grids, strict=True
        ):
            if candidates is not None and not item.leaves_band(candidates.detours, grid):
                item.found = _decide(candidates, item.costs, grid)
        pending = [item for item in pending if item.found is None]
    return [item.found for item in searches if item.found is not None]


def _guesses(costs: Sequence[AlignmentCosts], firsts: Sequence[Cell], workspace: Workspace) -> list[Cells]:
    """Cheapest paths through some blocks, where those through all cells may be."""
    batch = Batch(
        [
            whole_strip(item.rough.bounds[::_STEP, ::_STEP], (row // _SIDE, column // _SIDE))
            for item, (row, column) in zip(costs, firsts, strict=True)
        ]
    )
    routes = cheapest_routes(batch, workspace)
    return [_SIDE * grid.cells(route.numbers) for grid, route in zip(batch.grids, routes, strict=True)]


def _band_around(guess: Cells, first: Cell, shape: tuple[int, int]) -> Band:
    """Diagonals that a guess goes along, those of the first and of the last cell, and some beside them."""
    n1, n2 = shape
    rows, columns = ((guess - first) % shape).T
    diagonals = columns - rows
    # what ends just before the first cell may start there as well
    diagonals[diagonals > n2 // 2] -= n2
    diagonals[diagonals < -(n1 // 2)] += n1
    low, high = min(int(diagonals.min()), 0, n2 - n1), max(int(diagonals.max()), 0, n2 - n1)
    return _clipped(low - _MARGIN, high + _MARGIN, shape)


def _clipped(low: int, high: int, shape: tuple[int, int]) -> Band:
    """Diagonals of a matrix between two."""
    whole = Band.whole(shape)
    return Band(max(low, whole.low), min(high, whole.high))


def _decide(candidates: Candidates, costs: AlignmentCosts, grid: Grid) -> CheapestPaths:
    """Choose between candidates by exact costs."""
    numbers = [*reversed(candidates.route.numbers), *sorted(candidates.detours)]
    cells = grid.cells(numbers)
    exact = costs.exact(cells)
    alone = not candidates.detours and not candidates.rivals
    if alone or _is_unrivalled(candidates, numbers, exact, grid):
        length = len(candidates.route.numbers)
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
    shape = costs.rough.shape
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
    n1, n2 = costs.rough.shape
    near = int(limit * units_of_one((n1, n2))) + (n1 + n2) * largest_error((n1, n2))
    search = _Search(costs, first, _clipped(min(0, n2 - n1) - _FAR, max(0, n2 - n1) + _FAR, (n1, n2)))
    while True:
        batch = Batch([search.strip()])
        (grid,) = batch.grids
        numbers = np.concatenate(
            [
                np.flatnonzero(block.totals[0][block.stop :] <= near) + (block.base + block.stop)
                for block in batch.blocks_from_last(workspace)
            ]
        )
        rows, columns = grid.places(numbers).T
        inside = (rows >= 0) & (rows < n1) & (columns >= 0) & (columns < n2)
        numbers, here = numbers[inside], (rows * (n2 + 1) + columns + 1)[inside]
        if not search.leaves_band(numbers.tolist(), grid):
            break
    entered = np.full(n1 * (n2 + 1), np.inf)
    for start in range(0, len(numbers), _PART):
        part = slice(start, start + _PART)
        entered[here[part]] = costs.exact(grid.cells(numbers[part]))
    return entered


def _is_unrivalled(
    candidates: Candidates, numbers: list[int], costs: NDArray[np.float64], grid: Grid
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
    length = len(candidates.route.numbers)
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
