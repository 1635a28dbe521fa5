"""Order in which Dijkstra's algorithm finds equally cheap ways through a matrix."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_WALL = 4
_ROOM = 16  # entries more than a heap has, at least


def first_ways(costs: NDArray[np.float64], goal: int, width: int, limit: float) -> bytearray:
    """Dijkstra's algorithm from the first cell until one is reached, with the heap of the released code.

    Which of equally distant cells is visited first depends on the shape of that heap: four children, the last
    entry replaces the root, equal keys never change places, of equal children the first moves up;
    neighbours are tried in the order right, down, diagonal. The first way to a cell is its cheapest, as
    every step into it costs the same, so no key in the heap ever changes. Which of the entries beyond the
    limit is where makes no difference to the others: all of them are infinite here.

    Args:
        costs: of cells by number; infinite where the total is above the limit.
        goal: number of the cell to reach.
        width: of a row.
        limit: total of the cells from which the goal is reached.

    Returns:
        How cells were reached, by number: 1 from the left, 2 from above, 3 diagonally.
    """
    reached = bytearray(len(costs) + width + 1)
    reached[::width] = bytes([_WALL]) * len(reached[::width])
    reached[len(costs) :] = bytes([_WALL]) * (width + 1)
    reached[1] = _WALL
    cost = costs.data
    ways = ((1, 1), (2, width), (3, width + 1))
    # entries up to the size, and room for the children of the last
    keys, cells, size = [math.inf] * _ROOM, [0] * _ROOM, 1
    keys[0], cells[0] = 0.0, 1
    while not reached[goal]:
        distance, cell = keys[0], cells[0]
        size -= 1
        _replace_root(keys, cells, size)
        if size + _ROOM // 2 > len(keys):
            keys += [math.inf] * len(keys)
            cells += [0] * len(cells)
        for way, step in ways:
            neighbour = cell + step
            if reached[neighbour]:
                continue
            reached[neighbour] = way
            at = size
            size += 1
            key = distance + cost[neighbour]
            if key > limit:
                continue
            while at and key < keys[above := (at - 1) // 4]:
                keys[at], cells[at] = keys[above], cells[above]
                at = above
            keys[at], cells[at] = key, neighbour
    return reached


def _replace_root(keys: list[float], cells: list[int], last: int) -> None:
    """Move the last entry of the heap to its root, and down to where it belongs."""
    key, cell = keys[last], cells[last]
    keys[last] = math.inf
    at, child = 0, 1
    while child < last:
        smallest, lowest = child, keys[child]
        # without a loop, which would take half as long again
        other = child + 1
        if keys[other] < lowest:
            smallest, lowest = other, keys[other]
        other = child + 2
        if keys[other] < lowest:
            smallest, lowest = other, keys[other]
        other = child + 3
        if keys[other] < lowest:
            smallest, lowest = other, keys[other]
        if not lowest < key:
            break
        keys[at], cells[at] = lowest, cells[smallest]
        at, child = smallest, 4 * smallest + 1
    if last:
        keys[at], cells[at] = key, cell
