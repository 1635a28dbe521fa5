"""Small pictures for the page."""

from __future__ import annotations

import io

from PIL import Image

from vosbench.video import Frame

_QUALITY = 40
"""Of WebP: masks are drawn over these pictures, they need not be sharp."""


def thumbnail_size(frame_size: tuple[int, int], width: int) -> tuple[int, int]:
    """Return (width, height) of a thumbnail: at most `width` pixels wide, never larger than the frame.

    Args:
        frame_size: (height, width) of the frame.
        width: in pixels, at least 1.
    """
    height, full = frame_size
    shown = min(width, full)
    return shown, max(1, round(height * shown / full))


def thumbnail(frame: Frame, size: tuple[int, int]) -> bytes:
    """Return the frame as WebP bytes.

    Args:
        frame: (H, W, 3) uint8 RGB.
        size: (width, height) in pixels.
    """
    image = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=_QUALITY)
    return buffer.getvalue()
