"""A job whose protocol scores detections: the method detects, a file keeps what it found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol as Interface
from typing import runtime_checkable

from vosbench.benchmark.detections import DetectionFolder
from vosbench.benchmark.evaluate import SequenceScore
from vosbench.benchmark.protocols import Protocol
from vosbench.data.video import Video
from vosbench.errors import InputError
from vosbench.inference.detections import Detections, write_detections
from vosbench.models.base import Method


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


def detect(
    name: str, method: Method, video: Video, protocol: Protocol, file: Path
) -> tuple[SequenceScore, dict[str, float]]:
    """Write the detections of a video and score them.

    Args:
        name: of the method.
        method: which must be a `Detector`.
        video: with ground truth, which the method does not see.
        protocol: one of detections.
        file: where detections are written, ``<folder>/<sequence>.json``.

    Returns:
        Score, and step -> seconds per frame.

    Raises:
        InputError: the method detects nothing, or the library that scores is not there.
    """
    if not isinstance(method, Detector):
        raise InputError(f"{name} finds no detections, which protocol {protocol.id} scores")
    started = time.perf_counter()
    blind = replace(video, annotations={}, flow=video.flow if method.needs_flow else None)
    write_detections(file.parent, video, (frame.moving for frame in method.detect(blind)))
    detected = time.perf_counter()
    score = DetectionFolder.open(file.parent, [video.name], protocol).score(video)
    scored = time.perf_counter()
    length = len(video)
    return score, {"segment": (detected - started) / length, "score": (scored - detected) / length}
