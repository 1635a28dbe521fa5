"""Still images of miniatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import NamedSequences, RenderedSequence
from vosbench.video import Frame, IdMap

STILLS: Mapping[str, Recipe] = {
    "walker-and-another": Recipe("static", "biped", 2, main_height=0.7),
    "vehicle": Recipe("static", "vehicle", 1, main_height=0.5),
    "animal-in-company": Recipe("static", "quadruped", 3, main_height=0.55),
    "bird": Recipe("static", "bird", 1, main_height=0.8),
    "things": Recipe("static", "cluster", 3, main_height=0.5),
    "animal-behind-things": Recipe("static", "quadruped", 1, main_height=0.6, foreground=2),
}
"""Fixed properties of the scenes, which repeat when more images are asked for."""


@dataclass(frozen=True)
class StillImages(NamedSequences):
    """Settings of a miniature of still images; see `NamedSequences`. First frames only."""

    scenes: int = 6
    frames: int = 1


@dataclass(frozen=True)
class Still:
    """Rendered image.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        ids: (H, W) uint8, the objects are 1..K; each is visible.
        kinds: of the objects, see `vosbench.data.mini.bodies`.
    """

    picture: Frame
    ids: IdMap
    kinds: tuple[str, ...]


def render_still(settings: StillImages, job: tuple[str, int]) -> Still:
    """Render one image and number what is visible in it."""
    clip = RenderedSequence(settings, *job)
    picture, ids = next(clip.pictures())
    visible = [id_ for id_ in np.unique(ids).tolist() if id_]
    numbers = np.zeros(256, np.uint8)
    numbers[visible] = np.arange(1, len(visible) + 1)
    return Still(picture, numbers[ids], tuple(clip.kinds[id_ - 1] for id_ in visible))


def tight_box(ids: IdMap, id_: int) -> tuple[int, int, int, int]:
    """Return x, y, width and height of the smallest box around an id that is present."""
    rows, columns = np.flatnonzero((ids == id_).any(axis=1)), np.flatnonzero((ids == id_).any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
