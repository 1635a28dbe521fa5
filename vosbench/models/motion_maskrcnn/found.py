"""Detections of a frame, in the form of the tracker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.method import Detections
from vosbench.models.layers.detection import Found
from vosbench.models.postprocessing.tracker import Detections as Tracked
from vosbench.models.postprocessing.tracker import merge_static

MASK_THRESHOLD = 0.5


class FrameDetections(NamedTuple):
    """Moving objects of a frame, and all objects; None where the static branch was not asked."""

    moving: Detections
    static: Detections | None

    def tracked(self, alpha_low: float) -> Tracked:
        """Return masks and scores of both, without static ones of what moves, see `merge_static`."""
        moving = self.moving.masks, self.moving.scores
        if self.static is None:
            return moving
        return merge_static(moving, (self.static.masks, self.static.scores), alpha_low=alpha_low)


def plain(found: Found) -> Detections:
    """Return detections as arrays, without their classes."""
    masks: NDArray[np.bool_] = (found["masks"][:, 0] > MASK_THRESHOLD).cpu().numpy()
    return Detections(found["boxes"].cpu().numpy(), found["scores"].cpu().numpy(), masks)
