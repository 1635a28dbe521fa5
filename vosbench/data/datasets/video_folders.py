"""Data of one's own: a folder of frames per video, and a folder of masks beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset
from vosbench.data.datasets.folders import check_size, check_subfolders, masks_of, subfolders
from vosbench.data.own_data import FRAMES, MASKS, own_reference
from vosbench.errors import InputError, unknown_name
from vosbench.formats.frame_folder import image_paths, open_folder
from vosbench.formats.png import read_header, read_ids
from vosbench.video import VOID, IdMap, LazyMapping, Video


class VideoFolders(Dataset):
    """Videos in folders of frames, with masks for all frames or some: ids as in the files, 255 is void.

    Grey masks of 0 and 255 alone are black and white: one object, no void. The names of all files are checked
    on opening; pixels are read when indexed.

    Args:
        root: not read: the folders below have paths of their own.
        split: ``"all"``, or a list ``ImageSets/SPLIT.txt`` with a sequence per line.
        name: label of the data set.
        frames: folder with ``JPEGImages/SEQ/FRAME.jpg`` and ``Annotations/SEQ/FRAME.png``; with `masks` the
            folder of ``SEQ/FRAME.jpg``, or images of other kinds.
        masks: folder of ``SEQ/FRAME.png``.

    Raises:
        InputError: folders, frames or masks that cannot be used, or no such split.
    """

    def __init__(
        self, root: Path, split: str = "all", *, name: str, frames: Path, masks: Path | None = None
    ) -> None:
        reference, folder = own_reference(name, frames, masks), None
        if masks is None and (frames / FRAMES).is_dir():
            folder, frames = frames, frames / FRAMES
            masks = folder / MASKS if (folder / MASKS).is_dir() else None
        _refuse_other_layouts(folder or frames, frames)
        names = _sequences(folder, frames, split, name)
        videos = [folder_video(frames / sequence, masks) for sequence in names]
        super().__init__(name, root, split, videos, reference)


def _refuse_other_layouts(folder: Path, frames: Path) -> None:
    """Refuse miniatures and DAVIS, which have names of their own in the catalogue."""
    if (folder / "MINI.json").is_file():
        raise InputError(
            f"{folder}: holds a miniature; give its data set by name, with --data-root {folder.parent}"
        )
    if (frames / "480p").is_dir():
        raise InputError(
            f"{frames}: has the folder 480p, as DAVIS has; write --dataset davis16 (or davis17) "
            f"--data-root {folder.parent}, or give {frames / '480p'}:MASKS"
        )


def _sequences(folder: Path | None, frames: Path, split: str, name: str) -> Sequence[str]:
    present = subfolders(frames)
    if not present:
        raise InputError(f"{frames}: holds no folders of frames, one per video")
    if split == "all":
        return present
    lists = None if folder is None else folder / "ImageSets"
    path = None if lists is None else lists / f"{split}.txt"
    if path is None or not path.is_file():
        known = [] if lists is None or not lists.is_dir() else [item.stem for item in lists.glob("*.txt")]
        raise unknown_name(f"split of {name}", split, ["all", *known])
    names = path.read_text(encoding="utf-8", errors="replace").split()
    check_subfolders(frames, names, str(path), "correct the list")
    return names


def folder_video(frames: Path, masks: Path | None) -> Video:
    """Open a folder of frames with the masks of the same names in ``masks / frames.name``.

    Args:
        frames: folder of images.
        masks: holds ``VIDEO/FRAME.png``; None: there is no ground truth.

    Raises:
        InputError: frames that cannot be read, masks without frames, or none at all.
    """
    # the name as it is written: the folder may be a link
    video = replace(open_folder(frames), name=frames.name)
    if masks is None:
        return video
    pictures = image_paths(frames)
    paths = masks_of(pictures, masks / frames.name, "remove the mask, or add the frame")
    if not paths:
        raise InputError(f"{masks / frames.name}: no mask FRAME.png for any frame of {frames.name}")

    def read(index: int) -> IdMap:
        return check_size(paths[index], _read_mask(paths[index]), pictures[index])

    return replace(video, annotations=LazyMapping(read, paths))


def _read_mask(path: Path) -> IdMap:
    """Read (H, W) uint8 ids; a grey mask of 0 and 255 alone is one object."""
    ids = read_ids(path)
    if read_header(path).is_indexed or not np.isin(ids, (0, VOID)).all():
        return ids
    return np.asarray(ids != 0, np.uint8)
