"""Temporal instability T: how much the contour of one mask must bend to become that of the next."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.alignment import cheapest_path
from vosbench.metrics.kernels.contours import Curve, simplify, trace

Histograms = NDArray[np.float64]
"""(n, 60) float64, one normalised shape context per contour point."""

POINT_SPACING = 3.0  # pixels between contour points, at most
ANGLE_BINS = 12
RADIUS_EDGES = np.logspace(math.log10(1 / 8), math.log10(2), 5)  # in mean point distances
T_SCALE = 5.0
"""Factor between the mean pair value of a video and its published T; of the released toolkit."""

_EPS = 2.2204e-16
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

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Take the next (H, W) bool mask."""
        before, first = self._contexts, self._mask is None
        if first or not np.array_equal(mask, self._mask):
            self._contexts = _describe(mask)
            self._mask = mask.copy()
        if first:
            return
        defined = before is not None and self._contexts is not None
        self.values.append(_pair_value(before, self._contexts) if defined else math.nan)


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
        # simplification only drops points: no shorter contour can win either
        if len(contours[index].curve) < rank[0]:
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
    corners = polygon.astype(np.float32)
    points = []
    for start, edge in zip(corners[:-1], np.diff(polygon, axis=0), strict=True):
        parts = max(1, math.ceil(math.hypot(*edge) / POINT_SPACING))
        steps = np.tile(edge.astype(np.float32) / np.float32(parts), (parts, 1))
        steps[0] = start
        points.append(np.cumsum(steps, axis=0, dtype=np.float32))
    return np.concatenate([*points, corners[-1:]]).astype(np.float64)


def shape_contexts(points: Curve) -> Histograms:
    """Describe each point by where all points of the curve lie, seen from it.

    Args:
        points: (n, 2) points of one curve; the repeated end point counts.

    Returns:
        (n, 60) float64 rows of sum 1: 5 logarithmic radii x 12 absolute angles. Distances are
        relative to the mean over all n x n; points beyond twice the mean are not counted.
    """
    n = len(points)
    x, y = points.T
    dx, dy = x - x[:, None], y - y[:, None]
    distance = np.sqrt(dx * dx + dy * dy)
    distance /= distance.mean()
    angle = np.arctan2(dy, dx)
    angle[angle < 0] += 2 * math.pi
    # a tiny negative angle becomes a full turn
    bins = (angle / (2 * math.pi / ANGLE_BINS)).astype(np.int64) % ANGLE_BINS
    for edge in RADIUS_EDGES:
        bins += ANGLE_BINS * (distance < edge)
    rings = len(RADIUS_EDGES) + 1
    bins += np.arange(n)[:, None] * (rings * ANGLE_BINS)
    counts = np.bincount(bins.ravel(), minlength=n * rings * ANGLE_BINS).reshape(n, -1)
    counted = counts[:, ANGLE_BINS:]
    histograms: Histograms = counted / (counted.sum(1, keepdims=True) + _EPS)
    return histograms


def matching_cost(first: Histograms, second: Histograms) -> NDArray[np.float64]:
    """Return the chi-squared distance of every pair of histograms.

    Args:
        first: (n1, k) rows of sum 1.
        second: (n2, k) rows of sum 1.

    Returns:
        (n1, n2) float64 in [0, 1].
    """
    cost = np.zeros((len(first), len(second)))
    for a, b in zip(first.T[..., None], second.T, strict=True):
        cost += (a - b) ** 2 / (a + b + _EPS)
    return cost / 2


def _pair_value(first: Histograms, second: Histograms) -> float:
    """Mean cost of the one-to-one correspondence between two curves."""
    if first is second:
        return 0.0  # every point corresponds to itself
    cost = matching_cost(first, second)
    n1, n2 = cost.shape
    # the curves start anywhere: align once, then again from the surest correspondence
    row, column = min(cheapest_path(cost)[:-1], key=lambda cell: cost[cell])
    rows, columns = np.roll(np.arange(n1), -row - 1), np.roll(np.arange(n2), -column - 1)
    path = cheapest_path(cost[np.ix_(rows, columns)])
    return _mean_of_bijection(cost, [(int(rows[i]), int(columns[j])) for i, j in path])


def _mean_of_bijection(cost: NDArray[np.float64], pairs: list[tuple[int, int]]) -> float:
    """Keep the cheapest pair of every row, of these the cheapest of every column; average their cost.

    Of equal costs the first in `pairs` stays for a row, the smallest row for a column.
    """
    of_row: dict[int, float] = {}
    column_of: dict[int, int] = {}
    for row, column in pairs:
        if row not in of_row or cost[row, column] < of_row[row]:
            of_row[row], column_of[row] = cost[row, column], column
    of_column: dict[int, float] = {}
    for row, column in column_of.items():
        of_column[column] = min(of_row[row], of_column.get(column, math.inf))
    return float(np.mean(list(of_column.values())))
