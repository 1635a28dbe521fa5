"""Closed polygons around the regions of a mask: crack following and polyline simplification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""(n, 2) float64 closed curve (first point = last point): x to the right and y down, in pixels;
pixel (0, 0) lies between the corners 0 and 1."""

TOLERANCES = (0.1, 3.0)
"""Tolerances of the two simplification passes, in half pixels: the released code doubles coordinates."""

# The four pixels around a corner as bits of one number.
_UPPER_LEFT, _UPPER_RIGHT, _LOWER_LEFT, _LOWER_RIGHT = 8, 4, 2, 1
_TOUCHES = (_UPPER_LEFT | _LOWER_RIGHT, _UPPER_RIGHT | _LOWER_LEFT)

# Directions right, down, left, up: clockwise on screen, so that direction d + 1 is a right turn.
_RIGHT, _DOWN = 0, 1
_AHEAD_RIGHT = (_LOWER_RIGHT, _LOWER_LEFT, _UPPER_LEFT, _UPPER_RIGHT)
_AHEAD_LEFT = (_UPPER_RIGHT, _LOWER_RIGHT, _LOWER_LEFT, _UPPER_LEFT)

# The topmost corner of a curve, by the pixels around it -> the direction the curve leaves it.
_STARTS = {
    _LOWER_RIGHT: _RIGHT,
    _UPPER_LEFT | _LOWER_RIGHT: _RIGHT,
    _UPPER_LEFT | _UPPER_RIGHT | _LOWER_LEFT: _DOWN,
}

# Which of the two cracks at its start corner a curve is simplified along: up, left, down, right.
_WALK_ORDER = {(0, -1): 0, (-1, 0): 1, (0, 1): 2, (1, 0): 3}


def trace(mask: NDArray[np.bool_]) -> list[Curve]:
    """Follow the cracks between the foreground and background pixels of a mask.

    Outside the image is background, so the image border yields contour. The foreground is
    4-connected, and a curve that meets itself where two pixels touch diagonally is split there, so
    that no curve visits a corner twice. Regions that touch in several corners may be joined in
    another way by the released code, whose rule for them is not known.

    Args:
        mask: (H, W) bool.

    Returns:
        Closed curves of unit steps with the foreground on their right: outer contours clockwise on
        screen, holes the other way. A curve starts at its last touching corner in raster order;
        without one, at its first corner in raster order.
    """
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 2).astype(np.uint8)
    around = (
        _UPPER_LEFT * inside[:-1, :-1]
        + _UPPER_RIGHT * inside[:-1, 1:]
        + _LOWER_LEFT * inside[1:, :-1]
        + _LOWER_RIGHT * inside[1:, 1:]
    )
    width = around.shape[1]
    codes = around.tobytes()
    offset = np.array([left - 1, top - 1])
    curves = []
    for corners in _chains(codes, width):
        for loop in _split(corners, codes):
            y, x = np.divmod(np.array([*loop, loop[0]]), width)
            curves.append(np.stack([x, y], axis=1) + offset + 0.0)
    return curves


def _chains(codes: bytes, width: int) -> list[list[int]]:
    """Walk every crack once: the flat corner numbers of each curve, which may meet itself."""
    steps = (1, width, -1, -width)
    array = np.frombuffer(codes, np.uint8)
    walked: set[tuple[int, int]] = set()
    chains = []
    for start in np.flatnonzero(np.isin(array, list(_STARTS))).tolist():
        first = _STARTS[codes[start]]
        if (start, first) in walked:
            continue
        corners = []
        corner, direction = start, first
        while True:
            corners.append(corner)
            if codes[corner] in _STARTS:
                walked.add((corner, direction))
            corner += steps[direction]
            code = codes[corner]
            if not code & _AHEAD_RIGHT[direction]:
                direction = (direction + 1) % 4
            elif code & _AHEAD_LEFT[direction]:
                direction = (direction - 1) % 4
            if corner == start and direction == first:
                break
        chains.append(corners)
    return chains


