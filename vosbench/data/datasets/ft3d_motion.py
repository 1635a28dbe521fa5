"""Moving labels of FlyingThings3D, derived from scene geometry."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.video import VOID, FlowField, IdMap

BASELINE = 1.0
"""Distance between the eyes in world units."""

TOLERANCE = 0.001
"""Share of the depth by which a standing point may seem to move [ours; the paper says "rounding error"].

It is one pixel at the official width of 960 and above the rounding of half-precision disparities;
1 % of the depth would be 10 pixels and calls two in five moving pixels of the miniature static.
"""

SMALLEST = 0.0002
"""Share of the picture that an object has at least [ours]; 100 pixels at the official size."""

_HIDDEN = 0.1
"""A surface nearer than the expected depth by this share hides the point instead of being it."""


def moving_label(
    disparity: NDArray[np.float32],
    flow: FlowField,
    pose: NDArray[np.float64],
    next_pose: NDArray[np.float64],
    focal: float,
    *,
    change: NDArray[np.float32] | None = None,
    next_disparity: NDArray[np.float32] | None = None,
    tolerance: float = TOLERANCE,
) -> NDArray[np.bool_]:
    """Label the scene points that move in the world between two frames (MP-Net section 6.1).

    The point behind every pixel, from its disparity and the camera pose, is compared with the point
    reached through the optical flow at the next frame. Its depth there comes from the disparity
    change; without it, from the next disparity map. Where that shows another surface (outside the
    frame, behind something nearer) the point is given the depth that it would have if it stood
    still, so that only motion across the line of sight counts there.

    Cameras look along -z with x right and y up; the principal point is the middle of the image. The
    sign of the disparity does not matter.

    Args:
        disparity: (H, W) pixels.
        flow: (2, H, W) pixels, to the next frame.
        pose: (4, 4) camera-to-world matrix.
        next_pose: the same at the next frame.
        focal: focal length in pixels.
        change: (H, W) disparity at the next frame, at the point reached, minus disparity.
        next_disparity: (H, W) disparity of the next frame; needed when `change` is None.
        tolerance: displacement that still counts as standing, as a share of the depth.

    Returns:
        (H, W) bool.
    """
    height, width = disparity.shape
    rows, columns = np.indices((height, width), dtype=np.float64)
    centre = (width - 1) / 2, (height - 1) / 2
    depth = _depth(disparity, focal)
    here = _to_world(columns, rows, depth, pose, focal, centre)
    reached = columns + flow[0], rows + flow[1]
    if change is not None:
        next_depth = _depth(np.abs(disparity) + np.where(disparity < 0, -change, change), focal)
    else:
        if next_disparity is None:
            raise ValueError("moving_label needs change or next_disparity")
        inverse = np.linalg.inv(next_pose)
        standing = -(np.tensordot(inverse[2, :3], here, axes=1) + inverse[2, 3])
        next_depth = _depth_around(next_disparity, *reached, focal, standing)
    there = _to_world(*reached, next_depth, next_pose, focal, centre)
    distance: NDArray[np.float64] = np.linalg.norm(there - here, axis=0)
    return distance > tolerance * depth


def _depth(disparity: NDArray[np.float32] | NDArray[np.float64], focal: float) -> NDArray[np.float64]:
    return focal * BASELINE / np.maximum(np.abs(disparity.astype(np.float64)), 1e-6)


def _to_world(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    depth: NDArray[np.float64],
    pose: NDArray[np.float64],
    focal: float,
    centre: tuple[float, float],
) -> NDArray[np.float64]:
    """Lift pixels (H, W) at `depth` to world points (3, H, W)."""
    point = np.stack([(x - centre[0]) * depth / focal, (centre[1] - y) * depth / focal, -depth])
    return np.asarray(np.tensordot(pose[:3, :3], point, axes=1) + pose[:3, 3, None, None])


def _depth_around(
    disparity: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    focal: float,
    standing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Depth nearest to `standing` that the four pixels around (x, y) of the next frame span.

    Interpolating between them would see motion at every crease and border. Where (x, y) lies outside
    the frame or behind something clearly nearer there is no evidence: the result is `standing`.
    """
    height, width = disparity.shape
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    left = np.clip(np.floor(x), 0, width - 2).astype(np.intp)
    top = np.clip(np.floor(y), 0, height - 2).astype(np.intp)
    corners = np.stack([np.abs(disparity[top + i, left + j]) for i in (0, 1) for j in (0, 1)])
    depth = np.clip(standing, _depth(corners.max(axis=0), focal), _depth(corners.min(axis=0), focal))
    hidden = depth < (1 - _HIDDEN) * standing
    return np.where(inside & ~hidden, depth, standing)


def moving_instances(
    moving: NDArray[np.bool_], objects: NDArray[np.float32] | None = None, smallest: float = SMALLEST
) -> IdMap:
    """Separate moving objects.

    Args:
        moving: (H, W) bool.
        objects: (H, W) number of the object at each pixel; None: moving pixels that touch each other,
            also at a corner, are one object.
        smallest: share of the picture; smaller objects are void.

    Returns:
        (H, W) uint8: 0 where nothing moves, 1..K, 255 where an object is too small, or beyond the 254th.
    """
    if objects is None:
        _, regions = cv2.connectedComponents(moving.astype(np.uint8), connectivity=8)
    else:
        regions = np.where(moving, objects.astype(np.int64) - int(objects.min()) + 1, 0)
    numbers, places, counts = np.unique(regions, return_inverse=True, return_counts=True)
    large = (counts >= smallest * moving.size) & (numbers > 0)
    ids = np.where(large & (large.cumsum() < VOID), large.cumsum(), VOID)
    ids[numbers == 0] = 0
    return np.asarray(ids[places].reshape(moving.shape).astype(np.uint8))
