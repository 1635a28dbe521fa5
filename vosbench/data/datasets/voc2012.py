"""PASCAL VOC 2012 segmentation with the masks of SBD, in their official layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset
from vosbench.data.datasets.folders import check_size, find_dataset
from vosbench.errors import InputError, check_name, shown
from vosbench.formats.image import read_frame
from vosbench.formats.mat5 import read_struct
from vosbench.formats.png import read_ids
from vosbench.video import VOID, DeferredMapping, IdMap, LazyMapping, LazySequence, Video

NAME = "voc2012"

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Class 1 is the first."""

SPLITS = ("train_aug", "sbd", "train", "val", "trainval")
_LABELS = ("instances", "classes")
_DEVKIT = Path("VOCdevkit") / "VOC2012"
_SBD = Path("benchmark_RELEASE") / "dataset"


class Voc2012(Dataset):
    """Still images with masks of 20 classes; 255 is void, the rim of the objects and what is hard to see.

    The official layouts, in one folder: ``VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg``,
    ``SegmentationClass/2007_000032.png``, ``SegmentationObject/2007_000032.png`` and
    ``ImageSets/Segmentation/train.txt`` of VOC (Everingham et al., IJCV 2010), and
    ``benchmark_RELEASE/dataset/cls/2008_000002.mat``, ``inst/2008_000002.mat``, ``train.txt`` and
    ``val.txt`` of SBD (Hariharan et al., ICCV 2011). SBD has no rims. The folder ``VOC2012`` may also
    lie there without ``VOCdevkit`` around it.

    A video is one image, called like its file without the suffix. That the listed files are there is
    found out when they are read.

    Args:
        root: the data root; the files are in ``root / "voc2012"``.
        split: ``"train_aug"``, VOC's train and all of SBD without VOC's val, 10582 images, with VOC's own
            mask where there is one; ``"sbd"``, SBD's train and val with SBD's masks, 11355 images, some of
            which are in VOC's val; or VOC's ``"train"`` (1464), ``"val"`` (1449) and ``"trainval"``.
        labels: ``"instances"``, ids 1..K as in the files, classes in `Video.categories`;
            or ``"classes"``, ids 1..20.

    Attributes:
        classes: names of the classes.

    Raises:
        InputError: no such folder, split or labels, or a list is missing.
    """

    def __init__(self, root: Path, split: str = "train_aug", *, labels: str = "instances") -> None:
        check_name(f"split of {NAME}", split, SPLITS)
        check_name(f"labels of {NAME}", labels, _LABELS)
        folder = find_dataset(root, NAME, _DEVKIT.parts)
        voc = _voc(folder)
        names = _names_of_split(voc, folder / _SBD, split)
        own = set() if split == "sbd" else set(_listed(voc, "trainval"))
        self.classes = CLASSES

        def video(index: int) -> Video:
            name = names[index]
            image = _VocImage(voc, name) if name in own else _SbdImage(voc, folder / _SBD, name)
            return _video(image, classes=labels == "classes")

        super().__init__(NAME, root, split, LazySequence(video, len(names)))


def _voc(folder: Path) -> Path:
    for voc in (folder / _DEVKIT, folder / "VOC2012"):
        if (voc / "ImageSets" / "Segmentation").is_dir():
            return voc
    raise InputError(
        f"{folder}: no lists in '{_DEVKIT}/ImageSets/Segmentation'; unpack VOCtrainval_11-May-2012.tar there"
    )


def _listed(voc: Path, split: str) -> tuple[str, ...]:
    return _names(voc / "ImageSets" / "Segmentation" / f"{split}.txt", "PASCAL VOC 2012")


