"""Miniature YouTube-Objects in the layout of the released masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence

STEP = 10
"""Every so many frames one has a mask."""


@dataclass(frozen=True)
class YouTubeObjectsMini(NamedSequences):
    """Settings of the miniature YouTube-Objects; see `NamedSequences`. Names are class and number."""

    recipes: ClassVar[Recipes] = {
        "all": {
            "bird_0001": Recipe("aim", "bird", 1, main_height=0.8, speed=4),
            "car_0001": Recipe("follow", "vehicle", 1, main_height=0.5, speed=4),
            "dog_0001": Recipe("handheld", "quadruped", 1, main_height=0.55, speed=2),
            "dog_0002": Recipe("static", "quadruped", 2, main_height=0.5, speed=2),
        }
    }

    scenes: int = 4
    frames: int = 21

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one sequence into `folder`, the root of the data set."""
        class_, number = self.sequence_name(*job).split("_")
        inner = Path(class_) / "data" / number / "shots" / "001"
        for frame, (picture, ids) in enumerate(RenderedSequence(self, *job).pictures()):
            write_picture(folder / "v1" / inner / f"frame{frame + 1:04d}.jpg", picture)
            if frame % STEP == 0:
                mask = (ids > 0) * np.uint8(255)
                write_picture(folder / "youtube_masks" / inner / "labels" / f"{frame + 1:05d}.jpg", mask)
