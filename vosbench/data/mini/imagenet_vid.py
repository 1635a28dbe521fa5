"""Miniature ImageNet-VID, and masks for it as FusionSeg's bootstrap makes them, in their folder layouts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from vosbench.data.datasets.ilsvrc_vid import CLASSES
from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence
from vosbench.data.mini.stills import tight_box
from vosbench.files import write_text
from vosbench.formats.png import write_ids
from vosbench.video import VOID, IdMap

CATEGORIES = {
    "biped": "monkey",
    "vehicle": "car",
    "bird": "bird",
    "quadruped": "dog",
    "single": "turtle",
    "cluster": "whale",
}
"""Kind of a body -> class of ImageNet-VID."""

STEP = 3
"""Every so many frames one passed the tests of the bootstrap."""

_WORDNET = {name: number for number, name in CLASSES.items()}
_TRAIN: dict[str, Recipe] = {
    "dog": Recipe("follow", "quadruped", 1, main_height=0.55, speed=3),
    "car-and-another": Recipe("static", "vehicle", 2, main_height=0.4, speed=3.5),
    "bird": Recipe("aim", "bird", 1, main_height=0.8, speed=5),
    "monkey": Recipe("handheld", "biped", 1, main_height=0.6, speed=3),
}
_VAL: dict[str, Recipe] = {"dog-and-another": Recipe("pan", "quadruped", 2, main_height=0.5, speed=3)}


@dataclass(frozen=True)
class IlsvrcVidMini(NamedSequences):
    """Settings of the miniature ImageNet-VID; see `NamedSequences`. It has boxes and no masks."""

    recipes: ClassVar[Recipes] = {"train": _TRAIN, "val": _VAL}
    stream: ClassVar[int] = 5

    scenes: int = 4
    frames: int = 12

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one video into `folder`, the root of the data set."""
        inner = _inner(job)
        clip = RenderedSequence(self, *job)
        for frame, (picture, ids) in enumerate(clip.pictures()):
            write_picture(folder / "Data" / "VID" / inner / f"{frame:06d}.JPEG", picture)
            text = _description(inner, frame, ids, clip.kinds)
            write_text(folder / "Annotations" / "VID" / inner / f"{frame:06d}.xml", text)

    def finish(self, folder: Path) -> None:
        """Write the lists, which name videos for training and frames for validation."""
        lists = folder / "ImageSets" / "VID"
        videos = [_inner(("train", index)).relative_to("train") for index in range(self.scenes)]
        write_text(lists / "train_1.txt", "".join(f"{video.as_posix()} 1\n" for video in videos))
        frames = [
            f"{_inner(('val', index)).name}/{frame:06d}"
            for index in range(self.scenes)
            for frame in range(self.frames)
        ]
        write_text(lists / "val.txt", "".join(f"{name} {n}\n" for n, name in enumerate(frames, start=1)))


@dataclass(frozen=True)
class FusionSegVidMini(NamedSequences):
    """Settings of the miniature of FusionSeg's masks; see `NamedSequences`. It brings its own frames."""

    recipes: ClassVar[Recipes] = {"train": _TRAIN}
    # the same videos
    stream: ClassVar[int] = IlsvrcVidMini.stream

    scenes: int = 4
    frames: int = 12

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one video into `folder`, the root of the data set."""
        name = _inner(job).name
        for frame, (picture, ids) in enumerate(RenderedSequence(self, *job).pictures()):
            write_picture(folder / "JPEGImages" / name / f"{frame:06d}.JPEG", picture)
            if frame % STEP == 0:
                write_ids(folder / "Annotations" / name / f"{frame:06d}.png", _uncertain(ids))

    def finish(self, folder: Path) -> None:
        """Write a report: no test took place."""
        kept = self.scenes * len(range(0, self.frames, STEP))
        report = {"note": "rendered masks, no test took place", "frames": kept}
        write_text(folder / "report.json", json.dumps(report, indent=2) + "\n")


def _inner(job: tuple[str, int]) -> Path:
    split, index = job
    if split == "val":
        return Path("val", f"ILSVRC2015_val_{index:08d}")
    return Path("train", "ILSVRC2015_VID_train_0000", f"ILSVRC2015_train_{index:08d}")


def _uncertain(ids: IdMap) -> IdMap:
    """All objects merged, with the rim left open."""
    inside = (ids > 0).astype(np.uint8)
    rim = np.asarray(cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.uint8)
    return np.where(rim > 0, np.uint8(VOID), inside)


def _description(inner: Path, frame: int, ids: IdMap, kinds: tuple[str, ...]) -> str:
    """XML of a frame; an object that is out of sight has no box."""
    height, width = ids.shape
    objects = ""
    for id_ in (id_ for id_ in range(1, len(kinds) + 1) if (ids == id_).any()):
        x, y, across, down = tight_box(ids, id_)
        objects += (
            f"\t<object>\n\t\t<trackid>{id_ - 1}</trackid>\n"
            f"\t\t<name>{_WORDNET[CATEGORIES[kinds[id_ - 1]]]}</name>\n"
            f"\t\t<bndbox>\n\t\t\t<xmax>{x + across}</xmax>\n\t\t\t<xmin>{x}</xmin>\n"
            f"\t\t\t<ymax>{y + down}</ymax>\n\t\t\t<ymin>{y}</ymin>\n\t\t</bndbox>\n"
            "\t\t<occluded>0</occluded>\n\t\t<generated>0</generated>\n\t</object>\n"
        )
    return (
        f"<annotation>\n\t<folder>{inner.name}</folder>\n\t<filename>{frame:06d}</filename>\n"
        f"\t<source>\n\t\t<database>vosbench miniature</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t</size>\n"
        f"{objects}</annotation>\n"
    )
