"""Miniature DAVIS 2017 in the official folder layout, several objects per sequence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence
from vosbench.files import write_text
from vosbench.formats.png import write_ids


@dataclass(frozen=True)
class Davis17Mini(NamedSequences):
    """Settings of the miniature DAVIS 2017; see `NamedSequences`.

    Its unsupervised annotations label other objects than the semi-supervised ones, as the official data set
    does: see `RenderedSequence.salient_ids`.
    """

    recipes: ClassVar[Recipes] = {
        "val": {
            "walker-and-another": Recipe("static", "biped", 2, main_height=0.6, speed=3),
            "camera-tracks-animal-in-company": Recipe("follow", "quadruped", 2, main_height=0.5, speed=4),
            "dolly-past-three-things": Recipe("dolly", "cluster", 3, main_height=0.45, speed=2.5),
        },
        "train": {
            "handheld-vehicle-and-another": Recipe("handheld", "vehicle", 2, main_height=0.4, speed=3),
            "pan-bird-and-others": Recipe("pan", "bird", 2, main_height=0.6, speed=4),
        },
    }

    scenes: int = 3
    frames: int = 12

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one sequence into `folder`, the root of the data set."""
        name, clip = self.sequence_name(*job), RenderedSequence(self, *job)
        for frame, view in enumerate(clip.views()):
            inner = f"480p/{name}/{frame:05d}"
            write_picture(folder / "JPEGImages" / f"{inner}.jpg", view.rgb())
            write_ids(folder / "Annotations" / f"{inner}.png", clip.ids(view))
            write_ids(folder / "Annotations_unsupervised" / f"{inner}.png", clip.salient_ids(view))

    def finish(self, folder: Path) -> None:
        """Write the lists of the splits; every labelled object moves, and every split of papers exists."""
        for split in self.recipes:
            text = "\n".join(self.names(split)) + "\n"
            for name in (split, f"moving_{split}", f"davis16_{split}"):
                write_text(folder / "ImageSets" / "2017" / f"{name}.txt", text)
