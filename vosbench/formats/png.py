"""Id maps as PNG: the pixel value is the object id, and a palette gives it a colour.

Where the colours of the palette show that the pixel values are not the ids, see
`vosbench.formats.png_palette`.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from zlib_ng import zlib_ng

from vosbench.errors import InputError, one_line
from vosbench.files import atomic_path, read_bytes
from vosbench.formats.image import over_black
from vosbench.formats.png_palette import (
    REWRITE,
    Colours,
    Palette,
    Reading,
    UnclearPaletteError,
    davis_palette,
    ids_of_colours,
    palette_of,
    read_by_palette,
)
from vosbench.formats.png_pixels import decode_pixels
from vosbench.video import IdMap

__all__ = [
    "ColourError",
    "PngHeader",
    "davis_palette",
    "decode_ids",
    "decode_mask",
    "png_header",
    "read_header",
    "read_ids",
    "read_palette",
    "rewrite_colours",
    "write_ids",
]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 33
_MOST_PIXELS = 2**27
"""Larger images are left to Pillow, which refuses those that would fill the memory."""
_GREY, _INDEXED = 0, 3
_COLOUR_NAMES = {2: "RGB", 4: "grey with alpha", 6: "RGB with alpha"}


class ColourError(InputError):
    """Error for a mask whose colours do not determine the ids of its pixels.

    Args:
        source: the file.
        problem: in words that are the same for every file with this mistake.
        advice: what to do.
        code: Python that does it to `file`; ``""`` when only the writer of the masks can.
        is_picture: whether pixels are colours, and not indices of a palette.
    """

    def __init__(
        self, source: Path, problem: str, advice: str, code: str = "", *, is_picture: bool = False
    ) -> None:
        super().__init__(f"{source}: {problem}; {advice}" + (f": {code}" if code else ""))
        self.problem = problem
        self.advice = advice
        self.code = code
        self.is_picture = is_picture


class PngHeader(NamedTuple):
    """Header of a PNG (PNG specification, section 11.2.2).

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
        """True when a pixel is one value, an index or a grey level, and no colour."""
        return self.colour in (_GREY, _INDEXED)

    @property
    def is_indexed(self) -> bool:
        """True when a pixel is an index of a palette."""
        return self.colour == _INDEXED

    @property
    def is_plain(self) -> bool:
        """True for pixels of at most 8 bits, row after row, in a reasonable number."""
        common = self.bits in (1, 2, 4, 8) and not (self.compression or self.filtering or self.interlace)
        return self.has_levels and common and 0 < self.width * self.height <= _MOST_PIXELS


def read_ids(path: Path, *, by_object: bool = True) -> IdMap:
    """Read an indexed or grey PNG of 1, 2, 4 or 8 bits as (H, W) uint8 ids.

    Grey levels are taken as ids as they are in the file: a {0, 255} mask gives 0 and 255, a 1-bit
    mask 0 and 1. So are indices, unless the palette is in another order, see `read_by_palette`.

    Args:
        path: the file.
        by_object: the objects matter, and not only the foreground.

    Raises:
        InputError: no PNG, truncated, a colour image, or 16 bits.
        ColourError: an `InputError` for colours that do not determine the ids.
    """
    return decode_ids(read_bytes(path), path, by_object=by_object)


def decode_ids(data: bytes, source: Path, *, by_object: bool = True) -> IdMap:
    """Return the ids of a PNG held in memory, as `read_ids` does; `source` names it in errors."""
    if png_header(data, source).bits == 16:
        raise InputError(f"{source}: mask has 16 bits per pixel; save it as an indexed or 8-bit grey PNG")
    return decode_mask(data, source, by_object=by_object).values.astype(np.uint8, copy=False)


