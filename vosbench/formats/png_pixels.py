"""Pixels of grey and indexed PNG, which nearly every mask is, decoded faster than by a general reader.

Masks that vosbench writes take a ninth of Pillow's time, ground truth of DAVIS two thirds of it
(``benchmarks/speed/png.py``, and Pillow alone with ``--plain``).

A mask is long runs of one value. Inflating it in one piece with zlib-ng copies runs in blocks, where a
general reader takes the stream row by row; and undoing the filters of a row costs little where only the
few pixels that change are visited.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

Pixels = NDArray[np.uint8]
"""(H, W) uint8."""

# its type stub calls the class an instance
_DAMAGED: type[Exception] = zlib_ng.error  # type: ignore[assignment]

# filter types of a row, PNG specification section 9
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)
_FIRST_CHUNK = 8
_CHUNK_EDGE = 12

# The C library gives large blocks back to the system at once and pays for every page of the next one;
# having freed one of this size it keeps smaller ones. An image is two blocks, and decodes up to 8 times
# faster for it.
np.empty(2**24, np.uint8)


def decode_pixels(data: bytes, height: int, width: int, bits: int = 8) -> Pixels:
    """Decode a grey or indexed PNG without interlacing.

    Args:
        data: the whole file, its signature and header already checked.
        height: of the image, from the header.
        width: of the image, from the header.
        bits: per pixel, from the header: 1, 2, 4 or 8. Values are returned as stored, not stretched.

    Raises:
        ValueError: truncated or damaged, in a few words.

    Source: PNG specification (ISO/IEC 15948), sections 5, 7.2, 9 and 10.
    """
    row = -(-width * bits // 8)
    size = height * (row + 1)
    inflate = zlib_ng.decompressobj()
    try:
        # one byte more than there should be tells whether there is too much, and no more is made
        content = inflate.decompress(compressed_pixels(data), size + 1)
    except _DAMAGED as error:
        raise ValueError(str(error)) from None
    if len(content) != size or not inflate.eof:
        raise ValueError(f"{len(content)} bytes of pixels instead of {size}")
    rows = np.frombuffer(content, np.uint8).reshape(height, row + 1)
    kinds, pixels = rows[:, 0], rows[:, 1:].copy()
    if kinds.any():
        _undo_filters(kinds, pixels)
    return pixels if bits == 8 else _unpacked(pixels, bits)[:, :width]


def _unpacked(rows: Pixels, bits: int) -> Pixels:
    """Split every byte into pixels of fewer bits, the highest first."""
    if bits == 1:
        return np.unpackbits(rows, axis=1)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    pixels: Pixels = (rows[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return pixels.reshape(len(rows), -1)


def compressed_pixels(data: bytes) -> bytes:
    """Return the content of all IDAT chunks."""
    parts = []
    at = _FIRST_CHUNK
    while at + _CHUNK_EDGE <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            parts.append(data[at + 8 : at + 8 + length])
        at += _CHUNK_EDGE + length
    return b"".join(parts)


def _undo_filters(kinds: Pixels, pixels: Pixels) -> None:
    """Turn differences into values, in place, by blocks of rows of one filter type."""
    if kinds.max() > _PAETH:
        raise ValueError(f"unknown filter type {kinds.max()}")
    edges = [0, *(np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), len(kinds)]
    above = np.zeros(pixels.shape[1], np.uint8)
    rows = list(pixels)
    for top, end in pairwise(edges):
        kind = kinds[top]
        if kind == _SUB:
            np.add.accumulate(pixels[top:end], axis=1, out=pixels[top:end])
        elif kind == _UP:
            # row by row: one instruction adds many pixels, where numpy accumulates one by one
            for y in range(max(top, 1), end):
                np.add(rows[y], rows[y - 1], rows[y])
        elif kind != _NONE:
            undo = _undo_average if kind == _AVERAGE else _undo_paeth
            for y in range(top, end):
                undo(rows[y], rows[y - 1] if y else above)


def _undo_average(row: Pixels, above: Pixels) -> None:
    values, left = bytearray(row.tobytes()), 0
    for x, up in enumerate(above.tobytes()):
        values[x] = left = (values[x] + (left + up) // 2) & 255
    row[:] = values


def _undo_paeth(row: Pixels, above: Pixels) -> None:
    """Visit only the pixels where this row parts from the one above, until they meet again.

    A pixel is predicted as its neighbour nearest to left + up - corner. Where left is corner that is up:
    as long as the differences are 0, a row that has met the one above goes on like it. Where up is corner
    it is left: between changes of the row above, a row that has parted from it stays as it is.
    """
    differing = row.nonzero()[0].tolist()
    differences = row[differing].tolist()
    row[:] = above
    over = above.tobytes()
    value, reached = 0, -1
    stops = [*differing, len(row)][1:]
    for start, stop, difference in zip(differing, stops, differences, strict=True):
        corner = over[start - 1] if start else 0
        # a row that has not parted has on the left what is above that
        left = value if reached == start else corner
        value = (_predict(left, over[start], corner) + difference) & 255
        reached = start
        while reached < stop and value != over[reached]:
            rest = over[reached + 1 : stop]
            change = reached + 1 + len(rest) - len(rest.lstrip(over[reached : reached + 1]))
            row[reached:change] = value
            reached = change
            if reached < stop:
                value = _predict(value, over[reached], over[reached - 1])


def _predict(left: int, up: int, corner: int) -> int:
    """Return the neighbour nearest to left + up - corner; of equals left, then up."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
