"""Portable float maps (PFM): one or three float32 channels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_bytes
from vosbench.video import FlowField

_HEADER = re.compile(rb"(P[Ff])\s+(\d{1,6})\s+(\d{1,6})\s+([-+0-9.eE]{1,32})\s")


def read_pfm(path: Path) -> NDArray[np.float32]:
    """Read a PFM file.

    Args:
        path: file; the sign of its scale gives the byte order, the magnitude is ignored.

    Returns:
        (H, W) float32 for a grey file, (H, W, 3) for a colour one, the top row first (the file
        stores the bottom row first).

    Raises:
        InputError: the file is missing, is no PFM, or is longer or shorter than its header states.
    """
    channels, values = _read(path, (1, 3))
    return values[..., 0] if channels == 1 else values


def read_flow_pfm(path: Path) -> FlowField:
    """Read optical flow as (2, H, W) float32: the first two channels of a colour PFM.

    The third channel is ignored; it may be left out, with ``PF`` in the header all the same.

    Raises:
        InputError: as `read_pfm`, or a grey file.
    """
    channels, values = _read(path, (3, 2))
    if channels == 1:
        raise InputError(f"{path}: one channel, but optical flow needs a colour PFM (u, v, 0)")
    return np.ascontiguousarray(values[..., :2].transpose(2, 0, 1))


def _read(path: Path, allowed: tuple[int, ...]) -> tuple[int, NDArray[np.float32]]:
    """Return the number of channels and (H, W, channels), top row first."""
    content = read_bytes(path)
    header = _HEADER.match(content)
    if header is None:
        raise InputError(f"{path}: not a PFM file (the header must be PF or Pf, width, height, scale)")
    width, height = int(header[2]), int(header[3])
    try:
        scale = float(header[4])
    except ValueError:
        raise InputError(f"{path}: the PFM scale '{header[4].decode()}' is not a number") from None
    if not width or not height or not scale:
        raise InputError(f"{path}: {width}x{height} with scale {scale} is no PFM")
    choices = (1,) if header[1] == b"Pf" else tuple(n for n in allowed if n > 1)
    needed, present = {4 * height * width * n: n for n in choices}, len(content) - header.end()
    if present not in needed:
        wanted = next(iter(needed))
        state = "truncated" if present < wanted else "too long"
        raise InputError(
            f"{path}: {state}, {present} bytes of pixels where {width}x{height} needs {wanted}; copy it again"
        )
    channels = needed[present]
    values = np.frombuffer(content, "<f4" if scale < 0 else ">f4", offset=header.end())
    rows = values.reshape(height, width, channels)[::-1]
    return channels, np.ascontiguousarray(rows, dtype=np.float32)


def write_pfm(path: Path, values: NDArray[np.float32]) -> None:
    """Write a PFM file in little-endian order, atomically.

    Args:
        path: file.
        values: (H, W) or (H, W, 3) float32, top row first.
    """
    colour = values.ndim == 3
    if values.ndim not in (2, 3) or (colour and values.shape[2] != 3):
        raise ValueError(f"a PFM holds (H, W) or (H, W, 3), not {values.shape}")
    header = f"{'PF' if colour else 'Pf'}\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
    write_bytes(path, header + values[::-1].astype("<f4").tobytes())
