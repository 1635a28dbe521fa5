"""Miniature FBMS-59 in the official folder layout: few labelled frames, region colours, definition files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.scene import Behaviour
from vosbench.data.mini.sequences import NamedSequences, Recipes, RenderedSequence
from vosbench.formats.fbms import Definition, LabelledFrame, write_definition
from vosbench.formats.png import davis_palette
from vosbench.formats.pnm import write_pnm

STEP = 3
"""Every so many frames one is labelled."""

_FOLDERS = {"test": "Testset", "train": "Trainingset"}
_GREY = "vehicles1"
"""The sequence labelled as the older half of FBMS-59 is: grey maps without probabilities."""


@dataclass(frozen=True)
class FbmsMini(NamedSequences):
    """Settings of the miniature FBMS-59; see `NamedSequences`.

    Static things stand around the objects. Beside the official labels, which keep an object while it
    rests, there are moving-only labels, which do not.
    """

    recipes: ClassVar[Recipes] = {
        "test": {
            "animals01": Recipe("handheld", "quadruped", 2, main_height=0.5, speed=3),
            _GREY: Recipe("static", "vehicle", 2, Behaviour.STOP_AND_GO, main_height=0.4, speed=3.5),
            "birds02": Recipe("aim", "bird", 1, main_height=0.7, speed=5),
        },
        "train": {
            "walkers01": Recipe("follow", "biped", 2, main_height=0.6, speed=4),
            "things01": Recipe("orbit", "cluster", 2, main_height=0.5, speed=2.5),
        },
    }

    scenes: int = 3
    frames: int = 13

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one sequence into `folder`, the root of the data set."""
        name, part = self.sequence_name(*job), _FOLDERS[job[0]]
        grey = name.startswith(_GREY)
        # number of the first frame in the names of files, and digits of the numbers
        first, digits = (1, 2) if grey else (11, 4)
        clip = RenderedSequence(self, *job)
        greys = [0, *(255 - 40 * k for k in range(len(clip.objects)))]
        palette = davis_palette()
        # white, as in the official maps
        palette[0] = 255
        labelled = []
        truth = folder / part / name / "GroundTruth"
        for frame, (picture, ids) in enumerate(clip.pictures()):
            number = f"{first + frame:0{digits}d}"
            write_picture(folder / part / name / f"{name}_{number}.jpg", picture)
            if frame % STEP:
                continue
            file = f"{name}_{number}.pgm" if grey else f"{name}_{number}_gt.ppm"
            if grey:
                write_pnm(truth / file, np.array(greys, np.uint8)[ids])
            else:
                write_pnm(truth / file, palette[ids])
                # the probabilities beside the colours: every pixel is certain
                write_pnm((truth / file).with_suffix(".pgm"), np.full(ids.shape, 255, np.uint8))
            labelled.append(LabelledFrame(frame, file, f"{name}_{number}.ppm"))
            moving = folder / "FBMS-3D" / part / name / "GroundTruth"
            write_picture(moving / f"{first + frame:03d}_gt.png", clip.moving_ids(frame))
        weights = np.array([65536, 256, 1])
        colours = greys if grey else (palette[: len(greys)] @ weights).tolist()
        definition = Definition(tuple(colours), self.frames, tuple(labelled))
        write_definition(truth / f"{name}Def.dat", definition)
