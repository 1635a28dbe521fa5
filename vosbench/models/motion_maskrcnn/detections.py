"""Detections of a frame, in the form of the tracker."""

from __future__ import annotations

from typing import NamedTuple

from vosbench.method import Detections
from vosbench.models.layers.detection import Found, pixels
from vosbench.models.postprocessing.tracker import Detections as Tracked
from vosbench.models.postprocessing.tracker import merge_static


class FrameDetections(NamedTuple):
    """Moving objects of a frame, and all objects; None where the static branch was not run."""

    moving: Detections
    static: Detections | None

    def tracked(self, alpha_low: float) -> Tracked:
        """Return masks and scores of both, each object once, see `merge_static`."""
        moving = self.moving.masks, self.moving.scores
        if self.static is None:
            return moving
        return merge_static(moving, (self.static.masks, self.static.scores), alpha_low=alpha_low)


def plain(found: Found) -> Detections:
    """Return detections as arrays, without their classes."""
    return Detections(*(values.cpu().numpy() for values in (found["boxes"], found["scores"], pixels(found))))
