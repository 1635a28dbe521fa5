"""Id maps as PNG: the pixel value is the object id, the palette only gives it a colour."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vosbench.data.video import IdMap
from vosbench.errors import InputError
from vosbench.files import atomic_path

Palette = NDArray[np.uint8]
"""(256, 3) uint8 RGB, one colour per id."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3
_COLOUR_NAMES = {2: "RGB", 4: "grey with alpha", 6: "RGB with alpha"}


def davis_palette() -> Palette:
    """Return the PASCAL VOC colours that DAVIS uses for its ids.

    The three lowest bits of the id become the highest bit of red, green and blue, the next three
    bits the second highest, and so on; near ids get far colours and 0 is black.
    """
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            colours[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return colours


def read_ids(path: Path) -> IdMap:
    """Read an indexed or grey PNG of 1, 2, 4 or 8 bits as (H, W) uint8 ids.

    Grey levels are taken as ids as they are in the file: a {0, 255} mask gives 0 and 255, a 1-bit
    mask 0 and 1.

    Raises:
        InputError: no PNG, truncated, a colour image (its ids are lost), or 16 bits.
    """
    bits, colour = _depth(path)
    if colour not in (_GREY, _INDEXED):
        kind = _COLOUR_NAMES.get(colour, f"colour type {colour}")
        raise InputError(f"{path}: mask is {kind}; save it as an indexed or 8-bit grey PNG of object ids")
    if bits == 16:
        raise InputError(f"{path}: mask has 16 bits per pixel; save it as an indexed or 8-bit grey PNG")
    values = _decode(path)
    if colour == _GREY and bits in (2, 4):
        # Pillow stretches 2 and 4 bit grey to 0..255; ids are the stored levels.
        values //= 255 // (2**bits - 1)
    return values


def write_ids(path: Path, ids: IdMap, palette: Palette | None = None) -> None:
    """Write (H, W) uint8 ids as an 8-bit indexed PNG, atomically.

    Args:
        path: where to write.
        ids: the map; every value is kept exactly.
        palette: (N, 3) RGB with N <= 256, e.g. from `read_palette`; the DAVIS colours by default.
            Ids from N on are black.
    """
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ValueError(f"ids are (H, W) uint8, not {ids.shape} {ids.dtype}")
    colours = np.zeros((256, 3), np.uint8)
    chosen = davis_palette() if palette is None else palette
    colours[: len(chosen)] = chosen
    image = Image.fromarray(np.ascontiguousarray(ids))
    image.putpalette(colours.tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def read_palette(path: Path) -> Palette | None:
    """Return the (256, 3) RGB palette of a PNG, black where it has no entry; None for a grey PNG.

    Raises:
        InputError: no PNG.
    """
    _depth(path)
    with Image.open(path) as image:
        stored = image.getpalette()
    if stored is None:
        return None
    colours = np.zeros((256, 3), np.uint8)
    entries = np.asarray(stored, np.uint8).reshape(-1, 3)
    colours[: len(entries)] = entries
    return colours


def _depth(path: Path) -> tuple[int, int]:
    """Return bits per sample and colour type from the header, which Pillow's mode does not tell apart."""
    try:
        with path.open("rb") as file:
            header = file.read(33)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not header.startswith(_SIGNATURE):
        raise InputError(f"{path}: not a PNG file; masks are indexed or grey PNG")
    if len(header) < 33:
        raise InputError(f"{path}: PNG file is truncated; copy or write it again")
    bits, colour = struct.unpack_from("BB", header, 24)
    return bits, colour


def _decode(path: Path) -> IdMap:
    try:
        with Image.open(path) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: PNG file is damaged or truncated ({error}); copy or write it again"
        ) from None
