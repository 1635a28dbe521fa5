"""A video as a folder of images in natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from vosbench.errors import InputError
from vosbench.formats.image import SUFFIXES, image_size, read_frame
from vosbench.video import LazySequence, Video


def open_folder(folder: Path) -> Video:
    """Open a folder of images as a video; ``frame2`` comes before ``frame10``.

    Files that are no images and hidden files are passed over. Sizes are compared on opening, from
    the headers; pixels are read when indexed.

    Raises:
        InputError: no such folder, no images in it, two images of one stem (their results would
            have one name), or images of different sizes.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of frames")
    paths = image_paths(folder)
    if not paths:
        inner = sorted(
            path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
        hint = f"; it has folders, give one of them, e.g. {folder / inner[0]}" if inner else ""
        raise InputError(f"{folder}: no images in this folder{hint}")
    check_stems(paths)
    _check_sizes(paths)
    return Video(
        name=folder.resolve().name,
        frames=LazySequence(lambda index: read_frame(paths[index]), len(paths)),
        frame_names=tuple(path.stem for path in paths),
    )


def image_paths(folder: Path) -> list[Path]:
    """Return the visible images in a folder in natural order."""
    return sorted((path for path in folder.iterdir() if _is_image(path)), key=_natural)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.stem)
    key = [(int(part), "") if part[0] in "0123456789" else (-1, part.lower()) for part in parts if part]
    return key, path.name


def check_stems(paths: Iterable[Path]) -> None:
    """Check that no two files have one stem, for their results would have one name.

    Raises:
        InputError: two have.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise InputError(f"{path}: has the same name as {seen[path.stem].name}; remove one of the two")
        seen[path.stem] = path


def _check_sizes(paths: list[Path]) -> None:
    first = image_size(paths[0])
    for path in paths[1:]:
        size = image_size(path)
        if size != first:
            raise InputError(
                f"{path}: {size[1]}x{size[0]} pixels, but {paths[0].name} has {first[1]}x{first[0]}; "
                "all frames of a video have one size"
            )
