"""Miniature YouTube-VOS 2018 in the official folder layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence
from vosbench.files import write_text
from vosbench.formats.png import write_ids
from vosbench.plain_data import read_json

CATEGORIES = {
    "biped": "person",
    "vehicle": "sedan",
    "bird": "parrot",
    "quadruped": "dog",
    "single": "frisbee",
    "cluster": "plant",
}
"""Kind of a body -> category."""

STEP = 5
"""Every so many frames one is labelled."""


@dataclass(frozen=True)
class YouTubeVosMini(NamedSequences):
    """Settings of the miniature YouTube-VOS; see `NamedSequences`. Everything is in its training part."""

    recipes: ClassVar[Recipes] = {
        "moving_train": {
            "0a0dog0001": Recipe("follow", "quadruped", 1, main_height=0.55, speed=3),
            "0a0man0002": Recipe("static", "biped", 2, main_height=0.6, speed=3),
            "0a0car0003": Recipe("handheld", "vehicle", 2, main_height=0.45, speed=3),
        },
        "moving_val": {
            "0b0owl0001": Recipe("aim", "bird", 1, main_height=0.7, speed=4),
            "0b0dog0002": Recipe("pan", "quadruped", 2, main_height=0.5, speed=3),
            "0b0man0003": Recipe("truck", "biped", 1, main_height=0.7, speed=3),
        },
    }
    stream: ClassVar[int] = 6

    scenes: int = 3
    frames: int = 16

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one video into `folder`, the root of the data set."""
        name = self.sequence_name(*job)
        clip = RenderedSequence(self, *job)
        seen: dict[str, list[str]] = {}
        for frame, (picture, ids) in enumerate(clip.pictures()):
            stem = f"{frame:05d}"
            write_picture(folder / "train_all_frames" / "JPEGImages" / name / f"{stem}.jpg", picture)
            if frame % STEP:
                continue
            write_picture(folder / "train" / "JPEGImages" / name / f"{stem}.jpg", picture)
            write_ids(folder / "train" / "Annotations" / name / f"{stem}.png", ids)
            for id_ in range(1, len(clip.kinds) + 1):
                if (ids == id_).any():
                    seen.setdefault(str(id_), []).append(stem)
        objects = {
            id_: {"category": CATEGORIES[clip.kinds[int(id_) - 1]], "frames": frames}
            for id_, frames in seen.items()
        }
        write_text(_part(folder, name), json.dumps({"objects": objects}))

    def finish(self, folder: Path) -> None:
        """Write the categories of all objects, and lists of the moving parts, for the videos are others."""
        videos = {}
        for split in self.recipes:
            names = self.names(split)
            for name in names:
                part = _part(folder, name)
                videos[name] = read_json(part)
                part.unlink()
            write_text(folder / "ImageSets" / f"{split}.txt", "".join(f"{name}\n" for name in names))
        write_text(folder / "train" / "meta.json", json.dumps({"videos": videos}))


def _part(folder: Path, name: str) -> Path:
    return folder / "train" / f".{name}.json"
