"""Masks of one object as pictures: grey, coloured or JPEG-compressed, with soft edges."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.formats.image import read_over_black
from vosbench.formats.png_palette import HIGHEST_ID, davis_palette, ids_of_colours

_BRIGHTEST_OF_DAVIS = int(davis_palette()[1 : HIGHEST_ID + 1].max())

THRESHOLD = 127
"""Levels above this are the object: half of 255, as MATLAB's ``im2bw`` cuts."""


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a picture as (H, W) bool, True on the object.

    The level of a pixel is its largest channel, so that a mask painted in any full colour counts; what is
    transparent is black. A file without a level above 1 is taken for {0, 1} instead of {0, 255}. In a file
    with no other colours than those of the ids of DAVIS, some of them dark, all but black are the object.

    Raises:
        InputError: missing, no image, truncated, or black all over and different in transparency only.
    """
    picture = read_over_black(path)
    levels: NDArray[np.uint8] = picture.max(axis=2)
    brightest = int(levels.max(initial=0))
    if brightest <= 1:
        return levels > 0
    if brightest <= _BRIGHTEST_OF_DAVIS:
        with suppress(ValueError):
            return np.asarray(ids_of_colours(picture) != 0)
    return levels > THRESHOLD
