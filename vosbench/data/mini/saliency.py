"""Miniature MSRA10K and DUTS-TR in their official folder layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sequences import Recipes
from vosbench.data.mini.stills import STILLS, StillImages, render_still


@dataclass(frozen=True)
class Msra10kMini(StillImages):
    """Settings of the miniature MSRA10K; see `StillImages`."""

    recipes: ClassVar[Recipes] = {"train": STILLS}
    stream: ClassVar[int] = 3

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one image into `folder`, the root of the data set."""
        still = render_still(self, job)
        images = folder / "MSRA10K_Imgs_GT" / "Imgs"
        write_picture(images / f"{_number(job)}.jpg", still.picture)
        write_picture(images / f"{_number(job)}.png", (still.ids > 0) * np.uint8(255))


@dataclass(frozen=True)
class DutsMini(StillImages):
    """Settings of the miniature DUTS-TR; see `StillImages`."""

    recipes: ClassVar[Recipes] = {"train": STILLS}
    stream: ClassVar[int] = 4

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one image into `folder`, the root of the data set."""
        still = render_still(self, job)
        name = f"mini_{_number(job):08d}"
        write_picture(folder / "DUTS-TR" / "DUTS-TR-Image" / f"{name}.jpg", still.picture)
        write_picture(folder / "DUTS-TR" / "DUTS-TR-Mask" / f"{name}.png", (still.ids > 0) * np.uint8(255))


def _number(job: tuple[str, int]) -> int:
    return 77 + 41 * job[1]
