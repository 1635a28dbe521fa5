"""Selection of validation videos within a training set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vosbench.errors import InputError, check_name

HELD_OUT = "held_out"
"""Name that stands for the held-out videos where a split is expected."""


def held_out(names: Sequence[str], wanted: float | Sequence[str]) -> frozenset[str]:
    """Return the names of the videos that are validated on, and therefore not trained on.

    A share decides about a video by its name alone: a hash of the name, as a number from 0 to 1, lies below
    the share. The same video is held out in every data set that has it, with every seed and in every stage.
    What comes before the last ``/`` stands for the name, so that views of a scene (``SCENE/left``) stay in
    one part. At least one scene is held out, and one is left.

    Args:
        names: videos of the training split.
        wanted: names, or a share above 0 and below 1.

    Raises:
        InputError: a name that is not there, or fewer than two scenes to choose from.
    """
    if not isinstance(wanted, int | float):
        for name in wanted:
            check_name("video to hold out", name, names)
        selected = frozenset(wanted)
        if selected == frozenset(names):
            raise InputError("data.hold_out names every video: nothing is left to train on")
        return selected
    positions = {scene: _position(scene) for scene in {_scene(name) for name in names}}
    if len(positions) < 2:
        raise InputError(
            "nothing can be held out of a single video: write data.val_split=null to train without "
            "validation, or data.val_split=SPLIT to validate on another split"
        )
    ordered = sorted(positions, key=lambda scene: positions[scene])
    count = sum(position < wanted for position in positions.values())
    scenes = set(ordered[: min(max(count, 1), len(ordered) - 1)])
    return frozenset(name for name in names if _scene(name) in scenes)


def _scene(name: str) -> str:
    return name.rpartition("/")[0] or name


def _position(scene: str) -> float:
    """Return a hash of the name as a number in [0, 1]."""
    return int.from_bytes(hashlib.sha256(scene.encode()).digest()[:8], "big") / 2**64
