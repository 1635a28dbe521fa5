"""Temporal instability T: bending of the contour of one mask to that of the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vosbench.metrics.kernels.alignment import (
    AlignmentCosts,
    AlignmentPath,
    batch_size,
    cheapest_paths,
    released_path,
)
from vosbench.metrics.kernels.contexts import Histograms, matching_cost, shape_contexts
from vosbench.metrics.kernels.contours import Contour, Curve, most_vertices, simplify, trace
from vosbench.metrics.kernels.path_totals import Cell, Workspace
from vosbench.metrics.kernels.rough_costs import RoughCosts

Toolkit = Literal["python", "matlab"]
"""Whose conventions T follows; see `PairValues`."""

POINT_SPACING = 3.0  # pixels between contour points, at most
_SAME = 1e-14  # the same mean, added up in another order
T_SCALE = 5.0
"""Factor between the mean pair value of a video and its published T; of the released toolkit."""

_MIN_POINTS = 4
_MASKS = 8  # whose contours are simplified at once,
_CONTOURS = 1 << 10  # or fewer masks of this many contours


def check_toolkit(toolkit: str) -> None:
    """Refuse what is no `Toolkit`.

    Raises:
        ValueError: another name.
    """
    if toolkit not in get_args(Toolkit):
        raise ValueError(f"toolkit must be 'python' or 'matlab', got {toolkit!r}")


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

    DAVIS 2016 has two toolkits, whose values differ. The published tables are of the MATLAB one. It

    * takes the first of several curves with most vertices, not the last;
    * walks contours that touch in another order (`contours.trace`);
    * cuts edges in float64, not in float32 (`upsample`);
    * measures angles from down to the right, not from right to down: points exactly beside or above another
      are on the other side of a bin edge (`contexts.shape_contexts`). That makes most of the difference.

    With that, all 2672 published pair values of OSVOS and of the ground truth of DAVIS 2016 val come out to
    5e-16. The MATLAB toolkit also compares the first frame that it evaluates with the ground truth of the
    frame before: the caller adds that mask first.

    Pairs are compared several at a time, as many as fit in bounded memory.

    Args:
        toolkit: whose conventions to follow.

    Raises:
        ValueError: another toolkit.
    """

    def __init__(self, toolkit: Toolkit = "python") -> None:
        check_toolkit(toolkit)
        self._toolkit: Toolkit = toolkit
        self._values: list[float] = []
        self._mask: NDArray[np.bool_] | None = None
        self._traced: list[list[Contour] | None] = []
        self._described = -1
        self._contexts: Histograms | None = None
        self._pending: list[_ContourPair] = []
        self._shape = (0, 0)
        self._workspace = Workspace()

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Take the next (H, W) bool mask."""
        if self._mask is not None:
            self._values.append(math.nan)
        if self._mask is not None and np.array_equal(mask, self._mask):
            self._traced.append(None)
        else:
            self._mask = mask.copy()
            self._traced.append(trace(mask, matlab=self._toolkit == "matlab"))
        contours = sum(len(item) for item in self._traced if item is not None)
        if len(self._traced) >= _MASKS or contours >= _CONTOURS:
            self._describe()

    @property
    def values(self) -> list[float]:
        """One float in [0, 1] per pair so far; NaN where a mask yields no polygon."""
        self._describe()
        self._flush()
        return self._values

    def _describe(self) -> None:
        """Turn the traced masks into curves, and these into pairs."""
        traced = [item for item in self._traced if item is not None]
        polygons = iter(dominant_polygons(traced, self._toolkit))
        for contours in self._traced:
            before = self._contexts
            if contours is not None:
                polygon = next(polygons)
                self._contexts = None if polygon is None else _contexts(polygon, self._toolkit)
            position, self._described = self._described, self._described + 1
            if position < 0 or before is None or self._contexts is None:
                continue
            if contours is None:
                self._values[position] = 0.0  # every point corresponds to itself
            else:
                self._compare(_ContourPair(position, before, self._contexts))
        self._traced = []

    def _compare(self, pair: _ContourPair) -> None:
        """Add a pair to the batch of pairs of its kind."""
        n1, n2 = len(pair.first), len(pair.second)
        shape = max(self._shape[0], n1), max(self._shape[1], n2)
        if len(self._pending) >= batch_size(shape):
            self._flush()
            shape = n1, n2
        self._pending.append(pair)
        self._shape = shape

    def _flush(self) -> None:
        """Compute the values of the pairs that wait."""
        if self._pending:
            values = _pair_values(self._pending, self._workspace)
            for pair, value in zip(self._pending, values, strict=True):
                self._values[pair.position] = value
        self._pending, self._shape = [], (0, 0)


class _ContourPair(NamedTuple):
    """Two curves to compare.

    Attributes:
        position: of their value.
        first: the shape contexts of the first.
        second: of the second.
    """

    position: int
    first: Histograms
    second: Histograms


def _contexts(polygon: Curve, toolkit: Toolkit) -> Histograms:
    """Shape contexts of the points of a polygon."""
    if toolkit == "matlab":
        return shape_contexts(upsample(polygon, np.float64), matlab=True)
    return shape_contexts(upsample(polygon))


def dominant_polygons(traced: list[list[Contour]], toolkit: Toolkit) -> list[Curve | None]:
    """Return the simplified contour with most vertices of each mask; the contour of a hole may win.

    Args:
        traced: contours of each mask, see `vosbench.metrics.kernels.contours.trace`.
        toolkit: which of equals wins, the last (Python) or the first (MATLAB), and in which order they are.

    Returns:
        Closed polygons of at least four stored points; None for a mask without one.
    """
    later = -1 if toolkit == "matlab" else 1  # whether later ones win among equals
    found: list[dict[int, Curve]] = [{} for _ in traced]
    # the longest of all masks at once; mostly no other can win
    _simplify(traced, [_longest(contours) for contours in traced], found)
    most = [max((len(polygon) for polygon in polygons.values()), default=0) for polygons in found]
    _simplify(traced, [_rivals(*item) for item in zip(traced, most, found, strict=True)], found)
    polygons = []
    for item in found:
        ranked = {(len(polygon), later * index): polygon for index, polygon in item.items()}
        best = max(ranked, default=(0, 0))
        polygons.append(ranked[best] if best[0] >= _MIN_POINTS else None)
    return polygons


def _longest(contours: list[Contour]) -> list[int]:
    """Index of the longest contour; none when there is no contour."""
    return [max(range(len(contours)), key=lambda i: len(contours[i].curve))] if contours else []


def _rivals(contours: list[Contour], most: int, known: Collection[int]) -> list[int]:
    """Indices of the other contours that may have as many vertices."""
    return [
        index
        for index, contour in enumerate(contours)
        if index not in known and most_vertices(contour) >= max(most, _MIN_POINTS)
    ]


def _simplify(traced: list[list[Contour]], selected: list[list[int]], found: list[dict[int, Curve]]) -> None:
    """Simplify some contours of each mask, all at once, and add the polygons to what is found."""
    places = [(mask, index) for mask, indices in enumerate(selected) for index in indices]
    polygons = simplify([traced[mask][index] for mask, index in places])
    for (mask, index), polygon in zip(places, polygons, strict=True):
        found[mask][index] = polygon


def upsample(polygon: Curve, dtype: type[np.floating[Any]] = np.float32) -> Curve:
    """Cut every edge longer than `POINT_SPACING` into equal parts no longer than it.

    Args:
        polygon: (n, 2) closed polygon.
        dtype: in which points accumulate along an edge: float32 as in the Python toolkit, or float64.

    Returns:
        (m, 2) closed polygon, m >= n.
    """
    edges = np.diff(polygon, axis=0)
    parts = np.maximum(1, np.ceil(np.sqrt((edges * edges).sum(1)) / POINT_SPACING)).astype(np.int64)
    corners = polygon.astype(dtype)
    points = np.empty((parts.max(), len(parts), 2), dtype=dtype)
    points[0] = corners[:-1]
    points[1:] = edges.astype(dtype) / parts.astype(dtype)[:, None]
    np.cumsum(points, axis=0, out=points)
    used = np.arange(len(points)) < parts[:, None]
    return np.concatenate([points.swapaxes(0, 1)[used], corners[-1:]]).astype(np.float64)


def _pair_values(pairs: list[_ContourPair], workspace: Workspace) -> list[float]:
    """Mean cost of the one-to-one correspondence between the two curves of each pair."""
    costs = [
        AlignmentCosts(RoughCosts(first, second), partial(matching_cost, first, second))
        for _, first, second in pairs
    ]
    # the curves start anywhere: align once, then again from the surest correspondence
    surest = _of_paths(costs, [(0, 0)] * len(costs), _surest, workspace)
    after = [
        ((int(row) + 1) % len(first), (int(column) + 1) % len(second))
        for (row, column), (_, first, second) in zip(surest, pairs, strict=True)
    ]
    return [value for (value,) in _of_paths(costs, after, _mean_of_bijection, workspace)]


def _of_paths(
    costs: list[AlignmentCosts],
    firsts: list[Cell],
    measure: Callable[[AlignmentPath], tuple[float, ...]],
    workspace: Workspace,
) -> list[tuple[float, ...]]:
    """Return what the released path through each matrix measures.

    Mostly all cheapest paths measure the same; only where they do not, the slow choice between them is made.
    """
    measures = []
    for item, first, known in zip(costs, firsts, cheapest_paths(costs, firsts, workspace), strict=True):
        measured = [measure(path) for path in known.paths]
        spread = max(max(values) - min(values) for values in zip(*measured, strict=True))
        if not known.complete or spread > _SAME:
            measured = [measure(released_path(item, first, known, workspace))]
        measures.append(measured[0])
    return measures


def _surest(path: AlignmentPath) -> tuple[float, ...]:
    """Row and column of the first cell of least cost; the one that is free does not count."""
    row, column = path.cells[path.costs[:-1].argmin()].tolist()
    return row, column


def _mean_of_bijection(path: AlignmentPath) -> tuple[float, ...]:
    """Keep the cheapest cell of every row, of these the cheapest of every column; average their cost.

    Of equal costs the first in the path stays for a row, the smallest row for a column.
    """
    of_row: dict[int, float] = {}
    column_of: dict[int, int] = {}
    for (row, column), cost in zip(path.cells.tolist(), path.costs.tolist(), strict=True):
        if cost < of_row.get(row, math.inf):
            of_row[row], column_of[row] = cost, column
    of_column: dict[int, float] = {}
    for row, column in column_of.items():
        of_column[column] = min(of_row[row], of_column.get(column, math.inf))
    return (float(np.mean(list(of_column.values()))),)
