"""Cells that may lie on a cheapest path through a matrix, from the totals of its rough costs."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vosbench.metrics.kernels.path_totals import Batch, Block, Grid, Route, Totals, Workspace, units_of_one
from vosbench.metrics.kernels.rough_costs import ROUGH_ERROR


@dataclass
class Candidates:
    """Numbers of cells that may lie on a cheapest path.

    Attributes:
        route: a cheapest path by rough costs.
        detours: the other cells.
        rivals: cells of the route with another way to them than the route's, from a cell of the route.
        leaving: cells in the anti-diagonals before the last block, and how much more ways through them cost.
        explored: how many cells of the route were in the blocks so far.
    """

    route: Route
    detours: set[int] = field(default_factory=set)
    rivals: list[tuple[int, int]] = field(default_factory=list)
    leaving: list[tuple[int, int]] = field(default_factory=list)
    explored: int = 0


def cheapest_routes(batch: Batch, workspace: Workspace) -> list[Route]:
    """Find a cheapest path of each matrix."""
    routes = [Route([grid.goal], []) for grid in batch.grids]
    for block in batch.blocks_from_last(workspace):
        for route, totals, grid in zip(routes, block.totals, batch.grids, strict=True):
            _extend(route, totals.data, block, grid)
    for route in routes:
        route.totals.append(0)
    return routes


def near_routes(
    batch: Batch, routes: Sequence[Route], sure: Sequence[bool], workspace: Workspace
) -> list[Candidates | None]:
    """Find the cells of every path that may cost no more than the route; None where the route is not sure.

    Between two cells of the route, such a path has p others, and the route at most 2 p + 1. By rough costs it
    is dearer than the route there by the error of 3 p + 1 cells at most, and by lower bounds even less. So
    when all cells but those of the route cost less by three errors, it is dearer by one error at most.
    """
    errors = [largest_error(grid.shape) for grid in batch.grids]
    found = [Candidates(route) if known else None for route, known in zip(routes, sure, strict=True)]
    for block in batch.blocks_from_last(workspace, routes, [3 * error for error in errors]):
        for candidates, totals, grid, error in zip(found, block.totals, batch.grids, errors, strict=True):
            if candidates is not None:
                _explore(candidates, totals, block, grid, error)
    return found


def largest_error(shape: tuple[int, int]) -> int:
    """Largest error of a rough cost, in units."""
    return math.ceil(ROUGH_ERROR * units_of_one(shape) + 0.5)


def _extend(route: Route, totals: memoryview, block: Block, grid: Grid) -> None:
    """Follow a route back to the anti-diagonals before a block, or to the first cell."""
    right, down, across = grid.steps
    at = route.numbers[-1] - block.base
    last = max(grid.start - block.base, block.stop - 1)
    while at > last:
        route.totals.append(totals[at])
        left, above, diagonal = totals[at - right], totals[at - down], totals[at - across]
        if diagonal <= left and diagonal <= above:
            at -= across
        elif left < above:
            at -= right
        else:
            at -= down
        route.numbers.append(at + block.base)


def _explore(candidates: Candidates, totals: Totals, block: Block, grid: Grid, budget: int) -> None:
    """Add the cells of a block on ways back that cost hardly more than the route.

    Args:
        candidates: what to add to.
        totals: of the matrix.
        block: that they are from.
        grid: numbers of the cells.
        budget: how much more.
    """
    pending, candidates.leaving = candidates.leaving, []
    steps, base = grid.steps, block.base
    start, route = candidates.explored, candidates.route.numbers
    stop = bisect_left(route, -base - block.stop + 1, lo=start, hi=len(route) - 1, key=operator.neg)
    candidates.explored = stop
    inside = np.array(route[start : stop + 1], dtype=np.int64) - base
    before = np.array(candidates.route.totals[start + 1 : stop + 1])
    for step in steps:
        ways = inside[:-1] - step
        rises = totals[ways] - before
        near = np.flatnonzero((rises <= budget) & (ways != inside[1:]))
        pending.extend(zip((ways[near] + base).tolist(), rises[near].tolist(), strict=True))
        candidates.rivals.extend(
            zip((inside[near] + base).tolist(), (ways[near] + base).tolist(), strict=True)
        )
    if not pending:
        return
    here = set(route)
    candidates.rivals = [(cell, way) for cell, way in candidates.rivals if way in here]
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
