"""Masks cut to their boxes, 64 pixels a word: a video of them fits in memory, and overlaps are quick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

_BITS = 64
_FASTEST = 1


class PackedMask:
    """A mask of one frame.

    Only rows and words that hold pixels are kept. Words start at the same columns in every mask, so
    those of two masks meet without shifting.

    Args:
        mask: (H, W) bool; copied.

    Attributes:
        box: (top, bottom, left, right) in pixels, bottom and right just outside; all 0 when empty.
        area: number of pixels.
    """

    __slots__ = ("_compressed", "_shape", "_words", "area", "box")

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        height, width = mask.shape
        octets = np.zeros((height, -(-width // _BITS) * _BITS // 8), np.uint8)
        packed = np.packbits(mask, axis=1, bitorder="little")
        octets[:, : packed.shape[1]] = packed
        # bits are counted and combined, never shifted: in what order a word holds them does not matter
        words = octets.view(np.uint64)
        self.box = _box(words)
        top, bottom, left, right = self.box
        words = words[top:bottom, left // _BITS : -(-right // _BITS)].copy()
        self.area = _count(words)
        self._shape = words.shape
        self._words: NDArray[np.uint64] | None = words
        self._compressed = b""

    @property
    def words(self) -> NDArray[np.uint64]:
        """(rows, words) uint64 of the box, from the word that holds its left edge."""
        if self._words is not None:
            return self._words
        return np.frombuffer(zlib_ng.decompress(self._compressed), np.uint64).reshape(self._shape)

    def rest(self) -> None:
        """Keep the mask compressed from now on; `words` inflates it each time."""
        if self._words is not None:
            self._compressed = zlib_ng.compress(self._words.tobytes(), _FASTEST)
            self._words = None

    def paint(self, ids: NDArray[np.uint8], value: int) -> None:
        """Set the pixels of the mask in ids, (H, W) uint8, to a value."""
        top, bottom, left, right = self.box
        start = left // _BITS * _BITS
        bits = np.unpackbits(self.words.view(np.uint8), axis=1, bitorder="little", count=right - start)
        np.copyto(ids[top:bottom, start:right], value, where=bits.view(np.bool_))


def overlaps(rows: Sequence[PackedMask], columns: Sequence[PackedMask]) -> NDArray[np.float64]:
    """Return the intersection over union of every pair, (rows, columns) float64; 0 for empty masks."""
    found = np.zeros((len(rows), len(columns)))
    if not rows or not columns:
        return found
    pairs = np.argwhere(_boxes_meet(rows, columns))
    # each mask is inflated once, and only if it meets another
    ours = {i: rows[i].words for i in dict.fromkeys(pairs[:, 0].tolist())}
    theirs = {j: columns[j].words for j in dict.fromkeys(pairs[:, 1].tolist())}
    for i, j in pairs.tolist():
        shared = _shared(rows[i], ours[i], columns[j], theirs[j])
        found[i, j] = shared / (rows[i].area + columns[j].area - shared)
    return found


def _boxes_meet(rows: Sequence[PackedMask], columns: Sequence[PackedMask]) -> NDArray[np.bool_]:
    ours = np.array([mask.box for mask in rows])[:, None]
    theirs = np.array([mask.box for mask in columns])[None]
    starts = np.maximum(ours[..., 0::2], theirs[..., 0::2])
    ends = np.minimum(ours[..., 1::2], theirs[..., 1::2])
    meet: NDArray[np.bool_] = (starts < ends).all(axis=-1)
    return meet


def _shared(a: PackedMask, a_words: NDArray[np.uint64], b: PackedMask, b_words: NDArray[np.uint64]) -> int:
    """Number of pixels in both masks, whose boxes meet."""
    top, bottom = max(a.box[0], b.box[0]), min(a.box[1], b.box[1])
    a_left, b_left = a.box[2] // _BITS, b.box[2] // _BITS
    left = max(a_left, b_left)
    right = min(a_left + a_words.shape[1], b_left + b_words.shape[1])
    ours = a_words[top - a.box[0] : bottom - a.box[0], left - a_left : right - a_left]
    theirs = b_words[top - b.box[0] : bottom - b.box[0], left - b_left : right - b_left]
    return _count(ours & theirs)


def _count(words: NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def _box(words: NDArray[np.uint64]) -> tuple[int, int, int, int]:
    rows = np.flatnonzero(words.any(axis=1))
    if not len(rows):
        return 0, 0, 0, 0
    column_words = np.bitwise_or.reduce(words, axis=0)
    columns = np.flatnonzero(np.unpackbits(column_words.view(np.uint8), bitorder="little"))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
