"""Portable float maps (PFM): one or three float32 channels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.files import atomic_path

_HEADER = re.compile(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+0-9.eE]+)\s")


def read_pfm(path: Path) -> NDArray[np.float32]:
    """Read a PFM file.

    Args:
        path: file; the sign of its scale gives the byte order, the magnitude is ignored.

    Returns:
        (H, W) float32 for a grey file, (H, W, 3) for a colour one, the top row first (the file
        stores the bottom row first).

    Raises:
        InputError: the file is missing, is no PFM, or is truncated.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    content = path.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise InputError(f"{path}: not a PFM file (the header must be PF or Pf, width, height, scale)")
    width, height = int(header[2]), int(header[3])
    try:
        order = "<" if float(header[4]) < 0 else ">"
    except ValueError:
        raise InputError(f"{path}: the PFM scale '{header[4].decode()}' is not a number") from None
    shape = (height, width, 3) if header[1] == b"PF" else (height, width)
    needed, present = 4 * int(np.prod(shape)), len(content) - header.end()
    if present < needed:
        raise InputError(
            f"{path}: truncated, {present} bytes of pixels where {width}x{height} needs {needed}"
        )
    values = np.frombuffer(content, f"{order}f4", count=needed // 4, offset=header.end())
    return np.ascontiguousarray(values.reshape(shape)[::-1], dtype=np.float32)


def write_pfm(path: Path, values: NDArray[np.float32], *, big_endian: bool = False) -> None:
    """Write a PFM file atomically.

    Args:
        path: file.
        values: (H, W) or (H, W, 3) float32, top row first.
        big_endian: byte order of the pixels.
    """
    colour = values.ndim == 3
    if values.ndim not in (2, 3) or (colour and values.shape[2] != 3):
        raise ValueError(f"a PFM holds (H, W) or (H, W, 3), not {values.shape}")
    kind, scale, order = "PF" if colour else "Pf", "1.0" if big_endian else "-1.0", ">" if big_endian else "<"
    header = f"{kind}\n{values.shape[1]} {values.shape[0]}\n{scale}\n".encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(header + values[::-1].astype(f"{order}f4").tobytes())
