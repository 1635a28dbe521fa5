"""Documented corruptions of a ground truth, as stand-ins for predictions with known scores."""

import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

Masks = NDArray[np.bool_]

MASK64 = (1 << 64) - 1


def splitmix64(seed: int) -> Iterator[int]:
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK64
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK64
        yield mixed ^ (mixed >> 31)


def dilate(mask: Masks, radius: int) -> Masks:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= radius


def erode(mask: Masks, radius: int) -> Masks:
    return ~dilate(~mask, radius)


def blobs(shape: tuple[int, int], key: str) -> Masks:
    numbers = splitmix64(zlib.crc32(key.encode()))
    y, x = np.indices(shape)
    out = np.zeros(shape, bool)
    for _ in range(12):
        centre_y, centre_x = next(numbers) % shape[0], next(numbers) % shape[1]
        radius = 1 + next(numbers) % 6
        out ^= (y - centre_y) ** 2 + (x - centre_x) ** 2 <= radius**2
    return out


def corrupted(masks: Masks, name: str, sequence: str) -> Masks:
    """(T, H, W) bool ground truth -> (T, H, W) bool prediction p1..p6."""
    if name == "p1":
        out = np.zeros_like(masks)
        out[:, 2:, 3:] = masks[:, :-2, :-3]
        return out
    if name == "p2":
        return np.stack([dilate(m, 4) if i % 10 != 9 else np.zeros_like(m) for i, m in enumerate(masks)])
    if name == "p3":
        return masks[[0, *range(len(masks) - 1)]]
    if name == "p4":
        return np.stack([erode(m, 3) ^ blobs(m.shape, f"{sequence}/{i}") for i, m in enumerate(masks)])
    return {"p5": np.zeros_like, "p6": np.ones_like}[name](masks)


@pytest.fixture
def corrupt() -> Callable[[Masks, str, str], Masks]:
    return corrupted
