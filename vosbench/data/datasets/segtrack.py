"""SegTrack-v2 in its official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import check_size, frame_index, images, last_number, subfolders
from vosbench.data.datasets.inventory import Inventory
from vosbench.errors import InputError, check_name
from vosbench.formats.image import image_size, read_frame
from vosbench.formats.mask import read_mask
from vosbench.video import VOID, IdMap, LazyMapping, LazySequence, Video

NAME = "segtrack"


class SegTrackV2(Dataset):
    """Videos with a mask in every frame: object ids 1..K in the order of the object folders.

    The official layout is ``JPEGImages/SEQ/*.png`` (or bmp, jpg), masks ``GroundTruth/SEQ/*.png`` of a
    single object or ``GroundTruth/SEQ/1/*.png``, ``GroundTruth/SEQ/2/*.png``, ... of several, a list
    ``ImageSets/all.txt`` of the sequences (an asterisk may precede each name) and
    ``ImageSets/SEQ.txt`` of the frames (after a first line with the folder); lists are optional
    (Li et al., ICCV 2013). A mask has the name of its frame. Where objects overlap, the later folder
    wins; masks are cut at half intensity, because some copies have soft edges.

    The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "segtrack"``.
        split: ``"all"``.

    Raises:
        InputError: no such folder or split, or a file is missing.
    """

    def __init__(self, root: Path, split: str = "all") -> None:
        check_name(f"split of {NAME}", split, ["all"])
        folder = dataset_folder(root, NAME, "JPEGImages")
        if not (folder / "GroundTruth").is_dir():
            raise InputError(f"{folder}: no folder 'GroundTruth' with the masks; unpack SegTrack-v2 again")
        super().__init__(NAME, root, split, [_video(folder, name) for name in _sequences(folder)])


def _sequences(folder: Path) -> list[str]:
    path = folder / "ImageSets" / "all.txt"
    present = subfolders(folder / "JPEGImages")
    if not path.is_file():
        if not present:
            raise InputError(f"{folder / 'JPEGImages'}: no folders of sequences; unpack SegTrack-v2 again")
        return present
    names = [name for word in _words(path) if (name := word.lstrip("*"))]
    for name in names:
        if name not in present:
            raise InputError(
                f"{path}: lists sequence {name}, but there is no folder {folder / 'JPEGImages' / name}; "
                "unpack SegTrack-v2 again or correct the list"
            )
    if not names:
        raise InputError(f"{path}: no sequences listed; remove it to take every folder")
    return names


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split()


def _video(folder: Path, name: str) -> Video:
    frames = _frames(folder, name)
    masks = _object_masks(folder / "GroundTruth" / name, frames)

    def annotation(index: int) -> IdMap:
        ids = np.zeros(image_size(frames[index]), np.uint8)
        for number, files in enumerate(masks, start=1):
            inside = read_mask(files[index])
            check_size(files[index], inside.astype(np.uint8), frames[index], ids.shape)
            ids[inside] = number
        return ids

    return Video(
        name=name,
        frames=LazySequence(lambda index: read_frame(frames[index]), len(frames)),
        frame_names=tuple(path.stem for path in frames),
        annotations=LazyMapping(annotation, range(len(frames))),
    )


def _frames(folder: Path, name: str) -> list[Path]:
    paths = images(folder / "JPEGImages" / name, advice="copy it again")
    listed = folder / "ImageSets" / f"{name}.txt"
    if not listed.is_file():
        return paths
    index_of = frame_index(paths)
    selected = []
    for word in _words(listed)[1:]:
        stem = Path(word).name
        if stem not in index_of:
            raise InputError(
                f"{listed}: lists frame {stem}, which is not in {paths[0].parent}; copy it again"
            )
        selected.append(paths[index_of[stem]])
    if not selected:
        raise InputError(f"{listed}: no frames listed; remove it to take every frame")
    return selected


def _object_masks(folder: Path, frames: list[Path]) -> list[list[Path]]:
    """Return a list of masks per object, in the order of the frames."""
    objects = sorted(subfolders(folder), key=lambda name: (last_number(name) or 0, name))
    if len(objects) >= VOID:
        raise InputError(f"{folder}: {len(objects)} object folders, but ids end at 254")
    return [_masks(folder / name, frames) for name in objects] if objects else [_masks(folder, frames)]


def _masks(folder: Path, frames: list[Path]) -> list[Path]:
    of_stem = {path.stem: path for path in images(folder)}
    for frame in frames:
        if frame.stem not in of_stem:
            raise InputError(
                f"{NAME}: no mask of frame {frame.stem} in {folder}, which has {len(of_stem)} for "
                f"{len(frames)} frames; copy the data set again"
            )
    return [of_stem[frame.stem] for frame in frames]


def expected_files(root: Path, split: str) -> Inventory:
    """List the frames and the masks of every object."""
    check_name(f"split of {NAME}", split, ["all"])
    folder = dataset_folder(root, NAME, "JPEGImages")
    lists = folder / "ImageSets/all.txt"
    names = subfolders(folder / "JPEGImages")
    if lists.is_file():
        names = [name for word in _words(lists) if (name := word.lstrip("*"))]
    inventory = Inventory(lists if lists.is_file() else folder / "JPEGImages", sequences=len(names))
    for name in inventory.folder_names(names):
        _expected_sequence(inventory, folder, name)
    return inventory


def _expected_sequence(inventory: Inventory, folder: Path, name: str) -> None:
    frames, truth = folder / "JPEGImages" / name, folder / "GroundTruth" / name
    listed = folder / "ImageSets" / f"{name}.txt"
    paths = {path.stem: path for path in inventory.list_images(frames)}
    suffix = next((path.suffix for path in paths.values()), ".png")
    mask_folders = [truth / item for item in subfolders(truth)] or [truth]
    masks = [{path.stem: path for path in inventory.list_images(mask_folder)} for mask_folder in mask_folders]
    if listed.is_file():
        stems = [Path(word).name for word in _words(listed)[1:]]
    else:
        stems = sorted(set(paths).union(*masks), key=lambda stem: (last_number(stem) or 0, stem))
    if not stems:
        inventory.add_damage(frames, "missing: a sequence without frames")
    for stem in stems:
        inventory.add(name, paths.get(stem, frames / f"{stem}{suffix}"))
        for mask_folder, present in zip(mask_folders, masks, strict=True):
            inventory.add(name, present.get(stem, mask_folder / f"{stem}.png"))
    inventory.frames += len(stems)
