"""Search for masks that are named after a neighbour of their frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vosbench.scoring.protocol import Protocol
from vosbench.video import VOID, IdMap, Video

Mask = NDArray[np.bool_]

_MOST_FRAMES = 0.9
_SHIFT_GAIN, _SMALLEST_GAIN, _FEWEST_FRAMES = 0.3, 0.01, 3


class ShiftSearch:
    """Comparison of masks with the ground truth of their frame and of the frames before and after.

    Args:
        target: frame index -> (H, W) uint8 ground truth, None where there is none; asked for a frame
            and its two neighbours in turn.
        protocol: decides what void means.
    """

    def __init__(self, target: Callable[[int], IdMap | None], protocol: Protocol) -> None:
        self._target = target
        self._protocol = protocol
        self._here: list[float] = []
        self._next: list[float] = []
        self._previous: list[float] = []
        self._motion: list[float] = []

    def add(self, index: int, ids: IdMap) -> None:
        """Compare frame `index`; `ids` is (H, W) uint8, 0 = background."""
        before = self._target(index - 1) if index else None
        target, after = self._target(index), self._target(index + 1)
        mask = ids != 0
        if before is None or target is None or after is None or not mask.any():
            return
        previous, here, following = (foreground(ids, self._protocol) for ids in (before, target, after))
        self._here.append(overlap(mask, here))
        self._previous.append(overlap(mask, previous))
        self._next.append(overlap(mask, following))
        self._motion.append(1 - (overlap(here, previous) + overlap(here, following)) / 2)

    @property
    def frames(self) -> int:
        """Number of frames compared."""
        return len(self._here)

    def step(self) -> int | None:
        """Return what must be added to the numbers of the masks, 1 or -1; None when they look right."""
        if self.frames < _FEWEST_FRAMES:
            return None
        here, motion = np.array(self._here), float(np.mean(self._motion))
        for values, step in ((self._next, 1), (self._previous, -1)):
            other = np.array(values)
            gain = float((other - here).mean())
            steady = float((other > here).mean()) >= _MOST_FRAMES
            # A shift by one gains about as much as the object moves in one frame
            if steady and gain >= max(_SHIFT_GAIN * motion, _SMALLEST_GAIN):
                return step
        return None


def foreground(target: IdMap, protocol: Protocol) -> Mask:
    """Return where ground truth has an object, as the protocol takes void."""
    mask: Mask = target != 0
    if protocol.void != "foreground":
        mask &= target != VOID
    return mask


def overlap(a: Mask, b: Mask) -> float:
    """Return intersection over union, 1 when both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def recent(video: Video) -> Callable[[int], IdMap | None]:
    """Return a function: frame index -> ground truth, which keeps the last three it was asked for."""

    @lru_cache(maxsize=3)
    def target(index: int) -> IdMap | None:
        return video.annotations.get(index)

    return target


def shift_words(step: int) -> str:
    """Return `ShiftSearch.step` in words."""
    return f"masks agree with the ground truth of the {'next' if step > 0 else 'previous'} frame"
