"""Named sequences of miniatures, with one or several objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vosbench.data.mini.render import RenderedView
from vosbench.data.mini.sampling import Recipe, sample_visible_scene
from vosbench.data.mini.scene import MiniScene
from vosbench.errors import InputError
from vosbench.video import VOID, Frame

Recipes = Mapping[str, Mapping[str, Recipe]]
"""Split -> sequence name -> fixed properties of its scene."""

_LEAST_SHARE = 0.008
"""Share of the image that an object covers where it counts as visible."""

_ATTEMPTS = 60

_STANDING_EVERY = 3
"""One of so many sequences has a standing thing as an object where these are labelled."""


@dataclass(frozen=True)
class NamedSequences:
    """Settings of a miniature whose sequences have names.

    Attributes:
        seed: every pixel follows from it.
        scenes: sequences per split; beyond the named ones they repeat with a number.
        frames: frames per sequence.
        size: height and width.
        recipes: the named sequences; a name describes the motion of the camera and the main object.
        stream: number of the world; data sets of different streams show different scenes.
    """

    recipes: ClassVar[Recipes]
    stream: ClassVar[int] = 0

    seed: int = 0
    scenes: int = 5
    frames: int = 16
    size: tuple[int, int] = (135, 240)

    def jobs(self) -> Iterator[tuple[str, int]]:
        """Yield (split, sequence number) for every sequence."""
        for split in self.recipes:
            yield from ((split, index) for index in range(self.scenes))

    def names(self, split: str) -> list[str]:
        """Return the sequences of a split in order."""
        return [self.sequence_name(split, index) for index in range(self.scenes)]

    def sequence_name(self, split: str, index: int) -> str:
        """Return the name of a sequence."""
        names = list(self.recipes[split])
        round_, position = divmod(index, len(names))
        return f"{names[position]}-{round_ + 1}" if round_ else names[position]

    def recipe(self, split: str, index: int) -> Recipe:
        """Return the fixed properties of a sequence."""
        return list(self.recipes[split].values())[index % len(self.recipes[split])]

    def entropy(self, split: str, index: int) -> tuple[int, ...]:
        """Return the seed of one sequence, which does not depend on how many there are."""
        own = (self.stream,) if self.stream else ()
        return *own, self.seed, list(self.recipes).index(split), index

    def finish(self, folder: Path) -> None:
        """Write the files about the whole edition; a layout without lists has none."""

    @property
    def aspect(self) -> float:
        """Image height / width."""
        return self.size[0] / self.size[1]


class RenderedSequence:
    """A rendered sequence whose main objects have the ids 1..K.

    An object is a body that moves in the world and is visible in the first frame; everything else,
    standing or coming later, is background.

    Args:
        settings: of the miniature.
        split: its split.
        index: its number in the split.
    """

    def __init__(self, settings: NamedSequences, split: str, index: int) -> None:
        self.settings = settings
        self.index = index
        self.scene, self.objects = _sample(settings, split, index)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the objects 1..K, see `vosbench.data.mini.bodies`."""
        return tuple(self.scene.bodies[number].kind for number in self.objects)

    def _view(self, frame: int) -> RenderedView:
        return RenderedView(self.scene, frame, self.scene.camera(frame, self.settings.size))

    @cached_property
    def _new_ids(self) -> NDArray[np.uint8]:
        """Number of the body -> id, (B,)."""
        ids = np.zeros(len(self.scene.bodies), np.uint8)
        ids[list(self.objects)] = np.arange(1, len(self.objects) + 1)
        return ids

    @cached_property
    def _salient_ids(self) -> NDArray[np.uint8]:
        """Number of the body -> id in `salient_ids`, (B,)."""
        ids = self._new_ids.copy()
        bodies = self.scene.bodies
        shares = np.bincount(self._view(0).ids.ravel(), minlength=len(bodies))
        # body 0 is the room
        standing = [number for number in range(1, len(bodies)) if not bodies[number].annotated]
        seen = sorted((number for number in standing if shares[number]), key=lambda number: -shares[number])
        late = [number for number in range(1, len(bodies)) if bodies[number].annotated and not ids[number]]
        count = 1 if self.index % _STANDING_EVERY == 0 else 0
        ids[seen[:count]] = len(self.objects) + 1
        ids[[*seen[count : count + 1], *late]] = VOID
        return ids

    def views(self) -> Iterator[RenderedView]:
        """Yield the view of the camera, in frame order."""
        return map(self._view, range(self.settings.frames))

    def ids(self, view: RenderedView) -> NDArray[np.uint8]:
        """Return the (H, W) ids of the objects."""
        return self._new_ids[view.ids]

    def salient_ids(self, view: RenderedView) -> NDArray[np.uint8]:
        """Return the (H, W) ids of everything that catches the eye, moving or not.

        Beside the objects 1..K that is, in every third sequence, the largest standing thing of the first
        frame, K + 1. The next one and what comes into view later are void, 255: one may segment them or not.
        """
        return self._salient_ids[view.ids]

    def pictures(self) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
        """Yield (H, W, 3) pictures and (H, W) id maps in frame order."""
        for view in self.views():
            yield view.rgb(), self.ids(view)

    def moving_ids(self, frame: int) -> NDArray[np.uint8]:
        """Return the (H, W) ids of `frame` without the objects that stand still from it to the next."""
        view = self._view(frame)
        moving = view.motion(frame + 1, self.scene.camera(frame + 1, self.settings.size)).moving
        ids = self._new_ids[view.ids]
        for number in range(1, len(self.objects) + 1):
            inside = ids == number
            if inside.any() and moving[inside].mean() < 0.5:
                ids[inside] = 0
        return ids


def _sample(settings: NamedSequences, split: str, index: int) -> tuple[MiniScene, tuple[int, ...]]:
    """Draw scenes until as many objects are visible at the start as the recipe has movers; return both."""
    recipe = settings.recipe(split, index)
    wanted = recipe.movers or 1
    size = max(round(64 * settings.aspect), 1), 64
    for attempt in range(_ATTEMPTS):
        entropy = (*settings.entropy(split, index), attempt)
        scene = sample_visible_scene(entropy, recipe, settings.frames, settings.aspect, 0.03)
        # seen small, so that the number of objects does not depend on the size of the pictures
        objects = _visible(RenderedView(scene, 0, scene.camera(0, size)))
        if len(objects) >= wanted:
            return scene, objects
    raise InputError(
        f"no miniature scene shows {wanted} objects for {settings.frames} frames: ask for fewer frames"
    )


def _visible(view: RenderedView) -> tuple[int, ...]:
    """Numbers of the annotated bodies that cover enough of the picture."""
    shares = np.bincount(view.ids.ravel(), minlength=len(view.scene.bodies)) / view.ids.size
    return tuple(
        number
        for number, body in enumerate(view.scene.bodies)
        if body.annotated and shares[number] >= _LEAST_SHARE
    )
