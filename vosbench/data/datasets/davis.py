"""DAVIS 2016 in its official layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import (
    check_resolution,
    check_subfolders,
    masked_video,
    no_list,
    subfolders,
)
from vosbench.data.datasets.inventory import Inventory, read_list, stems
from vosbench.errors import InputError, is_path_name, shown
from vosbench.formats.file_checks import mask_size
from vosbench.formats.image import read_frame
from vosbench.formats.png import read_header, read_ids
from vosbench.video import IdMap, Video

NAME = "davis16"


class _FrameAndMask(NamedTuple):
    frame: Path
    mask: Path


class Davis2016(Dataset):
    """Frames with one foreground mask each: ids 0 and 1, any non-zero value of the file is 1.

    The official layout is ``JPEGImages/480p/SEQ/00000.jpg``, ``Annotations/480p/SEQ/00000.png`` and
    lists ``ImageSets/480p/SPLIT.txt`` with a frame and its mask per line (Perazzi et al., CVPR 2016). Where
    these are not there, lists ``ImageSets/2016/SPLIT.txt`` with a sequence per line are read, which
    DAVIS 2017 has.
    The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "davis16"``.
        split: ``"val"``, ``"train"`` or ``"trainval"``, as listed; ``"all"`` takes every folder.
        resolution: ``"480p"`` or ``"1080p"``.

    Raises:
        InputError: no such folder, split or resolution, or a listed file is missing.
    """

    def __init__(self, root: Path, split: str = "val", *, resolution: str = "480p") -> None:
        folder = dataset_folder(root, NAME, "JPEGImages")
        check_resolution(folder / "JPEGImages", resolution)
        pairs = (
            _folder_pairs(folder, resolution, subfolders(folder / "JPEGImages" / resolution))
            if split == "all"
            else _listed_pairs(folder, resolution, split)
        )
        sequences: dict[str, list[_FrameAndMask]] = {}
        for pair in pairs:
            sequences.setdefault(pair.frame.parent.name, []).append(pair)
        if not sequences:
            raise InputError(f"{folder}: split '{split}' has no sequences")
        _check_files(sequences)
        super().__init__(NAME, root, split, [_video(name, pairs) for name, pairs in sequences.items()])


def _listed_pairs(folder: Path, resolution: str, split: str) -> list[_FrameAndMask]:
    lists = folder / "ImageSets" / resolution
    path = lists / f"{split}.txt"
    names = _names_of_2016(folder, resolution, split)
    if names is not None:
        return list(_folder_pairs(folder, resolution, names))
    if not lists.is_dir():
        raise InputError(f"{lists}: no lists of splits; only split 'all' (every folder) can be opened")
    if not path.is_file():
        raise no_list(NAME, path, {"all", *(item.stem for item in lists.glob("*.txt"))})
    pairs = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if len(fields) == 2 and all(is_path_name(field.lstrip("/")) for field in fields):
            pairs.append(_FrameAndMask(*(folder / field.lstrip("/") for field in fields)))
        elif fields:
            raise InputError(f"{path}, line {number}: expected a frame and its mask, found {shown(line)}")
    return pairs


def _names_of_2016(folder: Path, resolution: str, split: str) -> list[str] | None:
    """Return the sequences of a list as DAVIS 2017 has them of the splits of 2016; None without one."""
    path = folder / "ImageSets" / "2016" / f"{split}.txt"
    if (folder / "ImageSets" / resolution).is_dir() or not path.is_file():
        return None
    names = path.read_text(encoding="utf-8", errors="replace").split()
    check_subfolders(folder / "JPEGImages" / resolution, names, str(path), "copy the data set again")
    return names


def _folder_pairs(folder: Path, resolution: str, names: Iterable[str]) -> Iterable[_FrameAndMask]:
    frames, masks = folder / "JPEGImages" / resolution, folder / "Annotations" / resolution
    for sequence in names:
        stems = {path.stem for path in (frames / sequence).glob("*.jpg")}
        stems |= {path.stem for path in (masks / sequence).glob("*.png")}
        if not stems:
            raise InputError(
                f"{frames / sequence}: sequence without frames; copy it again or remove the folder"
            )
        for stem in sorted(stems):
            yield _FrameAndMask(frames / sequence / f"{stem}.jpg", masks / sequence / f"{stem}.png")


def _check_files(sequences: dict[str, list[_FrameAndMask]]) -> None:
    @cache
    def names(folder: Path) -> frozenset[str]:
        # One listing per folder: thousands of single look-ups are slow on network disks.
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    for sequence, pairs in sequences.items():
        for pair in pairs:
            for kind, path in (("frame", pair.frame), ("annotation of frame", pair.mask)):
                if path.name not in names(path.parent):
                    raise InputError(
                        f"{NAME}: sequence {sequence} lacks the {kind} {path.stem} ({path}); "
                        "copy the data set again or correct its list"
                    )


def _foreground(path: Path) -> IdMap:
    """Read a mask (H, W); few official ones have channels, such as that of bear, 00077: grey with alpha."""
    if read_header(path).has_levels:
        levels = read_ids(path, by_object=False)
    else:
        levels = read_frame(path).max(axis=2)
    return np.asarray(levels != 0, np.uint8)


def _video(name: str, pairs: list[_FrameAndMask]) -> Video:
    masks = {index: pair.mask for index, pair in enumerate(pairs)}
    return masked_video(name, [pair.frame for pair in pairs], masks, read=_foreground)


def expected_files(root: Path, split: str) -> Inventory:
    """List the files of a split at 480p."""
    folder = dataset_folder(root, NAME, "JPEGImages")
    frames, masks = folder / "JPEGImages/480p", folder / "Annotations/480p"
    path = folder / "ImageSets/480p" / f"{split}.txt"
    listed_names = _names_of_2016(folder, "480p", split)
    if split == "all" or listed_names is not None:
        inventory = Inventory(frames)
        pairs = [
            (frames / name / f"{stem}.jpg", masks / name / f"{stem}.png")
            for name in listed_names or sorted({*subfolders(frames), *subfolders(masks)})
            for stem in sorted(stems(frames / name, ".jpg") | stems(masks / name, ".png"))
        ]
    else:
        inventory = Inventory(path)
        pairs = list(_expected_pairs(folder, path, inventory))
    sequences: dict[str, list[str]] = {}
    for frame, mask in pairs:
        inventory.add(frame.parent.name, frame)
        inventory.add(frame.parent.name, mask, read=mask_size)
        sequences.setdefault(frame.parent.name, []).append(frame.stem)
    for name, listed in sequences.items():
        inventory.add_gaps(frames / name, listed, ".jpg", first=0)
    inventory.sequences, inventory.frames = len(sequences), len(pairs)
    return inventory


def _expected_pairs(folder: Path, path: Path, inventory: Inventory) -> Iterator[tuple[Path, Path]]:
    for number, line in enumerate(read_list(path, NAME).splitlines(), start=1):
        fields = line.split()
        if len(fields) == 2:
            yield folder / fields[0].lstrip("/"), folder / fields[1].lstrip("/")
        elif fields:
            inventory.add_damage(path, f"line {number} is no frame and its mask: '{line.strip()[:60]}'")