def _split(corners: list[int], codes: bytes) -> list[list[int]]:
    """Cut a curve wherever it returns to a touching corner; every piece starts where `trace` says."""
    path: list[int] = []
    position: dict[int, int] = {}
    loops = []
    for corner in corners:
        if codes[corner] in _TOUCHES:
            if corner in position:
                loops.append(path[position[corner] :])
                del path[position[corner] :]
            position[corner] = len(path)
        path.append(corner)
    loops.append(path)
    return [_from_last_touch(loop, codes) for loop in loops]


def _from_last_touch(loop: list[int], codes: bytes) -> list[int]:
    last = max((corner for corner in loop if codes[corner] in _TOUCHES), default=None)
    if last is None:
        return loop
    at = loop.index(last)
    return loop[at:] + loop[:at]


def simplify(curve: Curve) -> Curve:
    """Drop the points of a closed curve that its shape does not need.

    Two passes of a radial filter and Douglas-Peucker, with `TOLERANCES`. Of the two cracks at its
    start corner the curve is walked along the first in the order up, left, down, right, which
    decides between equal distances; the result has the orientation of `curve` again.

    Args:
        curve: as from `trace`.

    Returns:
        Closed curve of some of the points, in their order, the start corner first and last.
    """
    ahead, behind = (curve[1] - curve[0]).tolist(), (curve[-2] - curve[0]).tolist()
    backwards = _WALK_ORDER[behind[0], behind[1]] < _WALK_ORDER[ahead[0], ahead[1]]
    points = 2 * (curve[::-1] if backwards else curve)
    for tolerance in TOLERANCES:
        points = _douglas_peucker(_radial_filter(points, tolerance), tolerance)
    return (points[::-1] if backwards else points) / 2


def _radial_filter(points: Curve, tolerance: float) -> Curve:
    """Drop every point closer than `tolerance` to the last kept one; keep the first and the last."""
    kept = [0]
    coordinates = points.tolist()
    x, y = coordinates[0]
    for index, (next_x, next_y) in enumerate(coordinates[1:-1], start=1):
        if (next_x - x) ** 2 + (next_y - y) ** 2 >= tolerance**2:
            kept.append(index)
            x, y = next_x, next_y
    return points[[*kept, len(points) - 1]]


def _douglas_peucker(points: Curve, tolerance: float) -> Curve:
    """Keep the farthest point of every segment until none is farther than `tolerance`.

    All segments of one depth are treated at once. Among equal distances the last point wins.
    """
    kept = np.zeros(len(points), dtype=bool)
    kept[[0, -1]] = True
    pending = ~kept
    while (inner := np.flatnonzero(pending)).size:
        ends = np.flatnonzero(kept)
        segment = np.searchsorted(ends, inner)
        distance = _squared_distance(points[inner], points[ends[segment - 1]], points[ends[segment]])
        starts = np.flatnonzero(np.diff(segment, prepend=-1))
        farthest = np.maximum.reduceat(distance, starts)
        sizes = np.diff(starts, append=inner.size)
        is_farthest = distance == np.repeat(farthest, sizes)
        winner = np.maximum.reduceat(np.where(is_farthest, inner, -1), starts)
        divide = farthest > tolerance**2
        pending[inner] = np.repeat(divide, sizes)
        kept[winner[divide]] = True
        pending[winner[divide]] = False
    return points[kept]


def _squared_distance(points: Curve, starts: Curve, ends: Curve) -> NDArray[np.float64]:
    """Squared distance of every point to its segment; the projection fraction is a float32."""
    along = ends - starts
    projection = ((points - starts) * along).sum(1)
    length = (along * along).sum(1)
    inside = (projection > 0) & (projection < length)
    fraction = np.where(projection >= length, 1.0, 0.0)
    fraction[inside] = projection[inside].astype(np.float32) / length[inside].astype(np.float32)
    offset = points - (starts + fraction[:, None] * along)
    distance: NDArray[np.float64] = (offset * offset).sum(1)
    return distance
