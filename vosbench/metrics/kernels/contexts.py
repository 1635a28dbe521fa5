"""Shape contexts: log-polar histograms of where the points of a curve lie, and how far two differ."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.path_totals import Cells, Units, units_of_one

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
_ROWS = 16  # of rough costs that are computed at a time
_CELLS = 224  # whose exact costs are computed at a time, in the cache


def shape_contexts(points: Points) -> Histograms:
    """Describe each point by where all points of the curve lie, seen from it.

    Args:
        points: (n, 2) points of one curve; the repeated end point counts.

    Returns:
        (n, 60) float64 rows of sum 1: 5 logarithmic radii x 12 absolute angles. Distances are
        relative to the mean over all n x n; points beyond twice the mean are not counted.
    """
    n = len(points)
    pairs = _Pairs(points)
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
    counted = counts[:, 1:, :-1].reshape(n, -1)
    histograms: Histograms = counted / (counted.sum(1, keepdims=True) + _EPS)
    return histograms


class _Pairs:
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
    found = []
    for edge in RADIUS_EDGES.tolist():
        squared = (edge * mean) ** 2
        while math.sqrt(squared) / mean >= edge:
            squared = math.nextafter(squared, 0.0)
        while math.sqrt(squared) / mean < edge:
            squared = math.nextafter(squared, math.inf)
        found.append(squared)
    return found


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


def rough_costs(first: Histograms, second: Histograms) -> Units:
    """Return the chi-squared distance of every pair of histograms, computed in single precision.

    As (a - b)^2 / (a + b) = a + b - 4 / (1 / a + 1 / b) and rows sum to 1, only bins count that are filled
    on both sides. Their sum is at most a half, so every addition is off by 2^-26 at most. Added up in two
    halves, 60 terms of four roundings each are off by less than 6e-7, and a distance by twice that.

    Args:
        first: (n1, k) rows of sum 1.
        second: (n2, k) rows of sum 1.

    Returns:
        (n1, n2) uint32, in the units of the shape.
    """
    n1, n2 = len(first), len(second)
    with np.errstate(divide="ignore"):
        x = np.reciprocal(first.T, dtype=np.float32)[:, :, None]
        y = np.reciprocal(second.T, dtype=np.float32)[:, None, :]
    filled = np.logical_or.reduceat(first > 0, np.arange(0, n1, _ROWS), axis=0) & second.any(0)
    space = np.empty(first.shape[1] * _ROWS * n2, dtype=np.float32)
    space_of_sums = np.empty((2, _ROWS, n2), dtype=np.float32)
    units = np.empty((n1, n2), dtype=np.uint32)
    one, scale = np.float32(1), np.float32(units_of_one((n1, n2)))
    for start, used in zip(range(0, n1, _ROWS), filled, strict=True):
        rows = slice(start, min(start + _ROWS, n1))
        bins = np.flatnonzero(used)
        shape = len(bins), rows.stop - start, n2
        terms = space[: math.prod(shape)].reshape(shape)
        np.add(x[bins, rows], y[bins], out=terms)
        np.divide(one, terms, out=terms)
        cost, half = space_of_sums[:, : shape[1]]
        np.add.reduce(terms[: len(bins) // 2], axis=0, out=cost)
        np.add.reduce(terms[len(bins) // 2 :], axis=0, out=half)
        cost += half
        cost *= -2 * scale
        cost += scale
        np.rint(cost, out=cost)
        np.maximum(cost, 0, out=cost)
        units[rows] = cost
    return units
