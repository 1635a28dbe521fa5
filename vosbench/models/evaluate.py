"""One method on one video: segmented once, scored under a protocol."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vosbench.data.protocol_video import ProtocolVideo
from vosbench.given import Given, first_labelled, segment
from vosbench.method import Method
from vosbench.scoring.predictions import PredictionStore
from vosbench.scoring.sequence import SequenceScore, score_sequence
from vosbench.video import IdMap, Video


@dataclass(frozen=True)
class Evaluation:
    """What one method scored on one video.

    Attributes:
        sequence: name of the video.
        score: under the protocol.
        content: hash of the masks, see `vosbench.scoring.predictions.ids_hash`.
        seconds_per_frame: step (``"flow"``, ``"segment"``, ``"score"``) -> seconds.
    """

    sequence: str
    score: SequenceScore
    content: str
    seconds_per_frame: Mapping[str, float]


def evaluate_sequence(method: Method, sequence: ProtocolVideo, folder: Path | None = None) -> Evaluation:
    """Segment a video and score its masks; memory does not grow with the length of the video.

    Args:
        method: ready to segment.
        sequence: the video with the ground truth of a protocol, and lazy flow for methods that read flow.
        folder: gets the masks, ``FRAME.png``; None: they are removed again.

    Raises:
        InputError: the method cannot segment the video, or the masks cannot be scored.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="vosbench-masks-") as temporary:
            return evaluate_sequence(method, sequence, Path(temporary) / sequence.video.name)
    video, seconds = sequence.video, {}
    if method.needs_flow and video.flow is not None:
        started = time.perf_counter()
        for _ in video.flow:
            pass
        seconds["flow"] = (time.perf_counter() - started) / len(video)
    given = first_labelled(video) if method.task == "semi-supervised" else None
    store = PredictionStore(folder, video.frame_names)
    started = time.perf_counter()
    content = store.save_ids(segmented(method, video, given))
    seconds["segment"] = (time.perf_counter() - started) / len(video)
    started = time.perf_counter()
    score = score_sequence(store.read_ids(), video.annotations, sequence.protocol, sequence.metrics)
    seconds["score"] = (time.perf_counter() - started) / len(video)
    return Evaluation(video.name, score, content, seconds)


def segmented(method: Method, video: Video, given: Given | None) -> Iterator[IdMap]:
    """Yield the ids of every frame, checked; the method sees no ground truth but the mask it is given.

    Args:
        method: ready to segment.
        video: T frames, with flow when the method reads flow.
        given: where a semi-supervised method starts.

    Raises:
        ValueError: the method returned something else than (H, W) uint8 ids.
    """
    blind = replace(video, annotations={}, flow=video.flow if method.needs_flow else None)
    size = video.frames[0].shape[:2]
    for index, ids in enumerate(segment(method, blind, given)):
        if ids.shape != size or ids.dtype != np.uint8:
            raise ValueError(f"frame {index}: the method returned {ids.dtype} {ids.shape}, not uint8 {size}")
        yield ids
