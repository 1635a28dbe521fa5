"""Miniature PASCAL VOC 2012 and SBD in the official folder layouts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from vosbench.data.datasets.voc2012 import CLASSES
from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sequences import Recipes
from vosbench.data.mini.stills import STILLS, Still, StillImages, render_still
from vosbench.files import write_text
from vosbench.formats.png import write_ids
from vosbench.video import VOID, IdMap

CATEGORIES = {
    "biped": "person",
    "vehicle": "car",
    "bird": "bird",
    "quadruped": "dog",
    "single": "bottle",
    "cluster": "pottedplant",
}
"""Kind of a body -> class of VOC."""

_NAMES = {"train": "2007_{:06d}", "val": "2008_{:06d}", "sbd_train": "2009_{:06d}", "sbd_val": "2010_{:06d}"}
_MAT_TEXT = 116


@dataclass(frozen=True)
class Voc2012Mini(StillImages):
    """Settings of the miniature VOC 2012 with SBD; see `StillImages`.

    ``sbd_train`` and ``sbd_val`` are images that SBD alone labels; its lists name those of VOC too.
    """

    recipes: ClassVar[Recipes] = dict.fromkeys(_NAMES, STILLS)
    stream: ClassVar[int] = 2

    scenes: int = 4

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one image into `folder`, the root of the data set."""
        split, index = job
        name = _NAMES[split].format(index + 1)
        still = render_still(self, job)
        voc, sbd = folder / "VOCdevkit" / "VOC2012", folder / "benchmark_RELEASE" / "dataset"
        write_picture(voc / "JPEGImages" / f"{name}.jpg", still.picture)
        write_picture(sbd / "img" / f"{name}.jpg", still.picture)
        classes = np.array([CLASSES.index(CATEGORIES[kind]) + 1 for kind in still.kinds], np.uint8)
        class_map = np.concatenate([[np.uint8(0)], classes])[still.ids]
        _write_mat(sbd / "cls" / f"{name}.mat", "GTcls", {"Segmentation": class_map})
        instances = {"Segmentation": still.ids, "Categories": classes[:, None]}
        _write_mat(sbd / "inst" / f"{name}.mat", "GTinst", instances)
        if split.startswith("sbd"):
            return
        rim = _rim(still)
        write_ids(voc / "SegmentationClass" / f"{name}.png", np.where(rim, np.uint8(VOID), class_map))
        write_ids(voc / "SegmentationObject" / f"{name}.png", np.where(rim, np.uint8(VOID), still.ids))

    def finish(self, folder: Path) -> None:
        """Write the lists."""
        names = {split: [_NAMES[split].format(n + 1) for n in range(self.scenes)] for split in _NAMES}
        lists = folder / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation"
        for split, listed in (
            ("train", names["train"]),
            ("val", names["val"]),
            ("trainval", names["train"] + names["val"]),
        ):
            write_text(lists / f"{split}.txt", "".join(f"{name}\n" for name in listed))
        for split in ("train", "val"):
            listed = sorted(names[split] + names[f"sbd_{split}"])
            path = folder / "benchmark_RELEASE" / "dataset" / f"{split}.txt"
            write_text(path, "".join(f"{name}\n" for name in listed))


def _rim(still: Still) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(H, W) bool, where ids change: VOC leaves the borders of objects open."""
    kernel = np.ones((3, 3), np.uint8)
    rim: IdMap = np.asarray(cv2.morphologyEx(still.ids, cv2.MORPH_GRADIENT, kernel), np.uint8)
    return rim > 0


def _write_mat(path: Path, variable: str, fields: dict[str, Any]) -> None:
    from scipy.io import savemat

    content = io.BytesIO()
    savemat(content, {variable: fields}, do_compression=True)  # type: ignore[arg-type]
    # its first line has the date, and a miniature is the same on every day
    text = b"MATLAB 5.0 MAT-file".ljust(_MAT_TEXT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text + content.getvalue()[_MAT_TEXT:])