def _names(path: Path, title: str) -> tuple[str, ...]:
    if not path.is_file():
        raise InputError(f"{path}: no such list; unpack {title} there")
    names = tuple(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").split()))
    for name in names:
        if not name.replace("_", "").isalnum():
            raise InputError(
                f"{path}: lists {shown(name)}, which is no name of an image; unpack {title} again"
            )
    if not names:
        raise InputError(f"{path}: lists no images; unpack {title} again")
    return names


def _names_of_split(voc: Path, sbd: Path, split: str) -> tuple[str, ...]:
    if split not in ("train_aug", "sbd"):
        return _listed(voc, split)
    more = [name for part in ("train", "val") for name in _names(sbd / f"{part}.txt", "SBD, benchmark.tgz,")]
    if split == "sbd":
        return tuple(sorted(set(more)))
    return tuple(sorted({*_listed(voc, "train"), *more} - {*_listed(voc, "val")}))


class _VocImage:
    """An image with the masks of VOC."""

    def __init__(self, voc: Path, name: str) -> None:
        self.picture = voc / "JPEGImages" / f"{name}.jpg"
        self._classes = voc / "SegmentationClass" / f"{name}.png"
        self._instances = voc / "SegmentationObject" / f"{name}.png"

    def classes(self) -> IdMap:
        """Return (H, W) classes 1..20."""
        classes = self._read(self._classes, "GTcls")
        if (largest := int(classes[classes != VOID].max(initial=0))) > len(CLASSES):
            raise InputError(f"{self._classes}: class {largest}, but there are 20; unpack it again")
        return classes

    def instances(self) -> IdMap:
        """Return (H, W) ids of instances."""
        return self._read(self._instances, "GTinst")

    def _read(self, path: Path, _variable: str) -> IdMap:
        return check_size(path, read_ids(path), self.picture)

    def class_of(self) -> dict[int, int]:
        """Return id of an instance -> its class."""
        instances, classes = self.instances(), self.classes()
        classes_of = {}
        for id_ in np.unique(instances).tolist():
            inside = classes[instances == id_]
            votes = np.bincount(inside[inside != VOID], minlength=2)
            if id_ in (0, VOID):
                continue
            if not votes[1:].any():
                raise InputError(
                    f"{self._instances}: object {id_} has no class in {self._classes}; unpack both again"
                )
            classes_of[id_] = int(votes[1:].argmax()) + 1
        return classes_of


class _SbdImage(_VocImage):
    """An image with the masks of SBD; the picture is that of VOC where it is there."""

    def __init__(self, voc: Path, sbd: Path, name: str) -> None:
        own = voc / "JPEGImages" / f"{name}.jpg"
        other = sbd / "img" / f"{name}.jpg"
        self.picture = other if not own.is_file() and other.is_file() else own
        self._classes = sbd / "cls" / f"{name}.mat"
        self._instances = sbd / "inst" / f"{name}.mat"

    def _read(self, path: Path, variable: str) -> IdMap:
        values = read_struct(path, variable).get("Segmentation")
        if values is None or values.ndim != 2 or values.dtype != np.uint8:
            raise InputError(f"{path}: {variable} has no map Segmentation of 8 bits; unpack SBD again")
        return check_size(path, np.ascontiguousarray(values, np.uint8), self.picture)

    def class_of(self) -> dict[int, int]:
        # a column with the class of each instance
        classes = read_struct(self._instances, "GTinst").get("Categories", np.zeros(0)).ravel().tolist()
        present = [id_ for id_ in np.unique(self.instances()).tolist() if id_ not in (0, VOID)]
        for id_ in present:
            if id_ > len(classes) or classes[id_ - 1] not in range(1, len(CLASSES) + 1):
                raise InputError(
                    f"{self._instances}: object {id_} has no class from 1 to 20; unpack SBD again"
                )
        return {id_: int(classes[id_ - 1]) for id_ in present}


def _video(image: _VocImage, *, classes: bool) -> Video:
    stem = image.picture.stem

    def categories() -> dict[int, str]:
        if classes:
            return dict(enumerate(CLASSES, start=1))
        return {id_: CLASSES[class_ - 1] for id_, class_ in image.class_of().items()}

    return Video(
        name=stem,
        frames=LazySequence(lambda _: read_frame(image.picture), 1),
        frame_names=(stem,),
        annotations=LazyMapping(lambda _: image.classes() if classes else image.instances(), [0]),
        categories=DeferredMapping(categories),
    )
