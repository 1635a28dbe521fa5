"""The pixels of 8-bit grey and indexed PNG, which nearly every mask is, faster than a general reader.

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


def decode_pixels(data: bytes, height: int, width: int) -> Pixels:
    """Decode an 8-bit grey or indexed PNG without interlacing.

    Args:
        data: the whole file, its signature and header already checked.
        height: of the image, from the header.
        width: of the image, from the header.

    Raises:
        ValueError: truncated or damaged, in a few words.

    Source: PNG specification (ISO/IEC 15948), sections 5, 9 and 10.
    """
    size = height * (width + 1)
    inflate = zlib_ng.decompressobj()
    try:
        # one byte more than there should be tells whether there is too much, and no more is made
        content = inflate.decompress(_compressed(data), size + 1)
    except _DAMAGED as error:
        raise ValueError(str(error)) from None
    if len(content) != size or not inflate.eof:
        raise ValueError(f"{len(content)} bytes of pixels instead of {size}")
    rows = np.frombuffer(content, np.uint8).reshape(height, width + 1)
    kinds, pixels = rows[:, 0], rows[:, 1:].copy()
    if kinds.any():
        _undo_filters(kinds, pixels)
    return pixels


def _compressed(data: bytes) -> bytes:
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
    above = bytes(pixels.shape[1])
    for top, end in pairwise(edges):
        kind = kinds[top]
        if kind == _SUB:
            np.add.accumulate(pixels[top:end], axis=1, out=pixels[top:end])
        elif kind == _UP:
            # row by row: one instruction adds many pixels, where numpy accumulates one by one
            for y in range(max(top, 1), end):
                np.add(pixels[y], pixels[y - 1], out=pixels[y])
        elif kind != _NONE:
            undo = _undo_average if kind == _AVERAGE else _undo_paeth
            for y in range(top, end):
                undo(pixels[y], pixels[y - 1].tobytes() if y else above)


def _undo_average(row: Pixels, above: bytes) -> None:
    values, left = bytearray(row.tobytes()), 0
    for x, up in enumerate(above):
        values[x] = left = (values[x] + (left + up) // 2) & 255
    row[:] = values


def _undo_paeth(row: Pixels, above: bytes) -> None:
    """Where the row above goes on unchanged and the difference is 0, so does this row.

    The prediction of a pixel is the neighbour nearest to left + up - upper left; with up equal to upper
    left that is left. Only the other pixels are visited.
    """
    upper = np.frombuffer(above, np.uint8)
    changes = np.flatnonzero((upper[1:] != upper[:-1]) | (row[1:] != 0)) + 1
    differences, values = row[changes].tolist(), []
    # the pixel before the first one is 0, and so is the one above it
    value = (int(row[0]) + above[0]) & 255
    values.append(value)
    for x, difference in zip(changes.tolist(), differences, strict=True):
        up, corner = above[x], above[x - 1]
        to_left, to_up, to_corner = abs(up - corner), abs(value - corner), abs(value + up - 2 * corner)
        if to_left > to_up or to_left > to_corner:
            value = up if to_up <= to_corner else corner
        value = (value + difference) & 255
        values.append(value)
    start = 0
    for x, value in zip([*changes.tolist(), len(row)], values, strict=True):
        row[start:x] = value
        start = x
