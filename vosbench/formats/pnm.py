"""Binary portable maps of 8 bits: PGM (P5, grey) and PPM (P6, colour), values exactly as stored."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_bytes

# Blanks and comments may stand between the fields; one blank ends the header.
_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"(P[56])" + _GAP + rb"(\d{1,6})" + _GAP + rb"(\d{1,6})" + _GAP + rb"(\d{1,5})\s")
_HEADER_BYTES = 4096


def read_pnm(path: Path) -> NDArray[np.uint8]:
    """Read a PGM as (H, W) or a PPM as (H, W, 3) RGB uint8; a maximum below 255 does not stretch values.

    Raises:
        InputError: missing, no binary PGM or PPM, 16 bits, or fewer pixels than its size needs.
    """
    return decode_pnm(read_bytes(path), path)


def decode_pnm(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Return the values of a PGM or PPM held in memory, as `read_pnm` does; `path` names it in errors."""
    header = _HEADER.match(content[:_HEADER_BYTES])
    if header is None:
        raise InputError(f"{path}: not a binary PGM or PPM file (P5 or P6, width, height, maximum)")
    width, height, maximum = (int(header[group]) for group in (2, 3, 4))
    if not 1 <= maximum <= 255 or width == 0 or height == 0:
        raise InputError(f"{path}: {width}x{height} with maximum {maximum}; pixels of 8 bits are expected")
    shape = (height, width, 3) if header[1] == b"P6" else (height, width)
    needed = height * width * (3 if header[1] == b"P6" else 1)
    present = len(content) - header.end()
    if present < needed:
        raise InputError(
            f"{path}: truncated, {present} bytes of pixels where {width}x{height} needs {needed}"
        )
    return np.frombuffer(content, np.uint8, needed, header.end()).reshape(shape).copy()


def write_pnm(path: Path, values: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as PGM or (H, W, 3) uint8 as PPM, atomically."""
    colour = values.ndim == 3
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or (colour and values.shape[2] != 3):
        raise ValueError(f"a portable map holds (H, W) or (H, W, 3) uint8, not {values.shape} {values.dtype}")
    header = f"{'P6' if colour else 'P5'}\n{values.shape[1]} {values.shape[0]}\n255\n".encode()
    write_bytes(path, header + values.tobytes())
