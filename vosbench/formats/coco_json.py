"""Annotation files of the COCO format: an index of what is in them, not a copy.

``instances_train2017.json`` has 860001 objects in 450 MB and would be several gigabytes as Python
objects. Here it is read once; of every object its place in the file and its image are kept, and the
object is read again when it is asked for.
"""

from __future__ import annotations

import json
import math
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, one_line, shown
from vosbench.files import read_bytes
from vosbench.formats.run_length import MOST_PIXELS, Mask, decode_segmentation

_MOST_BYTES = 2**32
_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class CocoImage:
    """Image of an annotation file.

    Attributes:
        id: number by which objects refer to it.
        file: its name.
        height, width: in pixels.
    """

    id: int
    file: str
    height: int
    width: int


@dataclass(frozen=True)
class CocoObject:
    """Object in an image.

    Attributes:
        category: name of its class.
        box: x, y, width, height in pixels, as the file has it.
        crowd: whether it is a region of many objects without separate masks.
        segmentation: its outline, as `decode_segmentation` takes it.
    """

    category: str
    box: tuple[float, float, float, float]
    crowd: bool
    segmentation: Any


class CocoFile:
    """An annotation file with ``images``, ``annotations`` and ``categories``.

    Args:
        path: e.g. ``annotations/instances_val2017.json``.

    Attributes:
        path: as given.
        images: all images, in the order of the file.
        categories: category id -> name.

    Raises:
        InputError: missing, no JSON, a part is missing, an image has no name or size, two images have
            one id, or an object belongs to no image. Outlines are checked when they are read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        starts, ends, owners = array("q"), array("q"), array("q")
        images: list[CocoImage] = []
        categories: list[Any] = []

        def keep_object(item: Any, start: int, end: int) -> None:
            owner = item.get("image_id") if isinstance(item, dict) else None
            if type(owner) is not int or abs(owner) >= 2**63:
                raise InputError(f"{path}: object {len(starts)} has no image_id; copy the file again")
            starts.append(start)
            ends.append(end)
            owners.append(owner)

        present = _walk(
            _text(path),
            path,
            {
                "images": lambda item, _start, _end: images.append(_image(item, path, len(images))),
                "annotations": keep_object,
                "categories": lambda item, _start, _end: categories.append(item),
            },
        )
        for key in ("images", "annotations", "categories"):
            if key not in present:
                raise InputError(f"{path}: no list '{key}', so it is no instance annotation file of COCO")
        self.images = tuple(images)
        self.categories = _categories(categories, path)
        self._starts, self._ends = np.array(starts, np.int64), np.array(ends, np.int64)
        self._order, self._first = self._grouped(np.array(owners, np.int64))
        self._checked = path.stat().st_size

    def __len__(self) -> int:
        return len(self.images)

    def count(self, index: int) -> int:
        """Return the number of objects, crowds included, of an image."""
        return int(self._first[index + 1] - self._first[index])

    def objects(self, index: int) -> list[CocoObject]:
        """Read the objects of an image, in the order of the file.

        Raises:
            InputError: a box or category that makes no sense, or the file has changed.
        """
        image = self.images[index]
        return [
            self._object(number, image)
            for number in self._order[self._first[index] : self._first[index + 1]].tolist()
        ]

    def mask(self, thing: CocoObject, index: int) -> Mask:
        """Return the (H, W) bool mask of an object of image `index`.

        Raises:
            InputError: its outline makes no sense.
        """
        image = self.images[index]
        try:
            return decode_segmentation(thing.segmentation, image.height, image.width)
        except ValueError as error:
            raise InputError(
                f"{self.path}: an object ({thing.category}) in image {image.file} has {one_line(error)}; "
                "copy it again"
            ) from None

    def _grouped(self, owners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the objects sorted by image (N,), and the positions where images begin (I + 1,)."""
        index_of = {image.id: index for index, image in enumerate(self.images)}
        if len(index_of) < len(self.images):
            raise InputError(f"{self.path}: two images have one id; copy the file again")
        indices = np.fromiter((index_of.get(owner, -1) for owner in owners.tolist()), np.int64, len(owners))
        lost = np.flatnonzero(indices < 0)
        if len(lost):
            raise InputError(
                f"{self.path}: object {lost[0]} is in image {owners[lost[0]]}, which the file does not list; "
                "copy the file again"
            )
        order = np.argsort(indices, kind="stable")
        return order, np.searchsorted(indices[order], np.arange(len(self.images) + 1))

    def _object(self, number: int, image: CocoImage) -> CocoObject:
        where = f"{self.path}: object {number} in image {image.file}"
        item = self._read(number)
        category, crowd = item.get("category_id"), item.get("iscrowd", 0)
        if type(category) is not int or category not in self.categories:
            raise InputError(f"{where} has category_id {shown(category)}, which 'categories' does not list")
        if type(crowd) is not int or crowd not in (0, 1):
            raise InputError(f"{where} has iscrowd {shown(crowd)}; 0 or 1 is expected")
        return CocoObject(
            self.categories[category], _box(item.get("bbox"), where), bool(crowd), item.get("segmentation")
        )

    def _read(self, number: int) -> dict[str, Any]:
        start, end = int(self._starts[number]), int(self._ends[number])
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                item = json.loads(file.read(end - start))
                changed = os.fstat(file.fileno()).st_size != self._checked
        except (OSError, ValueError):
            changed, item = True, None
        if changed or not isinstance(item, dict):
            raise InputError(f"{self.path}: has changed since it was opened; open the data set again")
        return item


