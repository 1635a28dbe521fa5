"""ImageNet-VID (ILSVRC 2015, object detection from video) in its official layout."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import frame_index, images, subfolders
from vosbench.data.places import find_folder
from vosbench.errors import InputError, shown, unknown_name
from vosbench.formats.image import image_size, read_frame
from vosbench.formats.voc_xml import read_boxes
from vosbench.video import Box, DeferredMapping, LazyMapping, LazySequence, Video

NAME = "ilsvrc_vid"

CLASSES: Mapping[str, str] = {
    "n02691156": "airplane",
    "n02419796": "antelope",
    "n02131653": "bear",
    "n02834778": "bicycle",
    "n01503061": "bird",
    "n02924116": "bus",
    "n02958343": "car",
    "n02402425": "cattle",
    "n02084071": "dog",
    "n02121808": "domestic_cat",
    "n02503517": "elephant",
    "n02118333": "fox",
    "n02510455": "giant_panda",
    "n02342885": "hamster",
    "n02374451": "horse",
    "n02129165": "lion",
    "n01674464": "lizard",
    "n02484322": "monkey",
    "n03790512": "motorcycle",
    "n02324045": "rabbit",
    "n02509815": "red_panda",
    "n02411705": "sheep",
    "n01726692": "snake",
    "n02355227": "squirrel",
    "n02129604": "tiger",
    "n04468005": "train",
    "n01662784": "turtle",
    "n04530566": "watercraft",
    "n02062744": "whale",
    "n02391049": "zebra",
}
"""WordNet number -> name, in the order of the challenge."""

_PARTS: Mapping[str, tuple[str, ...]] = {"train": ("train",), "val": ("val",), "trainval": ("train", "val")}


class IlsvrcVid(Dataset):
    """Videos with boxes that follow objects of 30 classes; there are no masks.

    The official layout is ``Data/VID/train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000/000000.JPEG``,
    ``Data/VID/val/ILSVRC2015_val_00000000/000000.JPEG``, and ``Annotations/VID/...`` with an XML file of
    the same name per frame (Russakovsky et al., IJCV 2015). Videos are found by their folders, the lists
    in ``ImageSets/VID`` are not needed; of a list such as ``ImageSets/VID/train_1.txt`` the name is taken
    as a split as well.

    A box has the id ``trackid + 1``, which follows the object through its video; tracks are at most 255
    per video. A frame without an XML file has no entry in `Video.boxes`. Annotations may be missing
    altogether: learning to predict frames needs none.

    The folders of all videos are looked up on opening; what is in one when it is indexed.

    Args:
        root: the data root; the files are in ``root / "ilsvrc_vid"``.
        split: ``"train"`` (3862 videos), ``"val"`` (555), ``"trainval"``, or a list in ``ImageSets/VID``.

    Attributes:
        classes: names of the classes.

    Raises:
        InputError: no such folder or split, or no videos.
    """

    def __init__(self, root: Path, split: str = "train") -> None:
        folder = find_folder(root, NAME)
        paths = snippets(root, split)
        self.classes = tuple(CLASSES.values())
        super().__init__(NAME, root, split, LazySequence(lambda i: _video(folder, paths[i]), len(paths)))


def snippets(root: Path, split: str = "train") -> list[Path]:
    """Return the paths of the videos below ``Data/VID`` and ``Annotations/VID``, in order.

    Args:
        root: the data root.
        split: as for `IlsvrcVid`.

    Returns:
        For example ``[Path("train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"), ...]``.

    Raises:
        InputError: no such folder or split, or no videos.
    """
    folder = dataset_folder(root, NAME, "Data")
    data, lists = folder / "Data" / "VID", folder / "ImageSets" / "VID"
    if not data.is_dir():
        raise InputError(
            f"{data}: no such folder; unpack ILSVRC2015_VID.tar.gz and rename its folder ILSVRC2015 to {NAME}"
        )
    if split in _PARTS:
        paths = [path for part in _PARTS[split] for path in _below(data, part)]
        where = f"{data}/{split if split != 'trainval' else '{train,val}'}"
    elif (lists / f"{split}.txt").is_file():
        paths, where = _listed(data, lists / f"{split}.txt"), str(lists / f"{split}.txt")
    else:
        more = [path.stem for path in lists.glob("*.txt")] if lists.is_dir() else []
        raise unknown_name(f"split of {NAME}", split, {*_PARTS, *more})
    if not paths:
        raise InputError(f"{where}: no folders of videos; unpack ILSVRC2015_VID.tar.gz again")
    return paths


def _below(data: Path, part: str) -> list[Path]:
    """Return the videos of a part: folders in it, or one level deeper."""
    paths: list[Path] = []
    for name in subfolders(data / part):
        # train has four folders of videos, called like no video
        if name.startswith("ILSVRC2015_VID_"):
            paths += [Path(part, name, inner) for inner in subfolders(data / part / name)]
        else:
            paths.append(Path(part, name))
    return paths


def _listed(data: Path, path: Path) -> list[Path]:
    """Return the videos of a list: lines of a path, with or without the frame, and a number."""
    part = path.stem.partition("_")[0]
    videos: dict[Path, None] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        video = Path(part, words[0])
        if video.name.isdigit():
            video = video.parent
        outside = video.is_absolute() or ".." in video.parts
        if outside or (video not in videos and not (data / video).is_dir()):
            raise InputError(
                f"{path}: lists {words[0]}, but there is no folder {data / video}; unpack both again"
            )
        videos[video] = None
    return list(videos)


def _video(folder: Path, inner: Path) -> Video:
    pictures = folder / "Data" / "VID" / inner
    paths = images(pictures, (".jpeg", ".jpg"), advice="unpack ILSVRC2015_VID.tar.gz again")
    notes = folder / "Annotations" / "VID" / inner
    index_of = frame_index(paths)
    described: dict[int, Path] = {}
    for path in sorted(notes.glob("*.xml")):
        if path.stem not in index_of:
            raise InputError(f"{path}: there is no frame {path.stem} in {pictures}; unpack both again")
        described[index_of[path.stem]] = path
    boxes = LazyMapping(lambda index: _boxes(described[index], size()), described)

    @cache
    def size() -> tuple[int, int]:
        return image_size(paths[0])

    return Video(
        name=inner.name,
        frames=LazySequence(lambda index: read_frame(paths[index]), len(paths)),
        frame_names=tuple(path.stem for path in paths),
        categories=DeferredMapping(lambda: _categories(boxes, notes)),
        boxes=boxes,
    )


def _boxes(path: Path, size: tuple[int, int]) -> tuple[Box, ...]:
    described, objects = read_boxes(path)
    if described != size:
        raise InputError(
            f"{path}: describes a frame of {described[1]}x{described[0]} pixels, but the frames have "
            f"{size[1]}x{size[0]}; take both from the same release"
        )
    boxes = []
    for thing in objects:
        if thing.name not in CLASSES:
            raise InputError(f"{path}: unknown class {shown(thing.name)}; copy the file again")
        if thing.track is None or thing.track > 254:
            raise InputError(f"{path}: an object without a trackid from 0 to 254; copy the file again")
        boxes.append(Box(thing.track + 1, CLASSES[thing.name], thing.x, thing.y, thing.width, thing.height))
    return tuple(boxes)


def _categories(boxes: Mapping[int, tuple[Box, ...]], notes: Path) -> dict[int, str]:
    categories: dict[int, str] = {}
    for index in boxes:
        for box in boxes[index]:
            if categories.setdefault(box.id, box.category) != box.category:
                raise InputError(
                    f"{notes}: track {box.id - 1} is {categories[box.id]} and {box.category}; copy it again"
                )
    return categories
