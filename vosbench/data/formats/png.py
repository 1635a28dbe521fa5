"""Id maps as PNG: the pixel value is the object id, the palette only gives it a colour."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from zlib_ng import zlib_ng

from vosbench.data.formats.png_pixels import decode_pixels
from vosbench.data.video import IdMap
from vosbench.errors import InputError
from vosbench.files import atomic_path

Palette = NDArray[np.uint8]
"""(256, 3) uint8 RGB, one colour per id."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 33
_MOST_PIXELS = 2**27
"""Larger images are left to Pillow, which refuses those that would fill the memory."""
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


class PngHeader(NamedTuple):
    """What the first bytes of a PNG say (PNG specification, section 11.2.2).

    Attributes:
        width, height: in pixels.
        bits: per sample.
        colour: colour type.
        compression, filtering: methods; only 0 is defined.
        interlace: 0 for none.
    """

    width: int
    height: int
    bits: int
    colour: int
    compression: int
    filtering: int
    interlace: int

    @property
    def has_levels(self) -> bool:
        """Whether a pixel is one value, an index or a grey level, and no colour."""
        return self.colour in (_GREY, _INDEXED)

    @property
    def is_plain(self) -> bool:
        """Whether pixels of at most 8 bits come row after row, and there are not unreasonably many."""
        common = self.bits in (1, 2, 4, 8) and not (self.compression or self.filtering or self.interlace)
        return self.has_levels and common and 0 < self.width * self.height <= _MOST_PIXELS


def read_ids(path: Path) -> IdMap:
    """Read an indexed or grey PNG of 1, 2, 4 or 8 bits as (H, W) uint8 ids.

    Grey levels are taken as ids as they are in the file: a {0, 255} mask gives 0 and 255, a 1-bit
    mask 0 and 1.

    Raises:
        InputError: no PNG, truncated, a colour image (its ids are lost), or 16 bits.
    """
    return decode_ids(_read_bytes(path), path)


def decode_ids(data: bytes, source: Path) -> IdMap:
    """Return the ids of a PNG held in memory, as `read_ids` does; `source` names it in errors."""
    if png_header(data, source).bits == 16:
        raise InputError(f"{source}: mask has 16 bits per pixel; save it as an indexed or 8-bit grey PNG")
    return decode_levels(data, source).astype(np.uint8, copy=False)


def decode_levels(data: bytes, source: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the ids or grey levels of a PNG held in memory, (H, W) uint8, or uint16 when it has 16 bits.

    Raises:
        InputError: as `read_ids`, but 16-bit grey is taken.
    """
    header = png_header(data, source)
    if not header.has_levels:
        kind = _COLOUR_NAMES.get(header.colour, f"colour type {header.colour}")
        raise InputError(f"{source}: mask is {kind}; save it as an indexed or 8-bit grey PNG of object ids")
    values = _decode(data, source)
    if header.bits == 16:
        return values.astype(np.uint16)
    return values.astype(np.uint8, copy=False)


def png_header(data: bytes, source: Path) -> PngHeader:
    """Return the header of a PNG held in memory; its first 33 bytes are enough.

    Raises:
        InputError: no PNG, or truncated within the header.
    """
    if not data.startswith(_SIGNATURE):
        raise InputError(f"{source}: not a PNG file; masks are indexed or grey PNG")
    if len(data) < _HEADER_BYTES:
        raise InputError(f"{source}: PNG file is truncated; copy or write it again")
    # Pillow's mode does not tell bits and colour type apart
    return PngHeader(*struct.unpack_from(">IIBBBBB", data, 16))


def read_header(path: Path) -> PngHeader:
    """Return the header of a PNG file.

    Raises:
        InputError: cannot be read, no PNG, or truncated within the header.
    """
    try:
        with path.open("rb") as file:
            return png_header(file.read(_HEADER_BYTES), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


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
        InputError: no PNG, or damaged.
    """
    data = _read_bytes(path)
    png_header(data, path)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            stored = image.getpalette()
    except Exception:  # damaged files make Pillow fail in every way there is
        raise InputError(f"{path}: PNG file is damaged or truncated; copy or write it again") from None
    if stored is None:
        return None
    colours = np.zeros((256, 3), np.uint8)
    entries = np.asarray(stored, np.uint8).reshape(-1, 3)
    colours[: len(entries)] = entries
    return colours


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _decode(data: bytes, source: Path) -> NDArray[np.generic]:
    header = png_header(data, source)
    try:
        if header.is_plain:
            if zlib_ng.crc32(data[12:29]) != int.from_bytes(data[29:_HEADER_BYTES], "big"):
                raise ValueError("checksum of the header")
            return decode_pixels(data, header.height, header.width, header.bits)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            values = np.array(image)
        if header.colour == _GREY and header.bits in (2, 4):
            # Pillow stretches 2 and 4 bit grey to 0..255; ids are the stored levels.
            values //= 255 // (2**header.bits - 1)
        return values
    except UnidentifiedImageError:
        raise InputError(f"{source}: PNG file is damaged; copy or write it again") from None
    except Exception as error:  # damaged files make Pillow's decoders fail in every way there is
        raise InputError(
            f"{source}: PNG file is damaged or truncated ({error}); copy or write it again"
        ) from None
