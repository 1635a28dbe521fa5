"""What a semi-supervised method is given, and segmenting a video from there on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.video import IdMap, Segmentation, Video


@dataclass(frozen=True)
class Given:
    """The mask that a method starts from.

    Attributes:
        frame: index of its frame.
        ids: (H, W) uint8 ids of that frame.
    """

    frame: int
    ids: IdMap


def first_labelled(video: Video) -> Given:
    """Return the first mask of a video.

    Raises:
        InputError: no frame has one, or it cannot be read.
    """
    frame = min(video.annotations, default=None)
    if frame is None:
        raise InputError(
            f"{video.name}: no frame has a mask, and a semi-supervised method is given the first"
        )
    return Given(frame, video.annotations[frame])


def segment(method: Method, video: Video, given: Given | None) -> Segmentation:
    """Segment every frame of a video; those before the given one show nothing.

    Args:
        method: what segments.
        video: T frames, with flow when the method needs it.
        given: where a semi-supervised method starts; None for the others.

    Returns:
        T id maps at the size of the frames.
    """
    if given is None:
        return method.segment(video)
    if given.frame == 0:
        return method.segment(video, given.ids)
    later = method.segment(video.since(given.frame), given.ids)
    return Segmentation(chain(repeat(np.zeros_like(given.ids), given.frame), later), len(video))
