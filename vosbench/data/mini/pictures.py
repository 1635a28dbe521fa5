"""Pictures of a miniature, written fast and with settings that determine their bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# Light PNG compression: rendering a training set is bound by it otherwise.
_OPTIONS = {".png": [cv2.IMWRITE_PNG_COMPRESSION, 1], ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
_OPTIONS[".jpeg"] = _OPTIONS[".jpg"]


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB (H, W, 3) or grey (H, W) picture as .png, .jpg or .jpeg in any case.

    Raises:
        OSError: the file could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = picture[..., ::-1] if picture.ndim == 3 else picture
    suffix = path.suffix.lower()
    _, content = cv2.imencode(suffix, stored, _OPTIONS[suffix])
    path.write_bytes(content.tobytes())
