"""YouTube-VOS 2018 in its official layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import check_subfolders, images, masked_video, masks_of
from vosbench.data.datasets.inventory import Inventory, stems
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError, check_name, shown
from vosbench.formats.file_checks import ids_size
from vosbench.plain_data import read_json
from vosbench.video import Video

NAME = "ytvos"

SHIPPED = {"moving_train": "ytvos_moving_train", "moving_val": "ytvos_moving_val"}
"""Splits of the training part whose lists come with this package, see `vosbench.data.splits`."""

_FRAMES = ("labelled", "all")


class YouTubeVos(Dataset):
    """Frames with instance masks of every fifth frame: ids as in the files, 255 is void.

    The official layout is ``train/JPEGImages/VIDEO/00000.jpg`` (every fifth frame),
    ``train/Annotations/VIDEO/00000.png`` (indexed PNG, the index is the id) and ``train/meta.json``
    with the category of every object; ``train_all_frames/JPEGImages/VIDEO`` has the frames between
    as well (Xu et al., 2018). `Video.categories` is filled from ``meta.json``.

    The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "ytvos"``.
        split: ``"train"``, every video of ``meta.json``; ``"moving_train"`` and ``"moving_val"``, parts
            of it whose lists come with this package unless ``ImageSets/SPLIT.txt`` is there.
        frames: ``"labelled"`` takes the frames of ``train``, ``"all"`` those of ``train_all_frames``,
            for optical flow from one frame to the next.

    Raises:
        InputError: no such folder, split or choice of frames, or a file is missing or contradicts another.
    """

    def __init__(self, root: Path, split: str = "train", *, frames: str = "labelled") -> None:
        check_name(f"frames of {NAME}", frames, _FRAMES)
        check_name(f"split of {NAME}", split, ["train", *SHIPPED])
        folder = dataset_folder(root, NAME, "train")
        base = folder / ("train" if frames == "labelled" else "train_all_frames") / "JPEGImages"
        masks = folder / "train" / "Annotations"
        for needed in (base, masks):
            if not needed.is_dir():
                raise InputError(
                    f"{needed}: no such folder; unpack {needed.parent.name}.zip of YouTube-VOS there"
                )
        meta = folder / "train" / "meta.json"
        categories = read_categories(meta)
        names = _names(folder, split, meta, categories)
        check_subfolders(base, names, f"split {split}", "unpack YouTube-VOS again")
        videos = [_video(base / name, masks / name, categories[name]) for name in names]
        super().__init__(NAME, root, split, videos)


def read_categories(path: Path) -> dict[str, dict[int, str]]:
    """Return video -> object id -> category of a ``meta.json``.

    Raises:
        InputError: missing, or not in the form
            ``{"videos": {VIDEO: {"objects": {"1": {"category": NAME, ...}}}}}``.
    """
    videos = read_json(path).get("videos")
    if not isinstance(videos, dict):
        raise InputError(f"{path}: no object 'videos'; it is not the meta.json of YouTube-VOS")
    return {name: _objects(path, name, video) for name, video in videos.items()}


def _objects(path: Path, name: str, video: Any) -> dict[int, str]:
    objects = video.get("objects") if isinstance(video, dict) else None
    if not isinstance(objects, dict):
        raise InputError(
            f"{path}: video {shown(name)} has no object 'objects'; it is not the meta.json of YouTube-VOS"
        )
    categories: dict[int, str] = {}
    for key, item in objects.items():
        category = item.get("category") if isinstance(item, dict) else None
        number = int(key) if key.isascii() and key.isdigit() and len(key) <= 3 else 0
        if not 1 <= number <= 254 or not isinstance(category, str):
            raise InputError(
                f"{path}: object {shown(key)} of video {shown(name)} is no id from 1 to 254 with a category"
            )
        categories[number] = category
    return categories


def _names(folder: Path, split: str, meta: Path, categories: dict[str, dict[int, str]]) -> tuple[str, ...]:
    own = folder / "ImageSets" / f"{split}.txt"
    if split == "train":
        names, source = tuple(sorted(categories)), str(meta)
    elif own.is_file():
        names, source = tuple(own.read_text(encoding="utf-8", errors="replace").split()), str(own)
    else:
        names, source = shipped_split(SHIPPED[split]), f"the list of split {split}"
    if not names:
        raise InputError(f"{source}: no videos")
    for name in names:
        if name not in categories:
            raise InputError(f"{meta}: does not describe video {name} of {source}; copy it again")
    return names


def _video(frames: Path, masks: Path, categories: dict[int, str]) -> Video:
    paths = images(frames, (".jpg", ".jpeg"), advice="unpack YouTube-VOS again")
    labelled = masks_of(paths, masks, "unpack YouTube-VOS again")
    if not labelled:
        raise InputError(f"{masks}: no masks; unpack the annotations of YouTube-VOS again")
    return masked_video(frames.name, paths, labelled, categories)


def expected_files(root: Path, split: str) -> Inventory:
    """List the labelled frames of YouTube-VOS."""
    base = dataset_folder(root, NAME, "train") / "train"
    check_name(f"split of {NAME}", split, ["train", *SHIPPED])
    own = base.parent / "ImageSets" / f"{split}.txt"
    if split == "train":
        source = base / "meta.json"
        names = tuple(sorted(read_categories(source)))
    elif own.is_file():
        source, names = own, tuple(own.read_text(encoding="utf-8", errors="replace").split())
    else:
        source, names = base, shipped_split(SHIPPED[split])
    inventory = Inventory(source, sequences=len(names))
    for name in inventory.folder_names(names):
        frames, masks = base / "JPEGImages" / name, base / "Annotations" / name
        labelled = stems(masks, ".png")
        present = sorted(labelled | stems(frames, ".jpg", ".jpeg"))
        if not labelled:
            inventory.add_damage(masks, "missing: a video without masks")
        inventory.add(name, *(frames / f"{stem}.jpg" for stem in present))
        inventory.add(name, *(masks / f"{stem}.png" for stem in labelled), read=ids_size)
        inventory.frames += len(present)
    return inventory
