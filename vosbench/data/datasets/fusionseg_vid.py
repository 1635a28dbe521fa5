"""Pseudo masks of ImageNet-VID, made as in FusionSeg."""

from __future__ import annotations

from pathlib import Path

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import images, masked_video, masks_of, subfolders
from vosbench.data.datasets.ilsvrc_vid import NAME as FRAMES
from vosbench.data.datasets.ilsvrc_vid import snippets
from vosbench.data.datasets.inventory import Inventory
from vosbench.data.places import find_folder
from vosbench.errors import InputError, check_name
from vosbench.formats.file_checks import ids_size
from vosbench.video import LazySequence, Video

NAME = "fusionseg_vid"

ANNOTATIONS = "Annotations"
PICTURES = "JPEGImages"
REPORT = "report.json"
_FRAME_SUFFIXES = (".jpeg", ".jpg", ".png")


class FusionSegVid(Dataset):
    """Videos of ImageNet-VID with masks of a few frames each: ids as in the files, 255 is void.

    ``vosbench data prepare fusionseg_vid`` writes the layout: ``Annotations/VIDEO/000012.png`` (indexed
    PNG) for every frame whose mask passed the tests, and ``report.json`` with what each test took away
    (Jain et al., CVPR 2017). Frames are those of the data set ``ilsvrc_vid`` beside it, or lie in
    ``JPEGImages/VIDEO/000012.JPEG``. Masks from elsewhere, such as those that the authors released, are
    read once they lie in ``Annotations`` under these names.

    The videos are looked up on opening; what is in one when it is indexed.

    Args:
        root: the data root; the files are in ``root / "fusionseg_vid"``, frames in ``root / "ilsvrc_vid"``.
        split: ``"train"``: there is no other.

    Raises:
        InputError: no such folder or split, or a video has no frames.
    """

    def __init__(self, root: Path, split: str = "train") -> None:
        check_name(f"split of {NAME}", split, ["train"])
        masks = dataset_folder(root, NAME, ANNOTATIONS) / ANNOTATIONS
        names = subfolders(masks)
        if not names:
            raise InputError(f"{masks}: no folders of videos; run vosbench data prepare {NAME}")
        folders = _frame_folders(root, names)
        super().__init__(
            NAME, root, split, LazySequence(lambda i: _video(folders[names[i]], masks / names[i]), len(names))
        )


def _frame_folders(root: Path, names: list[str]) -> dict[str, Path]:
    """Video -> folder of its frames."""
    own = root / NAME / PICTURES
    if own.is_dir():
        folders = {name: own / name for name in subfolders(own)}
        where = own
    else:
        where = find_folder(root, FRAMES) / "Data" / "VID"
        if not where.is_dir():
            raise InputError(
                f"{root / NAME}: its frames are those of {FRAMES}, but there is no folder {where}; put "
                f"{FRAMES} beside it, or frames in {own}"
            )
        folders = {path.name: where / path for path in snippets(root, "trainval")}
    missing = [name for name in names if name not in folders]
    if missing:
        raise InputError(
            f"{where}: lacks {len(missing)} of the {len(names)} videos in {root / NAME / ANNOTATIONS}, first "
            f"{missing[0]}; unpack ImageNet-VID again or remove their masks"
        )
    return folders


def _video(pictures: Path, masks: Path) -> Video:
    paths = images(pictures, _FRAME_SUFFIXES, advice="unpack ImageNet-VID again")
    labelled = masks_of(paths, masks, f"run vosbench data prepare {NAME}")
    return masked_video(pictures.name, paths, labelled)


def expected_files(root: Path, split: str) -> Inventory:
    """List all frames of the videos with masks, and the masks that ``frames.txt`` lists."""
    folder, masks = root / NAME, root / NAME / ANNOTATIONS
    dataset = FusionSegVid(root, split)
    names = subfolders(masks)
    frame_folders = _frame_folders(root, names)
    inventory = Inventory(masks, sequences=len(dataset))
    for name in names:
        frames = inventory.list_images(frame_folders[name], _FRAME_SUFFIXES)
        inventory.add(name, *frames)
        inventory.add(name, *inventory.list_images(masks / name, (".png",)), read=ids_size)
        inventory.frames += len(frames)
    kept = folder / "frames.txt"
    listed = kept.read_text(encoding="utf-8", errors="replace").split() if kept.is_file() else []
    for path in (masks / f"{frame}.png" for frame in listed):
        if not path.is_file():
            inventory.add_damage(path, "missing: frames.txt lists it")
    return inventory
