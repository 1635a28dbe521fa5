"""Ray intersection with unit shapes; everything in the miniature world is one of them, stretched.

Every function takes the ray origin `origin` (3,) and three broadcastable direction components in the
shape's own coordinates and returns the ray parameter of the visible hit, infinity for a miss. Rays
are not normalised, so the parameter stays comparable between shapes (it is the depth).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Origin = NDArray[np.float32]
Rays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Distance = NDArray[np.float32]

ELLIPSOID, BOX, CYLINDER, ROOM = range(4)
NEAR = np.float32(1e-2)


def _quadric(origin: Origin, rays: Rays, axes: tuple[int, ...]) -> tuple[Distance, Distance]:
    """Entry and exit of the unit ball restricted to `axes` (two axes: an endless cylinder)."""
    point, direction = (np.stack([values[axis] for axis in axes]) for values in (origin, rays))
    point = point[:, None, None]
    square = (direction**2).sum(axis=0)
    closest = -(point * direction).sum(axis=0) / square
    # The distance of the closest point, not the textbook discriminant, which cancels in float32.
    miss = ((point + closest * direction) ** 2).sum(axis=0)
    half = np.sqrt((1 - miss) / square)
    return closest - half, closest + half


def _slab(origin: Origin, rays: Rays, axes: tuple[int, ...]) -> tuple[Distance, Distance]:
    """Entry and exit of ``|coordinate| <= 1`` in every one of `axes`."""
    enter, leave = np.full_like(rays[0], -np.inf), np.full_like(rays[0], np.inf)
    for axis in axes:
        inverse = 1 / rays[axis]
        first, second = (-1 - origin[axis]) * inverse, (1 - origin[axis]) * inverse
        enter = np.maximum(enter, np.minimum(first, second))
        leave = np.minimum(leave, np.maximum(first, second))
    return enter, leave


def intersect(shape: int, origin: Origin, rays: Rays) -> Distance:
    """Return the ray parameter of the visible hit, infinity for a miss.

    Args:
        shape: ELLIPSOID (unit ball), BOX (|x|, |y|, |z| <= 1), CYLINDER (unit radius about y,
            |y| <= 1) or ROOM (the box seen from inside).
        origin: (3,) ray origin in the shape's coordinates.
        rays: three arrays of one shape, ray directions in the shape's coordinates.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if shape == ELLIPSOID:
            enter, leave = _quadric(origin, rays, (0, 1, 2))
        elif shape == CYLINDER:
            enter, leave = _quadric(origin, rays, (0, 2))
            low, high = _slab(origin, rays, (1,))
            enter, leave = np.maximum(enter, low), np.minimum(leave, high)
        else:
            enter, leave = _slab(origin, rays, (0, 1, 2))
    if shape == ROOM:
        return leave
    # NaN (a ray that misses a quadric) compares false and so becomes a miss.
    return np.where((enter < leave) & (enter > NEAR), enter, np.float32(np.inf))


def normals(shape: NDArray[np.int8], point: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return outward normals (not unit length) in the shape's coordinates.

    Args:
        shape: (H, W) shape of the surface at each pixel.
        point: (3, H, W) surface points in the shape's coordinates.
    """
    size = np.abs(point)
    largest = size.max(axis=0)
    flat = np.where(size >= largest, np.sign(point), np.float32(0))
    on_cap = size[1] >= np.float32(1 - 1e-4)
    round_part = point.copy()
    round_part[1] *= shape == ELLIPSOID
    cap = (shape == CYLINDER) & on_cap
    round_part[:, cap] = 0
    round_part[1, cap] = np.sign(point[1, cap])
    return np.asarray(np.where((shape == BOX) | (shape == ROOM), flat, round_part))