def _text(path: Path) -> str:
    """Return the file with a character per byte, so that places in the text are places in the file."""
    # the bytes are let go here, before the text is read through
    return read_bytes(path, _MOST_BYTES).decode("latin-1")


Keep = Callable[[Any, int, int], None]
"""Takes an item of a list and where it starts and ends in the file."""


def _walk(text: str, path: Path, lists: dict[str, Keep]) -> set[str]:
    """Go through an object of lists, an item at a time; return the names of the `lists` that were there."""
    present: set[str] = set()
    try:
        at = _expect(text, _skip(text, 0), "{")
        while text[at : at + 1] != "}":
            key, at = _DECODER.raw_decode(text, at)
            if not isinstance(key, str):
                raise ValueError(f"no name before {at}")
            at = _expect(text, _skip(text, at), ":")
            if key in present:
                raise ValueError(f"two lists {key!r}")
            if key in lists and text[at : at + 1] == "[":
                present.add(key)
                at = _items(text, at, lists[key])
            else:
                _, at = _DECODER.raw_decode(text, at)
            at = _next(text, at, "}")
        if text[at + 1 :].strip(_BLANKS):
            raise ValueError("more after its end")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file of COCO ({one_line(error)}); copy it again") from None
    return present


def _items(text: str, at: int, keep: Keep) -> int:
    """Hand every item of the list that starts `at` to `keep`; return where the text goes on."""
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        item, end = _DECODER.raw_decode(text, at)
        keep(item, at, end)
        at = _next(text, end, "]")
    return at + 1


def _next(text: str, at: int, closing: str) -> int:
    """Return the place of the next item, or of `closing`."""
    at = _skip(text, at)
    if text[at : at + 1] == closing:
        return at
    at = _expect(text, at, ",")
    if text[at : at + 1] == closing:
        raise ValueError(f"a comma before '{closing}' at {at}")
    return at


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"no '{character}' at {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANKS:
        at += 1
    return at


def _image(item: Any, path: Path, number: int) -> CocoImage:
    if not isinstance(item, dict):
        raise InputError(f"{path}: image {number} is no object; copy the file again")
    id_, file, height, width = (item.get(key) for key in ("id", "file_name", "height", "width"))
    file = _unfolded(file) if isinstance(file, str) else ""
    if type(id_) is not int or not _is_file_name(file):
        raise InputError(f"{path}: image {number} has no id and file_name; copy the file again")
    if not (type(height) is type(width) is int) or min(height, width) < 1 or height * width > MOST_PIXELS:
        raise InputError(f"{path}: image {file} has no height and width; copy the file again")
    return CocoImage(id_, file, height, width)


def _is_file_name(text: str) -> bool:
    """Return whether a name stays in the folder of the images."""
    return text.isprintable() and not set(text) & set("/\\") and not text.startswith(".") and text != ""


def _categories(items: list[Any], path: Path) -> dict[int, str]:
    categories: dict[int, str] = {}
    for number, item in enumerate(items):
        id_, name = (item.get("id"), item.get("name")) if isinstance(item, dict) else (None, None)
        if type(id_) is not int or not isinstance(name, str) or id_ in categories:
            raise InputError(f"{path}: category {number} has no id of its own and name; copy the file again")
        categories[id_] = _unfolded(name)
    return categories


def _unfolded(text: str) -> str:
    """Undo that the file was read with a character per byte."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _box(value: Any, where: str) -> tuple[float, float, float, float]:
    """Return x, y, width and height."""
    if isinstance(value, list) and len(value) == 4 and all(type(side) in (int, float) for side in value):
        x, y, width, height = (float(side) if abs(side) < 1e9 else math.nan for side in value)
        if width >= 0 and height >= 0 and math.isfinite(x + y):
            return x, y, width, height
    raise InputError(f"{where} has no bbox of x, y, width and height; copy the file again")
