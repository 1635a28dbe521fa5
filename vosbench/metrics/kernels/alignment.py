"""The cheapest correspondence of two closed contours: a monotone path through their cost matrix."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]
"""Row and column of a matrix."""


def cheapest_path(cost: NDArray[np.float64]) -> list[Cell]:
    """Find the cheapest monotone path from the first to the last cell of a matrix.

    A step goes right, down or diagonally and costs the cell it enters; the first cell is free.
    Where two paths cost exactly the same (a closed contour stores one point twice, so every matrix
    has two equal rows and columns) the result is the one that Dijkstra's algorithm finds with the
    four-ary heap of the released code. As that is slow, it is used only when there is a choice.

    Args:
        cost: (n1, n2) float64, non-negative.

    Returns:
        Cells from the last to the first.
    """
    total = _totals(cost)
    row, column = cost.shape[0] - 1, cost.shape[1] - 1
    path = [(row, column)]
    while row or column:
        d = row + column
        right, down, diagonal = total[d + 1, row + 1], total[d + 1, row], total[d, row]
        if right < down and right < diagonal:
            column -= 1
        elif down < right and down < diagonal:
            row -= 1
        elif diagonal < right and diagonal < down:
            row, column = row - 1, column - 1
        else:
            return path + _first_path(cost, row, column)[1:]
        path.append((row, column))
    return path


def _totals(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost of reaching every cell; element (d + 2, i + 1) of the result is that of cell (i, d - i).

    Cells of one anti-diagonal depend on earlier ones alone and are computed together.
    """
    n1, n2 = cost.shape
    diagonals = n1 + n2 - 1
    # element (d, i) of the skewed view is cell (i, d - i); the padding is never a way through
    padded = np.full((n1, n1 + n2), np.inf)
    padded[:, :n2] = cost
    skewed = np.ascontiguousarray(
        np.lib.stride_tricks.as_strided(padded, (diagonals, n1), (8, 8 * diagonals))
    )
    total = np.full((diagonals + 2, n1 + 1), np.inf)
    total[2, 1] = 0.0
    for d in range(1, diagonals):
        lowest, end = max(0, d - n2 + 1), min(d, n1 - 1) + 1
        here = total[d + 2, lowest + 1 : end + 1]
        before = total[d + 1]
        np.minimum(before[lowest + 1 : end + 1], before[lowest:end], out=here)
        np.minimum(here, total[d, lowest:end], out=here)
        here += skewed[d, lowest:end]
    return total


def _first_path(cost: NDArray[np.float64], row: int, column: int) -> list[Cell]:
    """The cheapest path to a cell that Dijkstra's algorithm finds first.

    The heap decides which of equally distant cells is visited first, so its shape is part of the
    definition: four children, the last entry replaces the root, equal keys never change places, of
    equal children the first moves up; neighbours are tried in the order right, down, diagonal, and
    only a strictly cheaper way to a cell replaces a known one.
    """
    width = cost.shape[1] + 1
    goal = row * width + column
    # a border that no path can enter
    costs = np.pad(cost, ((0, 1), (0, 1)), constant_values=np.inf).ravel().tolist()
    reached = [math.inf] * len(costs)
    came_from = [0] * len(costs)
    place = [0] * len(costs)
    cells, keys = [0], [0.0]
    while (cell := cells[0]) != goal:
        distance = keys[0]
        _pop(cells, keys, place)
        for step in (1, width, width + 1):
            neighbour = cell + step
            key = distance + costs[neighbour]
            if not key < reached[neighbour]:
                continue
            at = place[neighbour]
            if reached[neighbour] == math.inf:
                at = len(cells)
                cells.append(neighbour)
                keys.append(key)
            reached[neighbour], came_from[neighbour] = key, cell
            while at and key < keys[above := (at - 1) // 4]:
                cells[at], keys[at] = cells[above], keys[above]
                place[cells[at]] = at
                at = above
            cells[at], keys[at], place[neighbour] = neighbour, key, at
    path = [goal]
    while path[-1]:
        path.append(came_from[path[-1]])
    return [divmod(cell, width) for cell in path]


def _pop(cells: list[int], keys: list[float], place: list[int]) -> None:
    """Remove the root of the heap; `place` is where each cell is in it."""
    cell, key = cells.pop(), keys.pop()
    if not cells:
        return
    at = 0
    while children := keys[4 * at + 1 : 4 * at + 5]:
        smallest = min(children)
        if not smallest < key:
            break
        child = 4 * at + 1 + children.index(smallest)
        cells[at], keys[at] = cells[child], smallest
        place[cells[at]] = at
        at = child
    cells[at], keys[at], place[cell] = cell, key, at
