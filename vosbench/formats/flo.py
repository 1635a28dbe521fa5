"""Middlebury ``.flo`` optical flow: tag, width, height, then (u, v) pairs row by row, little-endian."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_bytes
from vosbench.video import FlowField

_TAG = 202021.25
_HEADER = struct.Struct("<fii")


def read_flo(path: Path) -> FlowField:
    """Read a flow field as (2, H, W) float32 pixels, u to the right and v down.

    Raises:
        InputError: missing, no .flo file, or its length does not fit its size.
    """
    content = read_bytes(path)
    if len(content) < _HEADER.size:
        raise InputError(f"{path}: .flo file is truncated; copy or compute it again")
    tag, width, height = _HEADER.unpack_from(content)
    if tag != _TAG or width <= 0 or height <= 0:
        raise InputError(f"{path}: not a .flo file (it does not open with the tag {_TAG} and a size)")
    expected = _HEADER.size + 8 * width * height
    if len(content) != expected:
        raise InputError(
            f"{path}: {len(content)} bytes where a {width}x{height} flow has {expected}; "
            "copy or compute it again"
        )
    pairs = np.frombuffer(content, "<f4", offset=_HEADER.size).reshape(height, width, 2)
    return np.ascontiguousarray(pairs.transpose(2, 0, 1), dtype=np.float32)


def write_flo(path: Path, flow: FlowField) -> None:
    """Write a (2, H, W) flow field in pixels, atomically."""
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"flow is (2, H, W), not {flow.shape}")
    _, height, width = flow.shape
    pairs = flow.transpose(1, 2, 0).astype("<f4")
    write_bytes(path, _HEADER.pack(_TAG, width, height) + pairs.tobytes())
