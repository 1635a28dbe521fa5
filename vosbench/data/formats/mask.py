"""Masks of one object as pictures: grey, coloured or JPEG-compressed, with soft edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.data.formats.image import read_frame

THRESHOLD = 127
"""Levels above this are the object: half of 255, as MATLAB's ``im2bw`` cuts."""


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a picture as (H, W) bool, True on the object.

    The level of a pixel is its largest channel, so that a mask painted in any full colour counts.
    A file without a level above 1 is taken for {0, 1} instead of {0, 255}.

    Raises:
        InputError: missing, no image, or truncated.
    """
    levels: NDArray[np.uint8] = read_frame(path).max(axis=2)
    cut = 0 if levels.max(initial=0) <= 1 else THRESHOLD
    return levels > cut
