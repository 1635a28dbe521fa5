"""Miniature DAVIS 2016 in the official folder layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.render import RenderedView
from vosbench.data.mini.sampling import Recipe, sample_visible_scene
from vosbench.data.mini.scene import Behaviour
from vosbench.data.mini.sequences import NamedSequences, Recipes
from vosbench.files import write_text

RECIPES: dict[str, dict[str, Recipe]] = {
    "val": {
        "camera-tracks-walker": Recipe("follow", "biped", 1, main_height=0.75, speed=5),
        "static-camera-vehicle": Recipe("static", "vehicle", 1, main_height=0.4, speed=3.5),
        "handheld-animal": Recipe("handheld", "quadruped", 1, main_height=0.5, speed=3),
        "dolly-past-pillars": Recipe("dolly", "cluster", 1, main_height=0.5, foreground=3, speed=2),
        "camera-turns-with-bird": Recipe("aim", "bird", 1, main_height=0.9, speed=6),
    },
    "train": {
        "truck-tumbling-block": Recipe("truck", "single", 1, main_height=0.5, speed=3),
        "orbit-walker": Recipe("orbit", "biped", 1, main_height=0.7, speed=2.5),
        "pan-two-movers": Recipe("pan", "quadruped", 2, main_height=0.5, speed=3),
        "stop-and-go-vehicle": Recipe(
            "static", "vehicle", 1, Behaviour.STOP_AND_GO, main_height=0.45, speed=3.5
        ),
        "camera-tracks-animal": Recipe("follow", "quadruped", 1, main_height=0.6, speed=4),
    },
}
"""Sequences by split; a name describes the motion of the camera and the main object."""


@dataclass(frozen=True)
class Davis16Mini(NamedSequences):
    """Settings of the miniature DAVIS 2016; see `NamedSequences`.

    Attributes:
        splits: that are rendered; all when None.
    """

    recipes: ClassVar[Recipes] = RECIPES

    splits: tuple[str, ...] | None = None

    def jobs(self) -> Iterator[tuple[str, int]]:
        """Yield (split, sequence number) for every sequence of the splits."""
        return (job for job in super().jobs() if job[0] in self._rendered)

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one sequence into `folder`, the root of the data set."""
        recipe, entropy = self.recipe(*job), self.entropy(*job)
        scene = sample_visible_scene(entropy, recipe, self.frames, self.aspect, 0.03)
        name = self.sequence_name(*job)
        for frame in range(self.frames):
            view = RenderedView(scene, frame, scene.camera(frame, self.size))
            write_picture(folder / "JPEGImages" / "480p" / name / f"{frame:05d}.jpg", view.rgb())
            mask = view.annotation() * np.uint8(255)
            write_picture(folder / "Annotations" / "480p" / name / f"{frame:05d}.png", mask)

    def finish(self, folder: Path) -> None:
        """Write the lists of the splits."""
        lists = {split: self._lines(split) for split in self._rendered}
        if lists.keys() >= {"train", "val"}:
            lists["trainval"] = lists["train"] + lists["val"]
        for split, lines in lists.items():
            write_text(folder / "ImageSets" / "480p" / f"{split}.txt", "\n".join(lines) + "\n")

    @property
    def _rendered(self) -> tuple[str, ...]:
        return tuple(self.recipes) if self.splits is None else self.splits

    def _lines(self, split: str) -> list[str]:
        return [
            f"/JPEGImages/480p/{name}/{frame:05d}.jpg /Annotations/480p/{name}/{frame:05d}.png"
            for name in self.names(split)
            for frame in range(self.frames)
        ]
