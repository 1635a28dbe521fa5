"""Inpainting: a removed object is replaced by its surroundings."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.video import Frame

Filling = Literal["patches", "diffusion", "telea"]

_PATCH = 7
_WORKING_SIDE = 160
_LEVELS = 3
_ROUNDS = (6, 4, 3)
"""Searches and repaintings per level, coarse to fine."""

_GUESS_TRUST = 0.05
_FADING = 1.5
"""A guessed pixel counts `_GUESS_TRUST` of a known one, and so many times less for every pixel farther in."""

_RIM = 3
_LARGEST_STEP = 48.0
"""Grey levels; a larger difference at the border is another thing, not another light."""


def fill(frame: Frame, hole: NDArray[np.bool_], how: Filling, rng: np.random.Generator) -> Frame:
    """Return the frame with the hole painted over; everything else keeps its pixels.

    Args:
        frame: (H, W, 3) uint8.
        hole: (H, W) bool, what to replace. Where nothing else is left, its mean colour fills it.
        how: ``"patches"`` copies texture from similar places: an approximate nearest-neighbour field
            between patches at reduced size (PatchMatch, Barnes et al., SIGGRAPH 2009; alternated with
            averaging as in Wexler et al., TPAMI 2007), whose offsets then copy pixels at full size.
            ``"diffusion"`` blurs the surroundings into it; ``"telea"`` is OpenCV's fast marching.
        rng: draws the candidates of the search.
    """
    if not hole.any():
        return frame.copy()
    if hole.all():
        return np.full_like(frame, frame.mean(axis=(0, 1)).round().astype(np.uint8))
    if how == "telea":
        return np.asarray(cv2.inpaint(frame, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA))
    # known pixels averaged over ever larger cells until every cell has some (pull-push)
    weight = (~hole).astype(np.float32)
    painted = _push_pull(frame.astype(np.float32) * weight[..., None], weight)
    smooth = np.where(hole[..., None], np.clip(painted.round(), 0, 255).astype(np.uint8), frame)
    if how == "diffusion":
        return smooth
    return _from_patches(frame, smooth, hole, rng)


def _push_pull(sums: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = weight.shape
    known = weight[..., None]
    mean = sums / np.maximum(known, 1e-6)
    if max(height, width) <= 2 or bool((weight > 0).all()):
        overall = sums.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        return np.where(known > 0, mean, overall.astype(np.float32))
    half = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
    coarse = _push_pull(
        np.asarray(cv2.resize(sums, half, interpolation=cv2.INTER_AREA), np.float32),
        np.asarray(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), np.float32),
    )
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    trust = np.minimum(known, 1)
    return np.asarray(trust * mean + (1 - trust) * smooth, dtype=np.float32)


def _from_patches(frame: Frame, smooth: Frame, hole: NDArray[np.bool_], rng: np.random.Generator) -> Frame:
    height, width = hole.shape
    factor = max(1, round(max(height, width) / _WORKING_SIDE))
    offsets: NDArray[np.int64] | None = None
    painted = smooth.astype(np.float32)
    for level in reversed(range(_LEVELS)):
        scale = factor * 2**level
        size = (max(1, width // scale), max(1, height // scale))
        if min(size) < 2 * _PATCH:
            continue
        small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        small = cv2.resize(painted, size, interpolation=cv2.INTER_AREA)
        search = _Search(np.asarray(small, np.float32), small_hole, rng)
        if not search.possible:
            continue
        start = None if offsets is None else _enlarged(offsets, size)
        offsets = search.run(start, _ROUNDS[_LEVELS - 1 - level])
        fine = cv2.resize(search.picture, (width, height), interpolation=cv2.INTER_LINEAR)
        painted = np.where(hole[..., None], fine, frame)
    if offsets is None:
        return smooth
    copied = _without_seam(frame, _copied(frame, painted, hole, offsets), hole)
    return np.asarray(np.where(hole[..., None], copied, frame))


def _without_seam(frame: Frame, copied: NDArray[np.float32], hole: NDArray[np.bool_]) -> Frame:
    """Take the difference that shows at the border of the hole away, fading over the inside."""
    ring = (_grown(hole, _RIM) & ~hole).astype(np.float32)
    difference = np.clip(frame - copied, -_LARGEST_STEP, _LARGEST_STEP) * ring[..., None]
    return np.asarray(np.clip((copied + _push_pull(difference, ring)).round(), 0, 255).astype(np.uint8))


def _grown(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _enlarged(offsets: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    width, height = size
    rows = np.minimum(np.arange(height) * offsets.shape[0] // height, offsets.shape[0] - 1)
    columns = np.minimum(np.arange(width) * offsets.shape[1] // width, offsets.shape[1] - 1)
    return np.asarray(2 * offsets[rows[:, None], columns])


class _Search:
    """The field of offsets from each patch over the hole to a similar patch without hole.

    Args:
        picture: (h, w, 3) float32, a first guess in the hole; repainted in place.
        hole: (h, w) bool.
        rng: draws candidates.

    Attributes:
        possible: whether there is any patch without hole.
    """

    def __init__(
        self, picture: NDArray[np.float32], hole: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        self.picture = picture
        self._rng = rng
        self._hole = hole
        kernel = np.ones((_PATCH, _PATCH), np.uint8)
        radius = _PATCH // 2
        touched = cv2.dilate(hole.astype(np.uint8), kernel) > 0
        self._sound = ~touched
        self._sound[:radius] = self._sound[-radius:] = False
        self._sound[:, :radius] = self._sound[:, -radius:] = False
        self.possible = bool(self._sound.any())
        self._targets = np.argwhere(touched)
        # Guesses count less the farther they are from what is known (Wexler et al.): a first guess is
        # smooth, and would be matched with any smooth place.
        depth = np.asarray(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3))
        trust = np.where(hole, _GUESS_TRUST * _FADING**-depth, 1).astype(np.float32)
        weights = _windows(trust[..., None])[self._targets[:, 0], self._targets[:, 1]]
        self._weights = np.tile(weights.reshape(len(self._targets), -1), 3)

    def run(self, start: NDArray[np.int64] | None, rounds: int) -> NDArray[np.int64]:
        """Return (h, w, 2) offsets (rows, columns), zero where no patch touches the hole."""
        size = np.array(self._hole.shape)
        targets = self._targets
        sources = np.argwhere(self._sound)
        field = np.zeros((*size, 2), np.int64)
        if start is not None:
            field[tuple(targets.T)] = start[tuple(targets.T)]
        wanted = targets + field[tuple(targets.T)]
        drawn = sources[self._rng.integers(len(sources), size=len(targets))]
        bad = ~self._valid(wanted)
        wanted[bad] = drawn[bad]
        for _ in range(rounds):
            wanted = self._match(wanted, field)
            self._repaint(wanted)
        field[tuple(targets.T)] = wanted - targets
        return field

    def _valid(self, centres: NDArray[np.int64]) -> NDArray[np.bool_]:
        height, width = self._hole.shape
        inside = ((centres >= 0) & (centres < (height, width))).all(axis=1)
        clipped = np.clip(centres, 0, (height - 1, width - 1))
        return np.asarray(inside & self._sound[clipped[:, 0], clipped[:, 1]])

    def _match(self, wanted: NDArray[np.int64], field: NDArray[np.int64]) -> NDArray[np.int64]:
        # (h * w, 147) float32, the patch around every pixel, borders repeated
        patches = _windows(self.picture).reshape(self._hole.size, -1)
        width = self._hole.shape[1]
        targets = self._targets
        own = patches[targets[:, 0] * width + targets[:, 1]]
        best = _distance(own, patches[wanted[:, 0] * width + wanted[:, 1]], self._weights)

        def consider(candidate: NDArray[np.int64]) -> None:
            valid = np.flatnonzero(self._valid(candidate))
            source = candidate[valid]
            cost = _distance(own[valid], patches[source[:, 0] * width + source[:, 1]], self._weights[valid])
            better = cost < best[valid]
            best[valid[better]] = cost[better]
            wanted[valid[better]] = source[better]

        limit = np.array(self._hole.shape) - 1
        for jump in (4, 1):
            for shift in ((0, jump), (0, -jump), (jump, 0), (-jump, 0)):
                field[tuple(targets.T)] = wanted - targets
                neighbour = np.clip(targets + shift, 0, limit)
                consider(targets + field[tuple(neighbour.T)])
        radius = max(self._hole.shape) // 2
        while radius >= 1:
            consider(wanted + self._rng.integers(-radius, radius + 1, size=wanted.shape))
            radius //= 3
        return wanted

    def _repaint(self, wanted: NDArray[np.int64]) -> None:
        """Set every pixel of the hole to the mean of the patches over the pixel."""
        height, width = self._hole.shape
        total = np.zeros((height, width, 3), np.float32)
        count = np.zeros((height, width, 1), np.float32)
        radius = _PATCH // 2
        for row in range(-radius, radius + 1):
            for column in range(-radius, radius + 1):
                shift = np.array([row, column])
                at = self._targets + shift
                inside = ((at >= 0) & (at < (height, width))).all(axis=1)
                to, origin = at[inside], wanted[inside] + shift
                # Targets differ, so that no index repeats.
                total[to[:, 0], to[:, 1]] += self.picture[origin[:, 0], origin[:, 1]]
                count[to[:, 0], to[:, 1]] += 1
        self.picture[self._hole] = (total / np.maximum(count, 1))[self._hole]


def _windows(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, c, 7, 7), the patch around every pixel, borders repeated."""
    radius = _PATCH // 2
    padded = np.pad(picture, ((radius, radius), (radius, radius), (0, 0)), "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), axis=(0, 1))


def _distance(
    first: NDArray[np.float32], second: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    difference = first - second
    return np.asarray(np.einsum("ij,ij,ij->i", difference, difference, weights))


def _copied(
    frame: Frame, painted: NDArray[np.float32], hole: NDArray[np.bool_], offsets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Copy pixels at full size by the offsets of reduced size, averaged over neighbouring offsets.

    Returns:
        (H, W, 3) float32, copied in the hole and a rim around it.
    """
    height, width = hole.shape
    rows, columns = np.nonzero(_grown(hole, _RIM))
    small_height, small_width = offsets.shape[:2]
    scale_y, scale_x = height / small_height, width / small_width
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.full((len(rows), 1), 1e-3, np.float32)
    total += weight * painted[rows, columns]
    # Where in its cell a pixel lies decides how much each of the four nearest offsets counts.
    y = (rows + 0.5) / scale_y - 0.5
    x = (columns + 0.5) / scale_x - 0.5
    for down in (0, 1):
        for right in (0, 1):
            row, column = np.floor(y).astype(int) + down, np.floor(x).astype(int) + right
            share = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            offset = offsets[np.clip(row, 0, small_height - 1), np.clip(column, 0, small_width - 1)]
            from_row = np.clip(rows + np.rint(offset[:, 0] * scale_y).astype(int), 0, height - 1)
            from_column = np.clip(columns + np.rint(offset[:, 1] * scale_x).astype(int), 0, width - 1)
            known = ~hole[from_row, from_column]
            share = (share * known)[:, None].astype(np.float32)
            total += share * frame[from_row, from_column]
            weight += share
    result = frame.astype(np.float32)
    result[rows, columns] = total / weight
    return result
