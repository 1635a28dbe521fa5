"""YouTube-Objects with the masks of Jain and Grauman."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from vosbench.data.datasets.base import Dataset
from vosbench.data.datasets.folders import by_number, find_dataset, images, last_number, subfolders
from vosbench.data.datasets.inventory import Inventory
from vosbench.errors import InputError, check_name
from vosbench.formats.image import image_size, read_frame
from vosbench.formats.mask import read_mask
from vosbench.video import Frame, IdMap, LazyMapping, LazySequence, Video

NAME = "youtube_objects"

_MASKS = ("youtube_masks", "GroundTruth")
_SIMPLE = ("JPEGImages", "Annotations")
_TOLERANCE = 0.03
"""Difference of the aspect ratios of frame and mask that rounding of small pictures explains."""


class YouTubeObjects(Dataset):
    """Videos of one object class, a mask about every tenth frame: ids 0 and 1.

    Layout of the released masks (Jain and Grauman, ECCV 2014), pieced together from public code that
    reads them, because the archive itself could not be looked into:
    ``youtube_masks/CLASS/data/0001/shots/001/labels/00001.jpg`` (``GroundTruth/CLASS/...`` is taken
    too). The number of a mask is that of its frame, ``frame0001.jpg``, which is looked for in
    ``v1/CLASS/data/0001/shots/001`` (the first release of YouTube-Objects, Prest et al., CVPR 2012),
    ``CLASS/data/0001/shots/001`` and the folder ``images`` beside ``labels``. The sequence is called
    ``CLASS_0001``, or ``CLASS_0001_001`` when several shots of the video have masks, so that the
    class is what comes before the first underscore.

    The simple layout ``JPEGImages/CLASS_0001/*.jpg`` and ``Annotations/CLASS_0001/*.png`` is read
    where the other is not there; numbers pair the files as well.

    Masks are cut at half intensity (they are JPEG). Where frames are larger or smaller than the masks
    but of the same shape, they are scaled to the masks, so that ground truth is never resampled.

    The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "youtube_objects"``.
        split: ``"all"``.

    Raises:
        InputError: no such folder or split, or a frame of a mask is missing.
    """

    def __init__(self, root: Path, split: str = "all") -> None:
        check_name(f"split of {NAME}", split, ["all"])
        folder = find_dataset(root, NAME, (*_MASKS, _SIMPLE[1]))
        official = next((folder / name for name in _MASKS if (folder / name).is_dir()), None)
        shots = list(_simple(folder) if official is None else _official(folder, official))
        if not shots:
            wanted = "CLASS_0001/*.png" if official is None else "CLASS/data/0001/shots/001/labels/00001.jpg"
            where = official or folder / _SIMPLE[1]
            raise InputError(f"{where}: no masks such as {wanted}; unpack the masks of YouTube-Objects there")
        super().__init__(NAME, root, split, [shot.video() for shot in shots])


@dataclass(frozen=True)
class _Shot:
    """Frames and masks of one sequence.

    Attributes:
        name: of the sequence.
        frames: in order.
        masks: frame index -> mask.
    """

    name: str
    frames: tuple[Path, ...]
    masks: dict[int, Path]

    def video(self) -> Video:
        return Video(
            name=self.name,
            frames=LazySequence(self._frame, len(self.frames)),
            frame_names=tuple(path.stem for path in self.frames),
            annotations=LazyMapping(self._annotation, self.masks),
        )

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Height and width of the masks."""
        return image_size(next(iter(self.masks.values())))

    def _annotation(self, index: int) -> IdMap:
        path = self.masks[index]
        inside = read_mask(path)
        if inside.shape != self._size:
            first = next(iter(self.masks.values()))
            raise InputError(
                f"{path}: {inside.shape[1]}x{inside.shape[0]} pixels, but {first.name} has "
                f"{self._size[1]}x{self._size[0]}; all masks of a sequence have one size"
            )
        return inside.astype(np.uint8)

    def _frame(self, index: int) -> Frame:
        picture = read_frame(self.frames[index])
        height, width = self._size
        if picture.shape[:2] == (height, width):
            return picture
        ratio = picture.shape[1] * height / (picture.shape[0] * width)
        if abs(ratio - 1) > _TOLERANCE:
            mask = next(iter(self.masks.values()))
            raise InputError(
                f"{self.frames[index]}: {picture.shape[1]}x{picture.shape[0]} pixels, another shape than "
                f"its masks, {width}x{height} in {mask}; take both from the same video"
            )
        way = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(picture, (width, height), interpolation=way), np.uint8)


def _official(folder: Path, masks: Path) -> Iterator[_Shot]:
    for class_ in subfolders(masks):
        for video in subfolders(masks / class_ / "data"):
            shots = masks / class_ / "data" / video / "shots"
            labelled = [shot for shot in subfolders(shots) if (shots / shot / "labels").is_dir()]
            for shot in labelled:
                inner = Path(class_) / "data" / video / "shots" / shot
                candidates = (folder / "v1" / inner, folder / inner, shots / shot / "images")
                name = f"{class_}_{video}" + (f"_{shot}" if len(labelled) > 1 else "")
                yield _shot(name, candidates, shots / shot / "labels")


def _simple(folder: Path) -> Iterator[_Shot]:
    frames, masks = (folder / name for name in _SIMPLE)
    for name in subfolders(masks):
        yield _shot(name, (frames / name,), masks / name)


def _shot(name: str, candidates: tuple[Path, ...], labels: Path) -> _Shot:
    masks = by_number(images(labels))
    if not masks:
        raise InputError(f"{labels}: no masks, such as 00001.jpg; unpack the masks of YouTube-Objects again")
    frames = next(filter(None, map(_frames, candidates)), dict[int, Path]())
    if not frames:
        folders = ", ".join(map(str, candidates))
        raise InputError(
            f"{NAME}: no frames of sequence {name}, looked for in {folders}; download the frames of "
            "YouTube-Objects and unpack them there"
        )
    index_of = {number: index for index, number in enumerate(frames)}
    for number, mask in masks.items():
        if number not in index_of:
            parent = next(iter(frames.values())).parent
            raise InputError(f"{mask}: there is no frame {number} in {parent}; unpack the frames again")
    return _Shot(name, tuple(frames.values()), {index_of[number]: mask for number, mask in masks.items()})


def _frames(candidate: Path) -> dict[int, Path]:
    """Number -> frame, in order; pictures called frame0001 hide others."""
    paths = images(candidate)
    return by_number([path for path in paths if path.stem.startswith("frame")] or paths)


def expected_files(root: Path, split: str) -> Inventory:
    """List the masks and all frames of their shots."""
    check_name(f"split of {NAME}", split, ["all"])
    folder = find_dataset(root, NAME, (*_MASKS, _SIMPLE[1]))
    masks = next((folder / name for name in _MASKS if (folder / name).is_dir()), None)
    inventory = Inventory(masks or folder / "Annotations")
    if masks is None:
        for name in subfolders(folder / "Annotations"):
            _expect_shot(inventory, name, [folder / "JPEGImages" / name], folder / "Annotations" / name)
        return inventory
    for labels in sorted(masks.glob("*/data/*/shots/*/labels")):
        inner = labels.parent.relative_to(masks)
        candidates = [folder / "v1" / inner, folder / inner, labels.parent / "images"]
        _expect_shot(inventory, f"{inner.parts[0]}_{inner.parts[2]}_{inner.parts[4]}", candidates, labels)
    return inventory


def _expect_shot(inventory: Inventory, name: str, candidates: list[Path], labels: Path) -> None:
    inventory.sequences += 1
    masks = inventory.list_images(labels)
    listed = (inventory.list_images(candidate) for candidate in candidates)
    frames = next(filter(None, listed), list[Path]())
    frames = [path for path in frames if path.stem.startswith("frame")] or frames
    inventory.add(f"{name} masks", *masks)
    inventory.add(f"{name} frames", *frames)
    inventory.frames += len(frames)
    if not masks:
        inventory.add_damage(labels, "missing: a shot without masks")
    if not frames:
        inventory.add_damage(candidates[0], "missing: the frames of the masks")
        return
    numbers = {last_number(path.stem) for path in frames}
    for mask in masks:
        number = last_number(mask.stem)
        if number not in numbers:
            inventory.add_damage(
                frames[0].parent / f"frame{number or 0:04d}{frames[0].suffix}",
                f"missing: frame of {mask.name}",
            )
