"""One mask of one frame, 64 pixels per word: regions, boundaries and disks in a few word operations.

A row of pixels is a run of bits, lowest bit first, followed by at least as many zero bits as the
largest distance that is ever asked for. Shifting the whole image by some bits then moves every row at
once: what leaves a row falls into the zeros behind it (or behind the row above), where nobody looks.

J and F of a frame take 0.45 ms so; 25.7 ms with arrays of bool (`benchmarks/speed/plain.py`), 6.9 ms in
vos-benchmark (benchmarks/speed/results/metrics.md).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""(H, words) uint64, bit x % 64 of word x // 64 is pixel x."""

BOUND_TH = 0.008
"""Share of the image diagonal within which boundary pixels match (Perazzi et al., section 5.1)."""

_BITS = 64


class Silhouette:
    """A mask, its area, its boundary and everything near its boundary, each made when first asked for.

    Args:
        mask: (H, W) bool.
        radius: distance in pixels within which boundaries match, see `match_radius`.

    Attributes:
        words: the packed mask.
    """

    def __init__(self, mask: NDArray[np.bool_], radius: float) -> None:
        self.words = _pack(mask, margin=int(radius) + 1)
        self._width = mask.shape[1]
        self._radius = radius

    @cached_property
    def area(self) -> int:
        """Number of foreground pixels."""
        return count(self.words)

    @cached_property
    def boundary(self) -> Words:
        """Pixels that differ from their right, lower or lower-right neighbour.

        The image border is no boundary: the last row compares with the right neighbour alone, the
        last column with the lower one alone, and the last pixel with none.
        """
        words = self.words
        inner = _pack(np.ones((1, self._width - 1), bool), margin=words.shape[1] * _BITS - self._width + 1)
        right = _shifted_down(words, 1)
        boundary = (words ^ right) & inner
        boundary[:-1] |= words[:-1] ^ words[1:]
        boundary[:-1] |= (words[:-1] ^ right[1:]) & inner
        return boundary

    @cached_property
    def boundary_length(self) -> int:
        """Number of boundary pixels."""
        return count(self.boundary)

    @cached_property
    def neighbourhood(self) -> Words:
        """Pixels within the radius of a boundary pixel; bits behind the end of a row have no meaning."""
        return _dilate(self.boundary, self._radius)


def match_radius(height: int, width: int, bound_th: float = BOUND_TH) -> float:
    """Return the distance in pixels within which boundaries match.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        bound_th: below 1 a share of the image diagonal, rounded up to whole pixels
            (8 at 854 x 480); from 1 on the distance itself.
    """
    return bound_th if bound_th >= 1 else math.ceil(bound_th * math.hypot(height, width))


def count(words: Words) -> int:
    """Return the number of set bits."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def _pack(mask: NDArray[np.bool_], margin: int) -> Words:
    """Pack rows of bits into words, with at least `margin` zero bits behind each row."""
    height, width = mask.shape
    packed = np.packbits(mask, axis=1, bitorder="little")
    octets = np.zeros((height, math.ceil((width + margin) / _BITS) * _BITS // 8), np.uint8)
    octets[:, : packed.shape[1]] = packed
    words: Words = octets.view("<u8").astype(np.uint64, copy=False)
    return words


def _shifted_down(words: Words, bits: int) -> Words:
    """Move every pixel `bits` to the left, that is to lower bits."""
    whole, rest = divmod(bits, _BITS)
    flat = words.ravel()
    moved = np.zeros_like(flat)
    kept = len(flat) - whole
    np.right_shift(flat[whole:], np.uint64(rest), out=moved[:kept])
    if rest:
        moved[: kept - 1] |= flat[whole + 1 :] << np.uint64(_BITS - rest)
    return moved.reshape(words.shape)


def _shifted_up(words: Words, bits: int) -> Words:
    """Move every pixel `bits` to the right, that is to higher bits."""
    whole, rest = divmod(bits, _BITS)
    flat = words.ravel()
    moved = np.zeros_like(flat)
    kept = len(flat) - whole
    np.left_shift(flat[:kept], np.uint64(rest), out=moved[whole:])
    if rest:
        moved[whole + 1 :] |= flat[: kept - 1] >> np.uint64(_BITS - rest)
    return moved.reshape(words.shape)


def _dilate(boundary: Words, radius: float) -> Words:
    """Set every pixel within `radius` of a set one: the exact disk, as a stack of horizontal runs."""
    near = np.zeros_like(boundary)
    rows, columns = (np.flatnonzero(boundary.any(axis)) for axis in (1, 0))
    if not len(rows):
        return near
    reach = int(radius)
    margin = -(-reach // _BITS)
    # only the disk can enter what is left out; behind every row of the rest are zeros again
    first, last = int(rows[0]), int(rows[-1]) + 1
    left, right = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, boundary.shape[1])
    width = right - left + margin
    run = np.zeros((last - first, width), np.uint64)
    run[:, : right - left] = boundary[first:last, left:right]
    # flat, and higher by the disk on either side: adding a run is then one operation on one block
    stack = np.zeros((last - first + 2 * reach) * width, np.uint64)
    half = 0
    widths = [math.floor(math.sqrt(radius**2 - dy**2)) for dy in range(reach + 1)]
    for dy in range(reach, -1, -1):
        # wider runs grow from narrower ones, at most threefold a step so that no gap opens
        while half < widths[dy]:
            step = min(widths[dy] - half, 2 * half + 1)
            run = run | _shifted_down(run, step) | _shifted_up(run, step)
            half += step
        for offset in {-dy, dy}:
            start = (reach + offset) * width
            stack[start : start + run.size] |= run.ravel()
    top, bottom = max(first - reach, 0), min(last + reach, len(near))
    rows_near = stack.reshape(-1, width)[top - first + reach : bottom - first + reach]
    near[top:bottom, left:right] = rows_near[:, : right - left]
    return near
