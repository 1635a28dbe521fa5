"""Colour images: JPEG, PNG, PPM, BMP, TIFF, WebP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vosbench.errors import InputError
from vosbench.files import write_bytes
from vosbench.video import Frame

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp"})
"""Lower-case endings of files taken for frames."""

_JPEG_QUALITY = 95
_MOST_PIXELS = 2**26
"""Twice 8K video."""
# A picture of one colour: deflate packs 1032 bytes, or 8256 pixels of one bit, into one; JPEG fewer.
_MOST_PER_BYTE = 10_000
# Pillow tries every format it knows otherwise, whatever the suffix, and starts programs for some.
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP")


def read_frame(path: Path) -> Frame:
    """Read an image as (H, W, 3) uint8 RGB; grey is repeated, transparency dropped.

    Raises:
        InputError: missing, no image, truncated, or more than 8 bits per channel.
    """
    with opened_image(path) as image:
        if image.mode.startswith(("I", "F")) or _is_cut_to_eight_bits(image):
            raise InputError(f"{path}: more than 8 bits per channel; convert it to an 8-bit image")
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def read_over_black(path: Path) -> Frame:
    """Read a picture of a mask as `read_frame` does, with what is transparent as black.

    Raises:
        InputError: as `read_frame`, or it is black all over and only its transparency differs.
    """
    frame = read_frame(path)
    with opened_image(path) as image:
        if not image.has_transparency_data:
            return frame
        pixels = np.array(image.convert("RGBA"))
    colours = over_black(pixels)
    if not colours.any() and len(np.unique(pixels[..., 3])) > 1:
        raise InputError(f"{path}: mask in its transparency only; save Image.open(file).getchannel('A')")
    return colours


def over_black(pixels: NDArray[np.uint8]) -> Frame:
    """Return the (H, W, 3) uint8 colours of (H, W, 4) uint8 RGBA before black."""
    lit = pixels[..., :3].astype(np.uint16) * pixels[..., 3:] + 127
    return (lit // 255).astype(np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header alone.

    Raises:
        InputError: missing or no image.
    """
    with opened_image(path, pixels=False) as image:
        return image.height, image.width


def write_frame(path: Path, frame: Frame) -> None:
    """Write (H, W, 3) uint8 RGB atomically, in the format its suffix names; JPEG quality 95.

    Raises:
        InputError: no image format has this suffix, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: cannot write images as '{path.suffix}'; use .jpg or .png")
    # Pillow itself does not notice that a disk is full
    content = io.BytesIO()
    Image.fromarray(frame).save(content, Image.registered_extensions()[suffix], quality=_JPEG_QUALITY)
    write_bytes(path, content.getvalue())


def _most_pixels(path: Path, kind: str | None) -> int:
    """Return the number of pixels that a file may claim: no more than its bytes can hold, as far as known."""
    if kind == "WEBP":
        return _MOST_PIXELS
    return min(_MOST_PIXELS, _MOST_PER_BYTE * path.stat().st_size)


def _is_covered(image: Image.Image) -> bool:
    """Return whether the strips of a TIFF, or other parts, reach the edges of the image."""
    ends = [tile[1] for tile in getattr(image, "tile", ()) if tile[1] is not None]
    if not ends:
        return True
    right, bottom = max(end[2] for end in ends), max(end[3] for end in ends)
    return bool(right >= image.width and bottom >= image.height)


def _is_cut_to_eight_bits(image: Image.Image) -> bool:
    """Return whether Pillow silently drops the lower half of 16-bit colours."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


@contextmanager
def opened_image(path: Path, *, pixels: bool = True) -> Iterator[Image.Image]:
    """Open an image of a usual format with Pillow; also what goes wrong in the block is the file's fault.

    Args:
        path: the file.
        pixels: whether they are needed; the header takes less reading.

    Raises:
        InputError: missing, no image, unreasonably large, or damaged.
    """
    try:
        # From memory: asking a file for the length that a damaged chunk claims takes that much of it.
        source = io.BytesIO(path.read_bytes()) if pixels else path
        with Image.open(source, formats=_FORMATS) as image:
            if image.width * image.height > _most_pixels(path, image.format):
                raise InputError(f"{path}: {image.width}x{image.height} pixels; is the file damaged?")
            if pixels and not _is_covered(image):
                raise ValueError("parts of it are missing")
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # damaged files make Pillow's decoders fail in every way there is
        reason = str(error).replace(str(path), "it").replace("\n", " ")
        raise InputError(f"{path}: not a readable image ({reason}); copy it again") from None
