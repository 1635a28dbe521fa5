"""Complete decoding of a file, to check that it is whole and to return its size."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from zlib_ng import zlib_ng

from vosbench.errors import InputError
from vosbench.files import read_bytes
from vosbench.formats.fbms import read_labels
from vosbench.formats.pfm import read_pfm
from vosbench.formats.png import decode_ids, read_header
from vosbench.formats.pnm import read_pnm

_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE, _START_OF_SCAN = b"\xff\xd9", b"\xff\xda"


def _content(path: Path) -> bytes:
    _check_present(path)
    return read_bytes(path)


def picture_size(path: Path) -> tuple[int, int]:
    """Decode a picture to its last pixel and return (height, width).

    Beyond what the decoder notices, a JPEG must have its end mark and a PNG its last chunk. Changed
    bytes inside a JPEG that is whole cannot be noticed: it has no checksums.

    Raises:
        InputError: missing, empty, no picture, damaged or truncated.
    """
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            size, kind = (image.height, image.width), image.format
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no picture" if "cannot identify" in str(error) else str(error).replace("\n", " ")
        raise InputError(f"{path}: damaged or truncated ({reason})") from None
    if kind == "JPEG" and content.rfind(_END_OF_IMAGE) < content.rfind(_START_OF_SCAN):
        raise InputError(f"{path}: damaged or truncated (no end mark)")
    _check_png(path, content)
    return size


def ids_size(path: Path) -> tuple[int, int]:
    """Decode an indexed or grey PNG of object ids and return (height, width).

    Raises:
        InputError: missing, empty, damaged or truncated, or no such PNG.
    """
    content = _content(path)
    height, width = decode_ids(content, path).shape
    _check_png(path, content)
    return height, width


def mask_size(path: Path) -> tuple[int, int]:
    """Decode a PNG whose foreground is what is not black and return (height, width).

    Raises:
        InputError: missing, empty, damaged or truncated, or no such PNG.
    """
    _check_present(path)
    return ids_size(path) if read_header(path).has_levels else picture_size(path)


def _check_png(path: Path, content: bytes) -> None:
    """Compare the checksums of all chunks; decoders pass over chunks that they do not need."""
    if not content.startswith(_PNG):
        return
    view, start = memoryview(content), len(_PNG)
    while start + 12 <= len(content):
        kind = content[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(view[start : start + 4], "big")
        if end > len(content):
            break
        if zlib_ng.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise InputError(f"{path}: damaged (checksum of chunk {kind!r})")
        if kind == b"IEND":
            return
        start = end
    raise InputError(f"{path}: damaged or truncated (no last chunk)")


def map_size(path: Path) -> tuple[int, int]:
    """Decode a portable map (PGM, PPM or PFM) and return (height, width).

    Raises:
        InputError: missing, empty, damaged or truncated, or no such map.
    """
    _check_present(path)
    values = read_pfm(path) if path.suffix.lower() == ".pfm" else read_pnm(path)
    return values.shape[0], values.shape[1]


def labels_size(path: Path) -> tuple[int, int]:
    """Decode a map of labels (PNG, PGM or PPM) and return (height, width).

    Raises:
        InputError: missing, empty, damaged or truncated, or no labels.
    """
    content = _content(path)
    height, width = read_labels(path).shape
    _check_png(path, content)
    return height, width


def _check_present(path: Path) -> None:
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        raise InputError(f"{path}: missing") from None
    if not size:
        raise InputError(f"{path}: empty file")
