"""The search of the released code, through whole matrices, one step after the other."""

import math

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]


def whole_matching_cost(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n1, n2) chi-squared distances, added up bin by bin."""
    cost = np.zeros((len(first), len(second)))
    for a, b in zip(first.T[..., None], second.T, strict=True):
        cost += (a - b) ** 2 / (a + b + 2.2204e-16)
    return cost / 2


def released_path_of(cost: NDArray[np.float64]) -> list[Cell]:
    """Cells from the last to the first, as Dijkstra's algorithm with an indirect four-ary heap finds them."""
    rows, columns = cost.shape
    reached: dict[Cell, float] = {(0, 0): 0.0}
    came_from: dict[Cell, Cell] = {}
    heap = [(0, 0)]
    while heap[0] != (rows - 1, columns - 1):
        i, j = heap[0]
        _pop(heap, reached)
        for cell in ((i, j + 1), (i + 1, j), (i + 1, j + 1)):
            if cell[0] >= rows or cell[1] >= columns:
                continue
            key = reached[i, j] + cost[cell]
            if not key < reached.get(cell, math.inf):
                continue
            if cell not in reached:
                heap.append(cell)
            at = heap.index(cell)
            reached[cell], came_from[cell] = key, (i, j)
            while at and key < reached[heap[(at - 1) // 4]]:
                heap[at], heap[(at - 1) // 4] = heap[(at - 1) // 4], heap[at]
                at = (at - 1) // 4
    path = [heap[0]]
    while path[-1] != (0, 0):
        path.append(came_from[path[-1]])
    return path


def _pop(heap: list[Cell], reached: dict[Cell, float]) -> None:
    """Remove the root: the last entry takes its place and sinks."""
    last = heap.pop()
    if not heap:
        return
    at = 0
    heap[0] = last
    while children := heap[4 * at + 1 : 4 * at + 5]:
        child = min(children, key=reached.__getitem__)
        if not reached[child] < reached[last]:
            return
        below = 4 * at + 1 + children.index(child)
        heap[at], heap[below] = heap[below], heap[at]
        at = below
