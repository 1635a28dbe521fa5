"""A method without weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vosbench.method import Task
from vosbench.video import IdMap, Segmentation, Video


class FrameDifference:
    """The object is what changes from one frame to the next; the last frame repeats the mask before it.

    Args:
        threshold: grey levels that a pixel changes by, at least.
    """

    task: Task = "unsupervised"
    needs_flow = False

    def __init__(self, threshold: float = 10) -> None:
        self.threshold = threshold

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 where the picture changes."""
        return Segmentation(self._masks(video), len(video))

    def _masks(self, video: Video) -> Iterator[IdMap]:
        ids = np.zeros(video.frames[0].shape[:2], np.uint8)
        for index in range(len(video)):
            if index + 1 < len(video):
                grey, following = (video.frames[i].mean(axis=2) for i in (index, index + 1))
                ids = (np.abs(following - grey) >= self.threshold).astype(np.uint8)
            yield ids
