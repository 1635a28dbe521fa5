"""Contracts of methods, trained networks and trivial baselines: segmentation, detection, inspection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.video import IdMap, Segmentation, Video

Task = Literal["unsupervised", "semi-supervised"]
Size = Literal["full", "lite", "tiny"]

Precision = Literal["32", "bf16", "16"]
"""Floating-point numbers that a network computes with; the narrower ones where autocast allows them."""

T = TypeVar("T")

ShowMap = Callable[[int, str, NDArray[np.float32]], None]
"""Called with the index of a frame, a title such as ``"reset 3"``, and a map, (h, w) float32 in 0..1."""

FIRST_CHANNELS = 3
"""Shown of maps that have many, where none are chosen."""


@dataclass(frozen=True)
class Inspection:
    """Maps inside a method to show.

    Attributes:
        maps: names among the method's `inspectable`.
        channels: of maps that have many; None: the first three.
        show: takes each map, of any size and in any order; those of a frame come before its ids do.
            A title shown again for the same frame, by a later window, replaces the earlier map.
    """

    maps: tuple[str, ...]
    channels: tuple[int, ...] | None
    show: ShowMap

    def channels_of(self, maps: str, count: int) -> tuple[int, ...]:
        """Return which of `count` channels to show; the first three where none are chosen.

        Raises:
            InputError: a chosen channel is not there.
        """
        if self.channels is None:
            return tuple(range(min(count, FIRST_CHANNELS)))
        if not all(0 <= channel < count for channel in self.channels):
            raise InputError(f"channels of {maps} are 0 to {count - 1}, not {self.channels}")
        return self.channels


@runtime_checkable
class Inspectable(Protocol):
    """Method that shows maps from its inside while it segments.

    Attributes:
        inspectable: name -> what the map shows; constant.
        inspection: what to show in the next segmentation; None for nothing.
    """

    inspectable: Mapping[str, str]
    inspection: Inspection | None


@runtime_checkable
class Method(Protocol):
    """Method that turns a video, and its first mask when semi-supervised, into a segmentation.

    Attributes:
        task: ``"semi-supervised"`` methods are given the ids of frame 0; a caller that has those of a later
            one hands in the video from there on, see `vosbench.given`.
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


def computing(method: object) -> AbstractContextManager[object]:
    """Return the context that a method computes in, see `vosbench.models.pretrained.zoo.move_to`."""
    context: Callable[[], AbstractContextManager[object]] = getattr(method, "computing", nullcontext)
    return context()


def computed(method: object, results: Iterable[T]) -> Iterator[T]:
    """Yield the results of a method, each made in the context that the method computes in."""
    iterator = iter(results)
    while True:
        # who takes a result is not in the context
        with computing(method):
            try:
                result = next(iterator)
            except StopIteration:
                return
        yield result


@dataclass(frozen=True)
class Detections:
    """Objects that a method detected in a frame.

    Attributes:
        boxes: (N, 4) float32: x0, y0, x1, y1 in pixels.
        scores: (N,) float32.
        masks: (N, H, W) bool.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]

    @classmethod
    def none(cls, height: int, width: int) -> Detections:
        """Return the detections of a frame without objects."""
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return cls(boxes, scores, np.zeros((0, height, width), np.bool_))

    def __len__(self) -> int:
        return len(self.scores)

    def union(self, threshold: float) -> IdMap:
        """Return (H, W) uint8: 1 where a mask is whose score is above `threshold`, 0 elsewhere."""
        seen: NDArray[np.bool_] = np.any(self.masks[self.scores > threshold], axis=0)
        return seen.astype(np.uint8)

    def best(self) -> NDArray[np.float32]:
        """Return the highest score of the masks at each pixel, (H, W) float32, 0 where there is none."""
        result = np.zeros(self.masks.shape[1:], np.float32)
        for mask, score in zip(self.masks, self.scores, strict=True):
            np.maximum(result, score, out=result, where=mask)
        return result


class DetectedFrame(Protocol):
    """Detections of a frame, as a `Detector` yields them."""

    @property
    def moving(self) -> Detections:
        """Moving objects."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Method that detects objects with scores, frame by frame."""

    def detect(self, video: Video) -> Iterator[DetectedFrame]:
        """Yield the detections of every frame."""
        ...
