"""First mask of a semi-supervised method, and segmentation of a video from there on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.video import IdMap, Segmentation, Video


@dataclass(frozen=True)
class Given:
    """Mask that a semi-supervised method starts from.

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
    """Segment every frame of a video; frames before the given one are background.

    The method sees no ground truth but the mask it is given.

    Args:
        method: ready to segment.
        video: T frames, with flow when the method needs flow.
        given: first mask of a semi-supervised method; None for the others.

    Returns:
        T id maps at the size of the frames.

    Raises:
        InputError: when iterated, an id map that is not (H, W) uint8.
    """
    start = given.frame if given else 0
    rest = video.since(start) if start else video
    flow = rest.flow if method.needs_flow else None
    seen = replace(rest, annotations={}, boxes={}, categories={}, flow=flow)
    maps = method.segment(seen) if given is None else method.segment(seen, given.ids)
    return Segmentation(_checked(maps, video, start), len(video))


def _checked(maps: Segmentation, video: Video, start: int) -> Iterator[IdMap]:
    """Yield `start` empty id maps, then those of the method."""
    size = video.frames[0].shape[:2]
    yield from repeat(np.zeros(size, np.uint8), start)
    for index, ids in enumerate(maps, start):
        if ids.shape != size or ids.dtype != np.uint8:
            raise InputError(
                f"{video.name}, frame {index}: the method returned {ids.dtype} {ids.shape}, not uint8 {size}"
            )
        yield ids
