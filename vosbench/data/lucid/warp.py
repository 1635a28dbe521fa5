"""Invertible warps of lucid dreaming: an affine map after a thin-plate deformation.

Points are (N, 2) float64, x to the right and y down, in pixels. Source points lie in the annotated
frame, image points in a dreamed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(N, 2) x and y."""

Affine = NDArray[np.float64]
"""(2, 3): ``affine[:, :2] @ point + affine[:, 2]``."""

STEEPEST = 0.4
"""Largest change of a deformation per pixel: below 1 nothing folds, and 0.4 is soon inverted [ours]."""

_FIXED_POINT_STEPS = 16


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Spline:
    """A thin-plate spline (Bookstein, TPAMI 1989) from points to displacements.

    Attributes:
        centres: (N, 2) control points, in units of `unit` from `origin`.
        weights: (N + 3, 2) of the radial functions, of 1, x and y.
        origin: (2,) pixels.
        unit: pixels; keeps the equations well conditioned.
    """

    centres: Points
    weights: NDArray[np.float64]
    origin: NDArray[np.float64]
    unit: float

    def __call__(self, points: Points) -> Points:
        """Return the (N, 2) displacement of (N, 2) points, pixels."""
        local = (points - self.origin) / self.unit
        return _basis(local, self.centres) @ self.weights


def thin_plate(controls: Points, offsets: Points) -> Spline:
    """Return the spline that displaces each of N >= 3 control points by its offset, (N, 2) pixels each."""
    origin = controls.mean(axis=0)
    unit = max(float(np.abs(controls - origin).max()), 1.0)
    centres = (controls - origin) / unit
    count = len(centres)
    system = np.zeros((count + 3, count + 3))
    rows = _basis(centres, centres)
    system[:count] = rows
    system[count:, :count] = rows[:, count:].T
    wanted = np.vstack([offsets, np.zeros((3, 2))])
    # Control points on one line have no unique spline; the smallest one will do.
    weights = np.linalg.lstsq(system, wanted, rcond=1e-9)[0]
    return Spline(centres, np.asarray(weights, np.float64), origin, unit)


def tamed(spline: Spline, window: Window) -> Spline:
    """Return the spline, weakened where needed to change by at most `STEEPEST` per pixel in `window`."""
    step = max(1.0, min(window.height, window.width) / 24)
    y = np.arange(window.top, window.top + window.height + step, step)
    x = np.arange(window.left, window.left + window.width + step, step)
    field = spline(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).reshape(len(y), len(x), 2)
    by_row = np.hypot(*np.moveaxis(np.diff(field, axis=0), -1, 0)).max(initial=0)
    by_column = np.hypot(*np.moveaxis(np.diff(field, axis=1), -1, 0)).max(initial=0)
    steepness = math.hypot(by_row, by_column) / step
    if steepness <= STEEPEST:
        return spline
    return Spline(spline.centres, spline.weights * (STEEPEST / steepness), spline.origin, spline.unit)


@dataclass(frozen=True)
class Warp:
    """Map from a layer of the source frame to an image.

    Attributes:
        affine: (2, 3) from source to image, applied after the inverse of the deformation.
        spline: the deformation, a displacement of source points; None for none.
    """

    affine: Affine
    spline: Spline | None = None

    def to_source(self, points: Points) -> Points:
        """Map image points to source points."""
        undone = transform(inverse(self.affine), points)
        return undone if self.spline is None else undone + self.spline(undone)

    def to_image(self, points: Points) -> Points:
        """Map source points to image points, the inverse of `to_source`."""
        undone = points
        if self.spline is not None:
            for _ in range(_FIXED_POINT_STEPS):
                undone = points - self.spline(undone)
        return transform(self.affine, undone)


def still() -> Affine:
    """Return the affine map that changes nothing."""
    return np.eye(2, 3)


def turning(degrees: float, scale: float) -> NDArray[np.float64]:
    """Return the (2, 2) rotation by `degrees` (clockwise on the screen) times `scale`."""
    angle = math.radians(degrees)
    sine, cosine = math.sin(angle), math.cos(angle)
    return scale * np.array([[cosine, -sine], [sine, cosine]])


def about(linear: NDArray[np.float64], centre: Points, target: Points) -> Affine:
    """Return the affine map with this (2, 2) linear part that takes `centre` to `target`, (2,) each."""
    return np.hstack([linear, (target - linear @ centre)[:, None]])


def transform(affine: Affine, points: Points) -> Points:
    """Apply a (2, 3) affine map to (N, 2) points."""
    return points @ affine[:, :2].T + affine[:, 2]


def chain(second: Affine, first: Affine) -> Affine:
    """Return the affine map `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.hstack([linear, (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]])


def inverse(affine: Affine) -> Affine:
    """Return the inverse of a (2, 3) affine map."""
    linear = np.linalg.inv(affine[:, :2])
    return np.hstack([linear, (-linear @ affine[:, 2])[:, None]])


def knot_step(window: Window) -> int:
    """Return every how many pixels a deformation of an object of this size needs evaluation."""
    return max(1, min(8, min(window.height, window.width) // 16))


def displacement(mapping: Callable[[Points], Points], window: Window, step: int) -> NDArray[np.float32]:
    """Return ``mapping(p) - p`` for every pixel of a window, (height, width, 2) float32.

    The mapping is evaluated on every `step`-th pixel and interpolated linearly: exact for affine maps,
    and smooth deformations differ by hundredths of a pixel.
    """
    rows, columns = (math.ceil(side / step) + 2 for side in (window.height, window.width))
    # Knots in the middle of cells, one cell around: as cv2.resize aligns its samples.
    y = window.top + (np.arange(rows) - 0.5) * step - 0.5
    x = window.left + (np.arange(columns) - 0.5) * step - 0.5
    knots = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    coarse = (mapping(knots) - knots).reshape(rows, columns, 2).astype(np.float32)
    dense = cv2.resize(coarse, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    return np.asarray(dense[step : step + window.height, step : step + window.width])


def _basis(points: Points, centres: Points) -> NDArray[np.float64]:
    square = ((points[:, None] - centres) ** 2).sum(axis=-1)
    radial = square * np.log(np.maximum(square, 1e-12))
    return np.hstack([radial, np.ones((len(points), 1)), points])
