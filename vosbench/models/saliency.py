"""Saliency of a picture, without learning."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

LONGER_SIDE = 48
"""Cells along the longer side of a picture."""
REACH = 2
"""A cell is linked to its neighbours and to theirs."""
SOFTNESS = 0.1
"""Difference of colours, each channel of CIELAB stretched to 0..1, at which a link has weakened to 1/e."""

_Grid = tuple[int, int]


def absorption_saliency(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how salient every pixel is: how long a random walk from it takes to leave the picture.

    The walk prefers cells of like colour, so it leaves quickly from what resembles the border. As in
    the absorbing Markov chain of Jiang et al. (ICCV 2013), with their links and weights, on a regular
    grid of cells in place of superpixels, and without their correction for textured regions ([ours]).

    Args:
        picture: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) float32 in 0..1.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    grid = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(picture.astype(np.float32) / 255, grid[::-1], interpolation=cv2.INTER_AREA)
    steps = _steps_until_absorbed(cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float64))
    spread = steps.max() - steps.min()
    saliency = (steps - steps.min()) / (spread if spread > 0 else 1.0)
    enlarged = cv2.resize(saliency.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)


def _steps_until_absorbed(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected steps of a walk from each cell, (h, w), of colours (h, w, 3).

    Every border cell has a copy that absorbs; it is linked to what the cell is linked to, and to the
    cell itself.
    """
    grid = colours.shape[0], colours.shape[1]
    low, high = colours.min(axis=(0, 1)), colours.max(axis=(0, 1))
    values = ((colours - low) / np.where(high > low, high - low, 1.0)).reshape(-1, 3)
    first, second = _links(grid)
    weights = np.exp(-np.linalg.norm(values[first] - values[second], axis=1) / SOFTNESS)
    border = _border(grid)
    absorbed = border + _sums(first, weights * border[second], len(values))
    degree = _sums(first, weights, len(values)) + absorbed
    links = coo_array((weights, (first, second)), shape=(len(values), len(values)))
    # (I - Q) steps = 1 with Q the transitions between cells, each row times its degree
    steps: NDArray[np.float64] = spsolve((diags_array(degree) - links).tocsc(), degree)
    return steps.reshape(grid)


def _links(grid: _Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both ends of every link, each link in both directions."""
    numbers = np.arange(grid[0] * grid[1]).reshape(grid)
    ends: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for down in range(REACH + 1):
        for right in range(-REACH, REACH + 1):
            if (down, right) <= (0, 0):
                continue
            upper = numbers[: grid[0] - down, max(0, -right) : grid[1] - max(0, right)]
            lower = numbers[down:, max(0, right) : grid[1] + min(0, right)]
            if upper.size:
                ends += [(upper.ravel(), lower.ravel()), (lower.ravel(), upper.ravel())]
    none: NDArray[np.int64] = np.zeros(0, np.int64)
    return (
        np.concatenate([none, *(first for first, _ in ends)]),
        np.concatenate([none, *(second for _, second in ends)]),
    )


def _border(grid: _Grid) -> NDArray[np.float64]:
    edge = np.ones(grid)
    edge[1:-1, 1:-1] = 0
    return edge.ravel()


def _sums(rows: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.bincount(rows, values, count).astype(np.float64)
