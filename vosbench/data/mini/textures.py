"""Procedural textures in one atlas with mip levels, sampled for a whole frame at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

TEXTURE_SIZE = 256
LEVELS = 7


def _noise(rng: np.random.Generator, falloff: float, coarsest: int = 4) -> Image:
    """Tileable multi-octave noise (S, S), scaled to zero mean and unit deviation."""
    total = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    cells = coarsest
    while cells <= TEXTURE_SIZE // 2:
        grid = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
        step = TEXTURE_SIZE // cells
        smooth = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += smooth[2 * step : -2 * step, 2 * step : -2 * step] * np.float32(cells**-falloff)
        cells *= 2
    return np.asarray((total - total.mean()) / total.std())


def _pattern(rng: np.random.Generator) -> Any:
    """A structured pattern (S, S) in [-1, 1]: nothing, checks, stripes, bricks or blobs."""
    kind = rng.choice(["none", "checks", "stripes", "bricks", "blobs"], p=[0.3, 0.15, 0.2, 0.15, 0.2])
    y, x = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE].astype(np.float32) / TEXTURE_SIZE
    nx, ny = rng.integers(2, 13, size=2)
    if kind == "checks":
        return np.sign(np.sin(2 * np.pi * nx * x) * np.sin(2 * np.pi * nx * y))
    if kind == "stripes":
        wobble = _noise(rng, 1.5) * np.float32(rng.uniform(0, 0.6))
        return np.tanh(3 * np.sin(2 * np.pi * (nx * x + (ny % 4) * y) + wobble))
    if kind == "bricks":
        row = np.floor(y * 2 * ny)
        mortar = (np.mod(y * 2 * ny, 1) < 0.12) | (np.mod(x * nx + row / 2, 1) < 0.08)
        return np.where(mortar, np.float32(1), np.float32(-0.4))
    if kind == "blobs":
        return np.tanh(4 * _noise(rng, 1.6, coarsest=8))
    return np.zeros_like(x)


def _texture(rng: np.random.Generator) -> Image:
    """Return a tileable colour texture (S, S, 3) in [0, 255]."""
    dark, light = rng.uniform(20, 120, 3), rng.uniform(110, 245, 3)
    saturation = rng.uniform(0.2, 1.0)
    dark, light = (saturation * c + (1 - saturation) * c.mean() for c in (dark, light))
    strength = rng.uniform(0.4, 1.0)
    pattern = np.asarray(_pattern(rng), np.float32)
    level = strength * pattern + rng.uniform(0.35, 0.8) * _noise(rng, rng.uniform(0.5, 1.1))
    # Some surfaces are nearly plain, as roads and skies are: optical flow is poor there.
    contrast = 0.3 if rng.random() < 0.2 else 1.0
    mix = 1 / (1 + np.exp(-1.6 * contrast * level))
    colour = dark + mix[..., None] * (light - dark)
    colour += 10 * contrast * _noise(rng, 0.8)[..., None] * rng.standard_normal(3)
    return np.asarray(np.clip(colour, 0, 255).astype(np.float32))


def _halved(texture: Image) -> Image:
    half = texture.shape[0] // 2
    return np.asarray(cv2.resize(texture, (half, half), interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True)
class Atlas:
    """Textures stacked in one image per mip level, each with a wrapped border of one texel."""

    levels: tuple[NDArray[np.uint8], ...]

    @classmethod
    def random(cls, rng: np.random.Generator, count: int) -> Atlas:
        """Make `count` textures."""
        textures = [_texture(rng) for _ in range(count)]
        levels = []
        for level in range(LEVELS):
            if level:
                textures = [_halved(texture) for texture in textures]
            stacked = np.concatenate([np.pad(t, ((1, 1), (1, 1), (0, 0)), mode="wrap") for t in textures])
            levels.append(np.rint(stacked).astype(np.uint8))
        return cls(tuple(levels))

    def sample(
        self,
        texture: NDArray[np.float32],
        u: NDArray[np.float32],
        v: NDArray[np.float32],
        footprint: NDArray[np.float32],
    ) -> Image:
        """Return colours (H, W, 3) in [0, 255], blended between the two nearest mip levels.

        Args:
            texture: (H, W) number of the texture of each pixel.
            u: (H, W) horizontal texture coordinate in texels of the finest level; wraps.
            v: (H, W) vertical texture coordinate.
            footprint: (H, W) size of a pixel in texels.
        """
        blur = np.clip(np.log2(np.maximum(footprint, 1e-6)), 0, LEVELS - 1).astype(np.float32)
        colour = np.zeros((*u.shape, 3), np.float32)
        for level in range(int(blur.min()), int(np.ceil(blur.max())) + 1):
            weight = np.maximum(1 - np.abs(blur - level), 0)
            colour += weight[..., None] * self._sample_level(level, texture, u, v)
        return colour

    def _sample_level(
        self, level: int, texture: NDArray[np.float32], u: NDArray[np.float32], v: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        size = TEXTURE_SIZE >> level
        scale = np.float32(0.5**level)
        x = (u + np.float32(0.5)) * scale - np.float32(0.5)
        y = (v + np.float32(0.5)) * scale - np.float32(0.5)
        x = x - np.floor(x / size) * size + 1
        y = y - np.floor(y / size) * size + 1 + texture * (size + 2)
        colour = cv2.remap(self.levels[level], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(colour, np.uint8)
