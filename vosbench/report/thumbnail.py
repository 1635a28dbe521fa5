"""Small pictures for the page."""

from __future__ import annotations

import io

from PIL import Image

from vosbench.data.video import Frame

_JPEG_QUALITY = 80


def thumbnail(frame: Frame, width: int) -> bytes:
    """Return the frame as JPEG bytes, scaled to `width` pixels, its proportions kept.

    Args:
        frame: (H, W, 3) uint8 RGB.
        width: in pixels, at least 1.
    """
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    image = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
