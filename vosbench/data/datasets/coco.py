"""COCO 2017 instances in their official layout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import check_size
from vosbench.errors import InputError, check_name
from vosbench.formats.coco_json import CocoFile, CocoObject
from vosbench.formats.image import read_frame
from vosbench.formats.run_length import Mask
from vosbench.video import VOID, Box, DeferredMapping, IdMap, LazyMapping, LazySequence, Video

NAME = "coco"


class Coco(Dataset):
    """Still images with instance masks, boxes and 80 classes.

    The official layout is ``train2017/000000000009.jpg``, ``val2017`` and
    ``annotations/instances_train2017.json`` (Lin et al., ECCV 2014). A video is one image, called like
    its file without the suffix.

    Objects have the ids 1..K in the order of the annotation file. Where they overlap, the smaller one
    is on top, for it is nearly always the one in front (a tie over a shirt); one that is hidden
    altogether is left in `Video.boxes` only. Crowds, regions of objects without separate masks, are
    void (255) where no object covers them, and have no box and no id. Masks equal those of the COCO
    tool pixel by pixel.

    Opening reads the annotation file once, and keeps the position of every object in the file and the name
    and size of every image. Missing images are an error when they are read, for there are 118287.

    Args:
        root: the data root; the files are in ``root / "coco"``.
        split: ``"train"`` or ``"val"``.
        labelled_only: leave out images without any annotation (1021 of train).

    Attributes:
        classes: names of all classes in the order of their COCO ids.

    Raises:
        InputError: no such folder or split, or the annotation file is damaged.
    """

    def __init__(self, root: Path, split: str = "train", *, labelled_only: bool = False) -> None:
        check_name(f"split of {NAME}", split, ["train", "val"])
        folder = dataset_folder(root, NAME, "annotations")
        pictures = folder / f"{split}2017"
        path = folder / "annotations" / f"instances_{split}2017.json"
        if not path.is_file():
            raise InputError(f"{path}: no such file; unpack annotations_trainval2017.zip of COCO in {folder}")
        if not pictures.is_dir():
            raise InputError(f"{pictures}: no such folder; unpack {split}2017.zip of COCO in {folder}")
        file = CocoFile(path)
        selected = [index for index in range(len(file)) if not labelled_only or file.count(index)]
        if not selected:
            raise InputError(f"{path}: lists no images; copy it again")
        _check_names(file)
        self.classes = tuple(file.categories[id_] for id_ in sorted(file.categories))
        videos = LazySequence(lambda index: _video(file, selected[index], pictures), len(selected))
        super().__init__(NAME, root, split, videos)


def _check_names(file: CocoFile) -> None:
    seen: set[str] = set()
    for image in file.images:
        stem = Path(image.file).stem
        if stem in seen:
            raise InputError(f"{file.path}: two images are called {stem}; copy it again")
        seen.add(stem)


def _video(file: CocoFile, index: int, pictures: Path) -> Video:
    image = file.images[index]
    path = pictures / image.file
    stem = path.stem

    @cache
    def numbered() -> dict[int, CocoObject]:
        """Id -> object that is no crowd."""
        objects = [thing for thing in file.objects(index) if not thing.crowd]
        if len(objects) >= VOID:
            raise InputError(f"{file.path}: {len(objects)} objects in image {image.file}, ids end at 254")
        return dict(enumerate(objects, start=1))

    def annotation(_frame: int) -> IdMap:
        crowds = [file.mask(thing, index) for thing in file.objects(index) if thing.crowd]
        masks = {id_: file.mask(thing, index) for id_, thing in numbered().items()}
        return check_size(path, _painted(crowds, masks, (image.height, image.width)), path)

    return Video(
        name=stem,
        frames=LazySequence(lambda _frame: read_frame(path), 1),
        frame_names=(stem,),
        annotations=LazyMapping(annotation, [0]),
        categories=DeferredMapping(lambda: {id_: thing.category for id_, thing in numbered().items()}),
        boxes=LazyMapping(
            lambda _frame: tuple(Box(id_, thing.category, *thing.box) for id_, thing in numbered().items()),
            [0],
        ),
    )


def _painted(crowds: list[Mask], masks: dict[int, Mask], size: tuple[int, int]) -> IdMap:
    """Draw crowds first, then objects, the largest first."""
    # transposed as the masks are in memory, several times faster
    ids = np.zeros(size[::-1], np.uint8)
    for mask in crowds:
        np.copyto(ids, np.uint8(VOID), where=mask.T)
    for id_, mask in sorted(masks.items(), key=lambda item: -np.count_nonzero(item[1].T)):
        np.copyto(ids, np.uint8(id_), where=mask.T)
    return np.ascontiguousarray(ids.T)
