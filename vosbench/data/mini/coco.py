"""Miniature COCO in the official folder layout: polygons, both kinds of run lengths, crowds, boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sequences import Recipes
from vosbench.data.mini.stills import STILLS, StillImages, render_still, tight_box
from vosbench.files import write_text
from vosbench.formats.run_length import Mask, compress, decode_segmentation, run_lengths
from vosbench.plain_data import read_json

CATEGORIES = {
    "biped": (1, "person"),
    "vehicle": (3, "car"),
    "bird": (16, "bird"),
    "quadruped": (18, "dog"),
    "single": (37, "sports ball"),
    "cluster": (64, "potted plant"),
}
"""Kind of a body -> COCO id and name."""

_FIRST_IMAGE = {"train": 9, "val": 139}
_NEXT_IMAGE = 1000
_FINENESS = 4


@dataclass(frozen=True)
class CocoMini(StillImages):
    """Settings of the miniature COCO; see `StillImages`."""

    recipes: ClassVar[Recipes] = {"train": STILLS, "val": STILLS}
    stream: ClassVar[int] = 1

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one image into `folder`, the root of the data set."""
        split, index = job
        number = _FIRST_IMAGE[split] + _NEXT_IMAGE * index
        still = render_still(self, job)
        write_picture(folder / f"{split}2017" / f"{number:012d}.jpg", still.picture)
        # the last of three or more objects is a crowd
        objects = [
            _object(still.ids == id_, number, id_, CATEGORIES[kind][0], crowd=id_ > 2)
            for id_, kind in enumerate(still.kinds, start=1)
        ]
        for item, id_ in zip(objects, range(1, len(objects) + 1), strict=True):
            item["bbox"] = [float(side) for side in tight_box(still.ids, id_)]
        height, width = still.ids.shape
        image = {"id": number, "file_name": f"{number:012d}.jpg", "height": height, "width": width}
        write_text(_part(folder, job), json.dumps({"image": image, "annotations": objects}))

    def finish(self, folder: Path) -> None:
        """Join what was written with each image into the annotation files."""
        categories = [{"id": id_, "name": name} for id_, name in sorted(CATEGORIES.values())]
        for split in self.recipes:
            parts = []
            for index in range(self.scenes):
                path = _part(folder, (split, index))
                parts.append(read_json(path))
                path.unlink()
            whole = {
                "info": {"description": "rendered miniature made by vosbench"},
                "images": [part["image"] for part in parts],
                "annotations": [item for part in parts for item in part["annotations"]],
                "categories": categories,
            }
            write_text(folder / "annotations" / f"instances_{split}2017.json", json.dumps(whole))


def _part(folder: Path, job: tuple[str, int]) -> Path:
    return folder / "annotations" / f".{job[0]}-{job[1]}.json"


def _object(mask: Mask, image: int, id_: int, category: int, *, crowd: bool) -> dict[str, Any]:
    """An annotation: a crowd as run lengths, others as polygons where these give the very mask."""
    height, width = mask.shape
    runs = run_lengths(mask)
    segmentation: Any = {"size": [height, width], "counts": runs if crowd else compress(runs)}
    polygons = [] if crowd else _polygons(mask)
    if polygons and (decode_segmentation(polygons, height, width) == mask).all():
        segmentation = polygons
    return {
        "id": image * 100 + id_,
        "image_id": image,
        "category_id": category,
        "iscrowd": int(crowd),
        "area": int(mask.sum()),
        "segmentation": segmentation,
    }


def _polygons(mask: Mask) -> list[list[float]]:
    """Outlines of the parts of a mask, a little inside of their pixels; holes are filled."""
    fine = cv2.resize(
        mask.astype(np.uint8), None, fx=_FINENESS, fy=_FINENESS, interpolation=cv2.INTER_NEAREST
    )
    outlines, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((outline.reshape(-1) + 0.5) / _FINENESS).tolist() for outline in outlines]
