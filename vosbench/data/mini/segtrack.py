"""Miniature SegTrack-v2 in the official folder layout: masks per object in folders of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence
from vosbench.files import write_text


@dataclass(frozen=True)
class SegTrackMini(NamedSequences):
    """Settings of the miniature SegTrack-v2; see `NamedSequences`."""

    recipes: ClassVar[Recipes] = {
        "all": {
            "bird-aim": Recipe("aim", "bird", 1, main_height=0.7, speed=5),
            "animal-and-another": Recipe("static", "quadruped", 2, main_height=0.5, speed=3),
            "walker-truck": Recipe("truck", "biped", 1, main_height=0.7, speed=3),
        }
    }

    scenes: int = 3
    frames: int = 10

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one sequence into `folder`, the root of the data set."""
        name = self.sequence_name(*job)
        clip = RenderedSequence(self, *job)
        truth = folder / "GroundTruth" / name
        for frame, (picture, ids) in enumerate(clip.pictures()):
            stem = _stem(frame)
            write_picture(folder / "JPEGImages" / name / f"{stem}.png", picture)
            for number in range(1, len(clip.objects) + 1):
                masks = truth / str(number) if len(clip.objects) > 1 else truth
                write_picture(masks / f"{stem}.png", (ids == number) * np.uint8(255))

    def finish(self, folder: Path) -> None:
        """Write the lists of sequences and of frames."""
        lists = folder / "ImageSets"
        names = self.names("all")
        write_text(lists / "all.txt", "".join(f"*{name}\n" for name in names))
        for name in names:
            frames = "".join(f"{_stem(frame)}\n" for frame in range(self.frames))
            write_text(lists / f"{name}.txt", f"{name}/\n{frames}")


def _stem(frame: int) -> str:
    return f"{frame + 1:05d}"