def decode_mask(data: bytes, source: Path, *, by_object: bool) -> Reading:
    """Return the ids or grey levels of a PNG held in memory, and how the palette was understood.

    Args:
        data: the whole file.
        source: the file, for messages.
        by_object: as in `read_ids`.

    Returns:
        (H, W) uint8, or uint16 when the file has 16 bits.

    Raises:
        InputError: as `read_ids`, but 16-bit grey is taken.
    """
    header = png_header(data, source)
    if not header.has_levels:
        raise _colour_error(data, source, header)
    values = _decode(data, source)
    if header.bits == 16:
        return Reading(values.astype(np.uint16))
    levels = values.astype(np.uint8, copy=False)
    if not header.is_indexed:
        return Reading(levels)
    try:
        return read_by_palette(levels, _palette(data, source), by_object=by_object)
    except UnclearPaletteError as error:
        raise ColourError(source, error.problem, error.advice) from None


def rewrite_colours(path: Path | str) -> None:
    """Rewrite a PNG of colours as one of the ids or grey levels that the colours stand for.

    Colours of DAVIS become ids, grey ones levels; transparent pixels become black, the background. A mask
    that is black all over and differs in transparency becomes that transparency.

    Raises:
        InputError: not readable, or it has other colours.
    """
    path = Path(path)
    data = read_bytes(path)
    png_header(data, path)
    kind, values = _meaning(data, path)
    if values is None:
        raise InputError(f"{path}: mask {kind}; write its ids as an indexed or 8-bit grey PNG")
    if kind == _IN_DAVIS_COLOURS:
        write_ids(path, values)
        return
    with atomic_path(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")


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


def write_ids(path: Path, ids: IdMap) -> None:
    """Write (H, W) uint8 ids as an 8-bit indexed PNG with the colours of DAVIS, atomically."""
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise ValueError(f"ids are (H, W) uint8, not {ids.shape} {ids.dtype}")
    image = Image.fromarray(np.ascontiguousarray(ids))
    image.putpalette(davis_palette().tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def read_palette(path: Path) -> Colours | None:
    """Return the (256, 3) RGB palette of a PNG, black where it has no visible entry; None without indices.

    Raises:
        InputError: no PNG, or damaged.
    """
    data = read_bytes(path)
    return _palette(data, path).colours if png_header(data, path).is_indexed else None


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
        raise _damaged(source, error) from None


def _palette(data: bytes, source: Path) -> Palette:
    try:
        return palette_of(data)
    except ValueError as error:
        raise _damaged(source, error) from None


def _damaged(source: Path, error: Exception) -> InputError:
    return InputError(
        f"{source}: PNG file is damaged or truncated ({one_line(error)}); copy or write it again"
    )


_IN_DAVIS_COLOURS, _IN_GREY = "in the colours of DAVIS", "in grey"
_IN_OTHERS, _IN_ALPHA = "in colours that are not those of DAVIS", "in its transparency only"


def _meaning(data: bytes, source: Path) -> tuple[str, IdMap | None]:
    """Return the meaning of the colours of a mask, and the ids or levels that they stand for."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            pixels = np.array(image.convert("RGBA"))
    except Exception as error:  # damaged files make Pillow's decoders fail in every way there is
        raise _damaged(source, error) from None
    colours, alpha = over_black(pixels), pixels[..., 3]
    uniform = int(alpha.min(initial=255)) == int(alpha.max(initial=0))
    if not uniform and not colours.any():
        return _IN_ALPHA, alpha
    if bool((colours == colours[..., :1]).all()):
        return _IN_GREY, np.ascontiguousarray(colours[..., 0])
    try:
        return _IN_DAVIS_COLOURS, ids_of_colours(colours)
    except ValueError:
        return _IN_OTHERS, None


def _colour_error(data: bytes, source: Path, header: PngHeader) -> InputError:
    kind = _COLOUR_NAMES.get(header.colour, f"colour type {header.colour}")
    needed = "save it as an indexed or 8-bit grey PNG of object ids"
    if header.bits == 16 or not 0 < header.width * header.height <= _MOST_PIXELS:
        return ColourError(source, f"mask is {kind}", needed, is_picture=True)
    meaning, values = _meaning(data, source)
    code = "" if values is None else REWRITE
    return ColourError(source, f"mask is {kind}", f"{needed}; it is {meaning}", code, is_picture=True)
