"""Optical flow of KITTI: a 16-bit RGB PNG, R = 64 u + 2^15, G = 64 v + 2^15, B = valid or not."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from vosbench.errors import InputError, one_line
from vosbench.files import read_bytes, write_bytes
from vosbench.formats.png import png_header
from vosbench.formats.png_pixels import compressed_pixels
from vosbench.video import FlowField

_STEP = 64.0
_ZERO = 2**15
_RGB, _BITS = 2, 16
_PIXEL_BYTES = 6
_PAETH = 4
_MOST_PIXELS = 2**26
_HEADER_END = 33
# its type stub calls the class an instance
_DAMAGED: type[Exception] = zlib_ng.error  # type: ignore[assignment]


def read_kitti(path: Path) -> tuple[FlowField, NDArray[np.bool_]]:
    """Read a flow PNG of KITTI.

    Returns:
        (2, H, W) float32 pixels in steps of 1/64, 0 where there is no flow, and (H, W) bool, True
        where there is.

    Raises:
        InputError: missing, no 16-bit RGB PNG, truncated or damaged.
    """
    data = read_bytes(path)
    header = png_header(data, path)
    if (header.bits, header.colour) != (_BITS, _RGB) or header.interlace:
        raise InputError(
            f"{path}: not a flow PNG of KITTI, which has 16 bits and three channels, not interlaced"
        )
    if not 0 < header.width * header.height <= _MOST_PIXELS:
        raise InputError(f"{path}: {header.width}x{header.height} is no size of a flow field")
    try:
        checked = _rebuilt(data, header.height, header.width)
    except (ValueError, _DAMAGED) as error:
        raise InputError(
            f"{path}: PNG file is damaged or truncated ({one_line(error)}); copy it again"
        ) from None
    # OpenCV keeps 16 bits, which Pillow does not; it has the channels in the order B, G, R
    pixels = cv2.imdecode(np.frombuffer(checked, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape != (header.height, header.width, 3) or pixels.dtype != np.uint16:
        raise InputError(f"{path}: PNG file is damaged; copy it again")
    valid: NDArray[np.bool_] = pixels[..., 0] > 0
    flow = pixels[..., :0:-1].transpose(2, 0, 1).astype(np.float32)
    flow -= _ZERO
    flow /= _STEP
    flow *= valid
    return np.ascontiguousarray(flow), valid


def write_kitti(path: Path, flow: FlowField, valid: NDArray[np.bool_] | None = None) -> None:
    """Write (2, H, W) flow in pixels, rounded to 1/64, atomically.

    Args:
        path: where to write.
        flow: components within [-512, 512), as far as they are valid.
        valid: (H, W), where there is flow; everywhere by default.

    Raises:
        InputError: a component is not a number or out of range.
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"flow is (2, H, W), not {flow.shape}")
    known = np.ones(flow.shape[1:], np.bool_) if valid is None else valid
    stored = np.round(np.where(known, flow, 0).astype(np.float64) * _STEP) + _ZERO
    if not ((stored >= 0) & (stored <= np.iinfo(np.uint16).max)).all():
        raise InputError(f"{path}: flow of 512 pixels or more, which KITTI's PNG cannot hold; write .flo")
    pixels = np.zeros((*flow.shape[1:], 3), np.uint16)
    pixels[..., :0:-1] = stored.transpose(1, 2, 0)
    pixels *= known[..., None]
    pixels[..., 0] = known
    _, content = cv2.imencode(".png", pixels)
    write_bytes(path, content.tobytes())


def _rebuilt(data: bytes, height: int, width: int) -> bytes:
    """Return the image with nothing but its pixels, after checking that all of them are there.

    OpenCV returns what it got from a truncated file without a word, so the file is checked first.
    """
    if zlib_ng.crc32(data[12:29]) != int.from_bytes(data[29:_HEADER_END], "big"):
        raise ValueError("checksum of the header")
    packed = compressed_pixels(data)
    row = 1 + _PIXEL_BYTES * width
    inflate = zlib_ng.decompressobj()
    content = inflate.decompress(packed, height * row + 1)
    if len(content) != height * row or not inflate.eof:
        raise ValueError(f"{len(content)} bytes of pixels instead of {height * row}")
    filters = np.frombuffer(content, np.uint8)[::row]
    if filters.max() > _PAETH:
        raise ValueError(f"unknown filter type {filters.max()}")
    chunks = (_chunk(b"IDAT", packed), _chunk(b"IEND", b""))
    return data[:_HEADER_END] + b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib_ng.crc32(kind + content))
