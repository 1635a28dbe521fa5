"""DAVIS 2017 in its official layout."""

from __future__ import annotations

from pathlib import Path

from vosbench.data.datasets.base import Dataset, dataset_folder, edition_of
from vosbench.data.datasets.folders import (
    check_resolution,
    check_subfolders,
    images,
    masked_video,
    masks_of,
    no_list,
    subfolders,
)
from vosbench.data.datasets.inventory import Inventory, read_list, stems
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError, check_name
from vosbench.formats.file_checks import ids_size
from vosbench.video import Video

NAME = "davis17"

SHIPPED = {
    "moving_train": "davis17_moving_train",
    "moving_val": "davis17_moving_val",
    "davis16_train": "davis16_train",
    "davis16_val": "davis16_val",
}
"""Splits whose lists come with this package, see `vosbench.data.splits`."""


_ANNOTATIONS = {
    "semi-supervised": ("Annotations", "DAVIS-2017-trainval"),
    "unsupervised": ("Annotations_unsupervised", "DAVIS-2017-Unsupervised-trainval"),
}
"""Task -> folder of its masks, and name of their archive without the resolution."""


class Davis2017(Dataset):
    """Frames with instance masks: ids as in the files, 255 is void.

    The official layout is ``JPEGImages/480p/SEQ/00000.jpg``, ``Annotations/480p/SEQ/00000.png``
    (indexed PNG, the index is the id) and lists ``ImageSets/2017/SPLIT.txt`` with a sequence per line
    (Pont-Tuset et al., 2017). The unsupervised annotations (Caelles et al., 2019) label other objects of the
    same videos, in ``Annotations_unsupervised/480p``; its test splits are those of ``ImageSets/2019``.

    Every frame has a mask, or the first one alone (as in test-dev and test-challenge, which may also
    have none). The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "davis17"``.
        split: a list of the folder, such as ``"train"``, ``"val"`` or ``"test-dev"``; ``"moving_train"``,
            ``"moving_val"``, ``"davis16_train"`` and ``"davis16_val"``, whose lists come with this
            package unless the folder has its own; ``"all"`` takes every folder.
        resolution: ``"480p"`` or ``"Full-Resolution"``.
        annotations: ``"semi-supervised"`` or ``"unsupervised"``: which masks.

    Raises:
        InputError: no such folder, split, resolution or annotations, or a file is missing.
    """

    def __init__(
        self,
        root: Path,
        split: str = "val",
        *,
        resolution: str = "480p",
        annotations: str = "semi-supervised",
    ) -> None:
        check_name(f"annotations of {NAME}", annotations, _ANNOTATIONS)
        folder = dataset_folder(root, NAME, "JPEGImages")
        frames = folder / "JPEGImages" / resolution
        masks = folder / _ANNOTATIONS[annotations][0] / resolution
        check_resolution(frames.parent, resolution)
        if not masks.is_dir() and not split.startswith("test"):
            raise InputError(
                f"{masks}: no such folder, and no other masks are the {annotations} ground truth of "
                f"DAVIS 2017; {_way_out(root, annotations, resolution)}"
            )
        year = "2019" if annotations == "unsupervised" and split.startswith("test") else "2017"
        names = _sequences(folder / "ImageSets" / year, frames, split)
        videos = [_video(frames / name, masks / name, hidden=split.startswith("test")) for name in names]
        super().__init__(NAME, root, split, videos)


def _way_out(root: Path, annotations: str, resolution: str) -> str:
    if edition_of(root, NAME) == "mini":
        return f"render the miniature again: 'vosbench data mini {NAME}'"
    archive = f"{_ANNOTATIONS[annotations][1]}-{resolution}.zip"
    return f"unpack {archive} there ('vosbench data list {NAME}' shows its address)"


def _sequences(lists: Path, frames: Path, split: str) -> tuple[str, ...]:
    path = lists / f"{split}.txt"
    if path.is_file():
        names, source = tuple(path.read_text(encoding="utf-8", errors="replace").split()), str(path)
    elif split in SHIPPED:
        names, source = shipped_split(SHIPPED[split]), f"the list of split {split}"
    elif split == "all":
        names, source = tuple(subfolders(frames)), str(frames)
    else:
        listed = [item.stem for item in lists.glob("*.txt")] if lists.is_dir() else []
        raise no_list(NAME, path, {"all", *SHIPPED, *listed})
    if not names:
        raise InputError(f"{source}: no sequences")
    check_subfolders(frames, names, source, "copy the data set again")
    return names


def _video(frames: Path, masks: Path, *, hidden: bool) -> Video:
    paths = images(frames, (".jpg", ".jpeg"), advice="copy it again")
    labelled = _labelled(paths, masks, hidden=hidden)
    return masked_video(frames.name, paths, labelled)


def _labelled(paths: list[Path], masks: Path, *, hidden: bool) -> dict[int, Path]:
    """Frame index -> mask, complete or the first alone."""
    labelled = masks_of(paths, masks, "copy it again")
    if hidden or set(labelled) == {0}:
        return labelled
    for index, path in enumerate(paths):
        if index not in labelled:
            raise InputError(
                f"{NAME}: sequence {masks.name} lacks the annotation of frame {path.stem} "
                f"({masks / path.stem}.png); copy the data set again"
            )
    return labelled


def expected_files(root: Path, split: str) -> Inventory:
    """List the files of a split at 480p, with the masks of both tasks."""
    folder = dataset_folder(root, NAME, "JPEGImages")
    frames = folder / "JPEGImages/480p"
    path = folder / "ImageSets/2017" / f"{split}.txt"
    if path.is_file() or (split not in SHIPPED and split != "all"):
        names = tuple(read_list(path, NAME).split())
    else:
        names = tuple(subfolders(frames)) if split == "all" else shipped_split(SHIPPED[split])
    inventory = Inventory(path if path.is_file() else frames)
    mask_folders, unsupervised = [folder / "Annotations/480p"], folder / "Annotations_unsupervised/480p"
    if unsupervised.is_dir():
        mask_folders.append(unsupervised)
    elif split in ("train", "val"):
        archive = f"{_ANNOTATIONS['unsupervised'][1]}-480p.zip"
        inventory.add_damage(unsupervised, f"missing: the ground truth of davis17-unsupervised, in {archive}")
    for name in inventory.folder_names(names):
        masks = [folder / name for folder in mask_folders]
        _expected_sequence(inventory, frames / name, masks, hidden=split.startswith("test"))
    inventory.sequences = len(names)
    return inventory


def _expected_sequence(inventory: Inventory, frames: Path, mask_folders: list[Path], *, hidden: bool) -> None:
    masks_by_folder = {mask_folder: stems(mask_folder, ".png") for mask_folder in mask_folders}
    names = sorted(stems(frames, ".jpg", ".jpeg").union(*masks_by_folder.values()))
    if not frames.is_dir() or not names:
        inventory.add_damage(frames, "missing: the split lists this sequence")
        return
    for stem in names:
        inventory.add(frames.name, frames / f"{stem}.jpg")
        for mask_folder, masks in masks_by_folder.items():
            if stem in masks or not (hidden or masks == {names[0]}):
                inventory.add(frames.name, mask_folder / f"{stem}.png", read=ids_size)
    inventory.add_gaps(frames, names, ".jpg", first=0)
    inventory.frames += len(names)
