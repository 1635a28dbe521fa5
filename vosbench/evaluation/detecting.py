"""Protocols that score detections: the method detects, a file keeps what it found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol as Interface
from typing import runtime_checkable

from vosbench.errors import InputError
from vosbench.evaluation.detections import DetectionFolder
from vosbench.method import Method
from vosbench.models.postprocessing.detections import Detections, write_detections
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore
from vosbench.video import Video


class Found(Interface):
    """What a detector yields for a frame."""

    @property
    def moving(self) -> Detections:
        """What moves in it."""
        ...


@runtime_checkable
class Detector(Interface):
    """A method that finds objects with scores, frame by frame."""

    def detect(self, video: Video) -> Iterator[Found]:
        """Yield what is found in each frame."""
        ...


def detections_path(masks: Path) -> Path:
    """Return the file of detections that stands where other methods have the folder `masks`."""
    return masks.with_name(f"{masks.name}.json")


def detect(name: str, method: Method, video: Video, file: Path) -> None:
    """Write the detections of a video.

    Args:
        name: of the method.
        method: which must be a `Detector`.
        video: without ground truth.
        file: where detections are written, ``<folder>/<sequence>.json``.

    Raises:
        InputError: the method detects nothing.
    """
    if not isinstance(method, Detector):
        raise InputError(f"{name} finds no detections, which the protocol scores")
    write_detections(file.parent, video, (frame.moving for frame in method.detect(video)))


def score_detections(file: Path, video: Video, protocol: Protocol) -> SequenceScore:
    """Score a file of detections.

    Raises:
        InputError: the file cannot be used, or the library that scores is not there.
    """
    return DetectionFolder.open(file.parent, [video.name], protocol).score(video)
