"""What every method promises, trained network or trivial baseline."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from vosbench.data.video import IdMap, Segmentation, Video

Task = Literal["unsupervised", "semi-supervised"]
Size = Literal["full", "tiny"]


@runtime_checkable
class Method(Protocol):
    """Turns a video (and, when semi-supervised, its first mask) into a segmentation.

    Attributes:
        task: ``"semi-supervised"`` methods are given the ids of frame 0.
        needs_flow: whether `segment` reads ``video.flow``, which the caller attaches.
    """

    task: Task
    needs_flow: bool

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment every frame in bounded memory.

        Args:
            video: T frames; with ``flow`` when `needs_flow`.
            first_mask: (H, W) uint8 ids of frame 0; required when semi-supervised.

        Returns:
            T id maps at the size of the frames.
        """
        ...
