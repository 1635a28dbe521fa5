"""Id maps as run lengths: small enough for the masks of a whole data set to travel inside a page."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from vosbench.video import IdMap

_MORE = 0x80
_LEVEL = 9


def shrink(ids: IdMap, width: int, height: int) -> IdMap:
    """Return an id map of another size, each pixel the id of the nearest one.

    Args:
        ids: (H, W) uint8.
        width: in pixels, at least 1.
        height: in pixels, at least 1.
    """
    return np.array(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))


def encode(ids: IdMap) -> bytes:
    r"""Return the runs of equal ids, row after row: the id, then the length in groups of seven bits.

    The lowest group comes first; the highest bit of a byte is set where another one follows. The lengths add
    up to the number of pixels, which is how a reader of several maps in a row finds where each ends.

    Args:
        ids: (H, W) uint8, not empty.

    Example:
        >>> encode(np.array([[0, 0, 0], [0, 7, 7]], np.uint8))
        b'\x00\x04\x07\x02'
    """
    flat = ids.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    out = bytearray()
    for value, length in zip(flat[starts].tolist(), lengths.tolist(), strict=True):
        out.append(value)
        rest = length
        while rest >= _MORE:
            out.append(rest % _MORE | _MORE)
            rest //= _MORE
        out.append(rest)
    return bytes(out)


def pack(runs: Iterable[bytes]) -> bytes:
    """Return the runs of several maps as one zlib stream."""
    return zlib.compress(b"".join(runs), _LEVEL)
