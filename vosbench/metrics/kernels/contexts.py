"""Shape contexts: log-polar histograms of where the points of a curve lie, and how far two differ."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.path_totals import Cells

Points = NDArray[np.float64]
"""(n, 2) float64 points of a curve, x and y in pixels."""

Histograms = NDArray[np.float64]
"""(n, 60) float64, one normalised shape context per contour point."""

ANGLE_BINS = 12
RADIUS_EDGES = np.logspace(math.log10(1 / 8), math.log10(2), 5)  # in mean point distances

_Scalar = TypeVar("_Scalar", np.int64, np.float64)

_EPS = 2.2204e-16
_HALF = ANGLE_BINS // 2
_RINGS = len(RADIUS_EDGES) + 1
_SECTORS = ANGLE_BINS + 1  # from minus to plus half a turn, both included
_BLOCK = 1 << 14  # elements of an array that stays in the cache
_PAIRS = 1 << 18  # pairs of points that are counted at a time
_CELLS = 224  # whose exact costs are computed at a time, in the cache

# Coordinates this close are the same but for rounding: others differ by 1e-7 at least, as fractions do.
_SAME = 1e-8
_NEAR_AXIS = 1e-6  # a slope below this only comes from rounding
_HALF_TURN_REST = 1.2246467991473532e-16  # what pi is above the float64 nearest to it
_QUARTER_TURN_REST = 6.123233995736766e-17


def shape_contexts(points: Points, *, matlab: bool = False) -> Histograms:
    """Describe each point by where all points of the curve lie, seen from it.

    In the MATLAB toolkit the first coordinate is the row. So angles run from down to the right, and the
    points exactly below, beside or above another fall on the other side of a bin edge than in the Python
    toolkit. Points that are there but for rounding fall where the arithmetic of MATLAB puts them.

    Args:
        points: (n, 2) points of one curve; the repeated end point counts.
        matlab: measure angles as the MATLAB toolkit does, as the Python toolkit otherwise.

    Returns:
        (n, 60) float64 rows of sum 1: 5 logarithmic radii x 12 absolute angles. Distances are
        relative to the mean over all n x n; points beyond twice the mean are not counted.
    """
    n = len(points)
    rounded: list[NDArray[np.int64]] = []
    exact = points[:, ::-1] if matlab else points
    if matlab:
        points, rounded = _without_rounding(exact)
    pairs = _PointPairs(points)
    edges = _squared_edges(pairs.mean_distance())
    number = np.arange(n) * (_RINGS * _SECTORS)
    numbers = _turned(number)
    size = n * _RINGS * _SECTORS
    there = np.zeros(size, dtype=np.int64)
    back = np.zeros(size, dtype=np.int64)
    height = max(1, _PAIRS // n)
    for start in range(1, pairs.last + 1, height):
        block = slice(start, min(start + height, pairs.last + 1))
        bins = pairs.bins(block, edges)
        there += np.bincount((bins + number).ravel(), minlength=size)
        bins += numbers[block]
        back += np.bincount(bins.ravel(), minlength=size)
    # sector 0 is half a turn for the first point of a pair, and no turn for the second
    counts = back.reshape(n, _RINGS, _SECTORS)
    first = there.reshape(n, _RINGS, _SECTORS)
    counts[:, :, 0] += counts[:, :, -1]
    counts[:, :, :_HALF] += first[:, :, _HALF:-1]
    counts[:, :, _HALF:-1] += first[:, :, :_HALF]
    counts[:, :, _HALF] += first[:, :, -1]
    # points at one place see each other without a turn, and so does every point itself
    twins = np.bincount(pairs.repeated, minlength=n)
    counts[:, -1, _HALF] -= twins
    counts[:, -1, 0] += twins + 1
    if rounded:
        _recount(counts, np.concatenate(rounded), points, exact, edges)
    counted = counts[:, 1:, :-1].reshape(n, -1)
    histograms: Histograms = counted / (counted.sum(1, keepdims=True) + _EPS)
    return histograms


def _without_rounding(points: Points) -> tuple[Points, list[NDArray[np.int64]]]:
    """Make coordinates equal that differ by rounding alone.

    Returns:
        (n, 2) points, and (m, 2) ordered pairs of points that had coordinates which became equal.
    """
    same = np.empty_like(points)
    pairs = []
    for axis, values in enumerate(points.T):
        order = np.argsort(values, kind="stable")
        ascending = values[order]
        starts = np.flatnonzero(np.diff(ascending, prepend=-math.inf) > _SAME)
        lengths = np.diff(starts, append=len(values))
        same[order, axis] = np.repeat(ascending[starts], lengths)
        mixed = ascending[starts] != ascending[starts + lengths - 1]
        for start, length in zip(starts[mixed].tolist(), lengths[mixed].tolist(), strict=True):
            members = order[start : start + length]
            first, second = np.nonzero(values[members][:, None] != values[members])
            pairs.append(np.stack([members[first], members[second]], axis=1))
    return same, pairs


def _recount(
    counts: NDArray[np.int64],
    pairs: NDArray[np.int64],
    points: Points,
    exact: Points,
    edges: list[float],
) -> None:
    """Move pairs of points to the sectors where the rounding of their coordinates puts them.

    Args:
        counts: (n, rings, sectors), to be changed.
        pairs: (m, 2) ordered pairs of points; those that are there twice are moved once.
        points: (n, 2) without rounding, of which the counts are.
        exact: (n, 2) as they are.
        edges: squared radii.
    """
    first, second = np.unique(pairs, axis=0).T
    x, y = (points[second] - points[first]).T
    ring = (x * x + y * y < np.array(edges)[:, None]).sum(0)
    quarter = ANGLE_BINS // 4
    before = np.where(x > 0, 0, np.where(y > 0, quarter, np.where(x < 0, _HALF, 3 * quarter)))
    before[(x == 0) & (y == 0)] = 0
    np.subtract.at(counts, (first, ring, before), 1)
    np.add.at(counts, (first, ring, _matlab_sectors(*(exact[second] - exact[first]).T)), 1)


def _matlab_sectors(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sectors of directions along an axis but for rounding, in the very operations of MATLAB.

    The arc tangent is that of FDLIBM, where only the sum of a slope and a constant is rounded, and twice
    for directions to the left. A remainder by a whole turn is zero where the quotient is one but for
    rounding.
    """
    angle = np.arctan2(y, x)
    along, across = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
    slope = across / np.where(along > 0, along, 1)
    steep = np.abs(y) > np.abs(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / (along / across)
    acute = np.where(steep, math.pi / 2 - (inverse - _QUARTER_TURN_REST), slope)
    obtuse = math.pi - (acute - _HALF_TURN_REST)
    near = slope < _NEAR_AXIS
    angle[near] = np.copysign(np.where(x < 0, obtuse, acute), y)[near]
    turned = angle + 2 * math.pi
    whole = turned / (2 * math.pi)
    rest = np.where(np.abs(whole - 1) <= np.finfo(float).eps * whole, 0.0, np.fmod(turned, 2 * math.pi))
    sectors: NDArray[np.int64] = (rest / (2 * math.pi / ANGLE_BINS)).astype(np.int64)
    return sectors


class _PointPairs:
    """Every pair of points of a closed curve once: row k pairs each point with the k-th after it.

    Attributes:
        last: the last row; the rows from 1 to this one hold all pairs.
        repeated: for each pair of points at one place, the index of the second; known after
            `mean_distance`.
    """

    def __init__(self, points: Points) -> None:
        self.n = len(points)
        self.last = self.n // 2
        self._x, self._y = _turned(points[:, 0]), _turned(points[:, 1])
        self._height = max(1, _BLOCK // self.n)
        self._buffers = np.empty((3, self._height, self.n))
        self.repeated = np.empty(0, dtype=np.intp)

    def mean_distance(self) -> float:
        """Mean over all n x n pairs."""
        total = 0.0
        for start in range(1, self.last + 1, self._height):
            squared, distance, _ = self._offsets(start, self.last + 1)
            np.sqrt(squared, out=distance)
            total += float(distance.sum())
            if float(distance.min()) == 0.0:
                row, first = np.nonzero(distance == 0)
                once = (2 * (row + start) < self.n) | (first < self.last)
                self.repeated = np.append(self.repeated, (row + start + first)[once] % self.n)
        if self.n % 2 == 0:
            total -= float(distance[-1].sum()) / 2  # opposite points are in it twice
        return 2 * total / self.n**2

    def bins(self, block: slice, edges: list[float]) -> NDArray[np.int64]:
        """(rows, n) ring and sector in which the first point of each pair of a block sees the other.

        The sector counts from minus half a turn.
        """
        bins = np.empty((block.stop - block.start, self.n), dtype=np.int64)
        for start in range(block.start, block.stop, self._height):
            squared, dx, dy = self._offsets(start, block.stop)
            shape = squared.shape
            ring = np.zeros(shape, dtype=np.uint8)
            within = np.empty(shape, dtype=bool)
            for edge in edges:
                np.less(squared, edge, out=within)
                ring += within.view(np.uint8)
            angle = np.arctan2(dy, dx, out=dy)
            angle /= 2 * math.pi / ANGLE_BINS
            angle += _HALF
            sector = angle.astype(np.uint8)
            ring *= _SECTORS
            ring += sector
            bins[start - block.start : start - block.start + shape[0]] = ring
        if self.n % 2 == 0 and block.stop == self.last + 1:
            bins[-1, self.last :] = 0  # again the pairs of the first half: to where nothing counts
        return bins

    def _offsets(self, start: int, stop: int) -> tuple[Points, Points, Points]:
        """Squared distance, x and y from the first to the second point, of some rows."""
        rows = slice(start, min(start + self._height, stop))
        squared, dx, dy = self._buffers[:, : rows.stop - rows.start]
        np.subtract(self._x[rows], self._x[0], out=dx)
        np.subtract(self._y[rows], self._y[0], out=dy)
        np.multiply(dx, dx, out=squared)
        squared += dy * dy
        return squared, dx, dy


def _turned(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Row k: the values from the k-th on, then the first k."""
    twice = np.concatenate([values, values])
    return np.lib.stride_tricks.sliding_window_view(twice, len(values))


def _squared_edges(mean: float) -> list[float]:
    """The least squared distances whose ratio to the mean distance reaches each edge."""
    edges = []
    for edge in RADIUS_EDGES.tolist():
        squared = (edge * mean) ** 2
        while math.sqrt(squared) / mean >= edge:
            squared = math.nextafter(squared, 0.0)
        while math.sqrt(squared) / mean < edge:
            squared = math.nextafter(squared, math.inf)
        edges.append(squared)
    return edges


def matching_cost(first: Histograms, second: Histograms, cells: Cells) -> NDArray[np.float64]:
    """Return the chi-squared distance of some pairs of histograms.

    Args:
        first: (n1, k) rows of sum 1.
        second: (n2, k) rows of sum 1.
        cells: (m, 2) rows of the first and of the second.

    Returns:
        (m,) float64 in [0, 1].
    """
    cost = np.empty(len(cells))
    for start in range(0, len(cells), _CELLS):
        part = slice(start, start + _CELLS)
        a = np.ascontiguousarray(first[cells[part, 0]].T)
        b = np.ascontiguousarray(second[cells[part, 1]].T)
        terms = a - b
        terms *= terms
        a += b
        a += _EPS
        terms /= a
        cost[part] = _sum_in_order(terms)
    cost /= 2
    return cost


def _sum_in_order(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the rows, one after the other: the order of a sum is part of its value."""
    if terms.shape[1] == 1:  # numpy would pair the terms of a single column
        single: NDArray[np.float64] = np.cumsum(terms, axis=0)[-1]
        return single
    total: NDArray[np.float64] = np.add.reduce(terms, axis=0)
    return total
