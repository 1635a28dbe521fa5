"""Optical flow as 8-bit pictures: angle and magnitude can be read back, colour wheels cannot.

The format is that of "Towards Segmenting Anything That Moves" (Dave et al.) and its released code:
``FRAME.png`` holds R = 255 (atan2(v, u) + pi) / 2 pi and G = 255 (m - min) / (max - min), both
truncated, and ``FRAME_magnitude_minmax.txt`` beside it holds "min max" of the magnitude m in pixels.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.formats.image import read_frame
from vosbench.video import FlowField

RANGE_SUFFIX = "_magnitude_minmax.txt"
_LEVELS = 255
_MOST_BYTES = 1 << 12
_MOST_PIXELS = 1e5


def read_angle_magnitude(path: Path) -> FlowField:
    """Read an angle/magnitude picture as (2, H, W) float32 pixels.

    Lossy: the angle is right to 360/255/2 = 0.7 degrees, the magnitude to (max - min)/255 pixels
    below. Level 0 of the magnitude is exactly its minimum, so still regions stay still.

    Raises:
        InputError: missing or damaged, its range is, or the picture is a colour wheel.
    """
    lowest, highest = _read_range(path)
    codes = read_frame(path)
    if codes[..., 2].any():
        raise InputError(f"{path}: its blue channel is not 0, so it is no picture of angle and magnitude")
    # the middle of the range of angles that were truncated to this level
    turn = np.minimum((codes[..., 0] + 0.5) / _LEVELS, 1.0)
    angle = turn * (2 * math.pi) - math.pi
    magnitude = lowest + codes[..., 1] * ((highest - lowest) / _LEVELS)
    return np.stack([magnitude * np.cos(angle), magnitude * np.sin(angle)]).astype(np.float32)


def range_path(path: Path) -> Path:
    """Return the text file with the range of magnitudes that belongs to a picture."""
    return path.with_name(path.stem + RANGE_SUFFIX)


def _read_range(path: Path) -> tuple[float, float]:
    beside = range_path(path)
    if not beside.is_file():
        raise InputError(
            f"{path}: flow as an 8-bit picture cannot be read back: a colour wheel does not show how "
            f"fast things move, and an angle/magnitude picture needs {beside.name} beside it; "
            "give .flo, .pfm or 16-bit PNG of KITTI"
        )
    with beside.open("rb") as file:
        words = file.read(_MOST_BYTES).decode("latin-1").split()
    try:
        lowest, highest = (float(word) for word in words)
    except ValueError:
        raise InputError(f"{beside}: expected two numbers, the least and largest magnitude") from None
    if not 0 <= lowest <= highest <= _MOST_PIXELS:
        raise InputError(f"{beside}: {lowest} to {highest} pixels is no range of magnitudes")
    return lowest, highest
