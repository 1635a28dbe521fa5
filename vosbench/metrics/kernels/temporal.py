"""Temporal instability T: how much the contour of one mask must bend to become that of the next."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.alignment import Cell, Cells, Costs, Workspace, cheapest_paths, released_path
from vosbench.metrics.kernels.contexts import Histograms, matching_cost, rough_costs, shape_contexts
from vosbench.metrics.kernels.contours import Curve, most_vertices, simplify, trace

POINT_SPACING = 3.0  # pixels between contour points, at most
_SAME = 1e-14  # the same mean, added up in another order
T_SCALE = 5.0
"""Factor between the mean pair value of a video and its published T; of the released toolkit."""

_MIN_POINTS = 4


class PairValues:
    """Raw values of the pairs of neighbouring masks of a video, in bounded memory.

    Each mask is described by one polygon: the simplified contour with most vertices. Its points
    carry shape contexts, log-polar histograms of where the other points lie. The points of the two
    polygons are put in correspondence by the cheapest monotone path through the matrix of
    histogram distances, and the pair value is the mean distance over a one-to-one subset of it.

    Where nothing decides, the conventions of the released code do: how contours are cut and joined
    where regions touch diagonally (`contours.trace`), and which of two paths that cost exactly the
    same is taken (`alignment.cheapest_path`). On 40 sequences with released values this leaves no
    difference beyond rounding.

    Attributes:
        values: one float in [0, 1] per pair so far; NaN where a mask yields no polygon.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self._mask: NDArray[np.bool_] | None = None
        self._contexts: Histograms | None = None
        self._workspace = Workspace()

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Take the next (H, W) bool mask."""
        if self._mask is None:
            self._mask, self._contexts = mask.copy(), _describe(mask)
            return
        before = self._contexts
        if not np.array_equal(mask, self._mask):
            self._mask, self._contexts = mask.copy(), _describe(mask)
        if before is None or self._contexts is None:
            self.values.append(math.nan)
        else:
            self.values.append(_pair_value(before, self._contexts, self._workspace))


def _describe(mask: NDArray[np.bool_]) -> Histograms | None:
    """Shape contexts of the polygon of a mask; None when it has none."""
    polygon = dominant_polygon(mask)
    return None if polygon is None else shape_contexts(upsample(polygon))


def dominant_polygon(mask: NDArray[np.bool_]) -> Curve | None:
    """Return the simplified contour with most vertices, the last of equals; a hole may win.

    Args:
        mask: (H, W) bool.

    Returns:
        Closed polygon of at least four stored points, or None.
    """
    contours = trace(mask)
    best, rank = None, (_MIN_POINTS, -1)
    for index in sorted(range(len(contours)), key=lambda i: len(contours[i].curve), reverse=True):
        # no shorter contour can win either
        if most_vertices(contours[index]) < rank[0]:
            break
        polygon = simplify(contours[index])
        if (len(polygon), index) > rank:
            best, rank = polygon, (len(polygon), index)
    return best


def upsample(polygon: Curve) -> Curve:
    """Cut every edge longer than `POINT_SPACING` into equal parts no longer than it.

    Points accumulate in float32 along an edge, as in the released code.

    Args:
        polygon: (n, 2) closed polygon.

    Returns:
        (m, 2) closed polygon, m >= n.
    """
    edges = np.diff(polygon, axis=0)
    parts = np.maximum(1, np.ceil(np.sqrt((edges * edges).sum(1)) / POINT_SPACING)).astype(np.int64)
    corners = polygon.astype(np.float32)
    points = np.empty((parts.max(), len(parts), 2), dtype=np.float32)
    points[0] = corners[:-1]
    points[1:] = edges.astype(np.float32) / parts.astype(np.float32)[:, None]
    np.cumsum(points, axis=0, out=points)
    used = np.arange(len(points)) < parts[:, None]
    return np.concatenate([points.swapaxes(0, 1)[used], corners[-1:]]).astype(np.float64)


def _pair_value(first: Histograms, second: Histograms, workspace: Workspace) -> float:
    """Mean cost of the one-to-one correspondence between two curves."""
    if first is second:
        return 0.0  # every point corresponds to itself
    costs = Costs(rough_costs(first, second), partial(matching_cost, first, second), workspace)
    # the curves start anywhere: align once, then again from the surest correspondence
    row, column = _of_path(costs, (0, 0), _surest)
    after = (int(row) + 1) % len(first), (int(column) + 1) % len(second)
    (value,) = _of_path(costs, after, _mean_of_bijection)
    return value


def _of_path(
    costs: Costs, first: Cell, measure: Callable[[Cells, NDArray[np.float64]], tuple[float, ...]]
) -> tuple[float, ...]:
    """Return what a path measures, given its cells and their costs, from the last to the first.

    Mostly all cheapest paths measure the same; only where they do not, the slow choice between them is made.
    """
    found = cheapest_paths(costs, first)
    measured = [measure(path, costs.exact(path)) for path in found.paths]
    if found.complete and np.ptp(np.array(measured), axis=0).max() <= _SAME:
        return measured[0]
    path = released_path(costs, first, found)
    return measure(path, costs.exact(path))


def _surest(path: Cells, costs: NDArray[np.float64]) -> tuple[float, ...]:
    """Row and column of the first cell of least cost; the one that is free does not count."""
    row, column = path[costs[:-1].argmin()].tolist()
    return row, column


def _mean_of_bijection(path: Cells, costs: NDArray[np.float64]) -> tuple[float, ...]:
    """Keep the cheapest cell of every row, of these the cheapest of every column; average their cost.

    Of equal costs the first in the path stays for a row, the smallest row for a column.
    """
    of_row: dict[int, float] = {}
    column_of: dict[int, int] = {}
    for (row, column), cost in zip(path.tolist(), costs.tolist(), strict=True):
        if cost < of_row.get(row, math.inf):
            of_row[row], column_of[row] = cost, column
    of_column: dict[int, float] = {}
    for row, column in column_of.items():
        of_column[column] = min(of_row[row], of_column.get(column, math.inf))
    return (float(np.mean(list(of_column.values()))),)
