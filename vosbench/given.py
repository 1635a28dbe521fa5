"""First mask of a semi-supervised method, and segmentation of a video from there on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from vosbench.errors import InputError
from vosbench.method import Method, computed, computing
from vosbench.pipeline import Reader
from vosbench.video import Frame, IdMap, LazySequence, Segmentation, Video


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

    A thread reads frames and flow ahead of the method, which sees no ground truth but the mask it is given.

    Args:
        method: ready to segment.
        video: T frames, with flow when the method needs flow. Flow that is not finite is unknown.
        given: first mask of a semi-supervised method; None for the others.

    Returns:
        T id maps at the size of the frames.

    Raises:
        InputError: no frames, or a first mask of another size than frame 0; when iterated, a frame of
            another size, or an id map that is not (H, W) uint8.
    """
    if not len(video):
        raise InputError(f"{video.name}: no frames; copy the sequence again or leave it out")
    start = given.frame if given else 0
    rest = video.since(start) if start else video
    size = video.frames[0].shape[:2]
    if given is not None and given.ids.shape != size:
        raise InputError(
            f"{video.name}: the first mask is {_text(given.ids.shape)}, its frame {_text(size)} (height x "
            "width): give the mask at the size of the frames"
        )
    reader = Reader()
    frames = reader.ahead(LazySequence(lambda index: _of_size(rest, index, size), len(rest)))
    flow = reader.ahead(rest.flow) if method.needs_flow and rest.flow is not None else None
    seen = replace(rest, frames=frames, annotations={}, boxes={}, categories={}, flow=flow)
    with computing(method):
        maps = method.segment(seen) if given is None else method.segment(seen, given.ids)
    return Segmentation(_checked(computed(method, maps), video, start, size, reader), len(video))


def _of_size(video: Video, index: int, size: tuple[int, ...]) -> Frame:
    frame = video.frames[index]
    if frame.shape[:2] != size:
        raise InputError(
            f"{video.name}, frame {video.frame_names[index]}: {_text(frame.shape[:2])}, earlier ones "
            f"{_text(size)} (height x width): all frames of a sequence must have one size"
        )
    return frame


def _text(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _checked(
    maps: Iterable[IdMap], video: Video, start: int, size: tuple[int, ...], reader: Reader
) -> Iterator[IdMap]:
    """Yield `start` empty id maps, then those of the method; end the reader of the video then."""
    with reader:
        yield from repeat(np.zeros(size, np.uint8), start)
        for index, ids in enumerate(maps, start):
            if ids.shape != size or ids.dtype != np.uint8:
                raise InputError(
                    f"{video.name}, frame {index}: the method returned {ids.dtype} {ids.shape}, "
                    f"not uint8 {size}"
                )
            yield ids
