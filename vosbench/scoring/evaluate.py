"""Evaluation of one method on one video under one or several protocols."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from vosbench.errors import InputError
from vosbench.given import Given, segment
from vosbench.method import Detector, Method, computed, computing
from vosbench.scoring.detections import score_detections
from vosbench.scoring.predictions import PredictionNote, PredictionStore
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, score_sequence
from vosbench.video import Video


class VideoFlow(Interface):
    """Optical flow of one video, see `vosbench.flow.timed.TimedFlow`."""

    def describe(self) -> dict[str, Any]:
        """Return estimator and settings, as records quote them."""
        ...

    def compute(self) -> dict[str, float]:
        """Compute all fields, which are kept; return step -> seconds per frame."""
        ...


@dataclass(frozen=True)
class ProtocolVideo:
    """One video under a protocol.

    Attributes:
        video: frames, ground truth as the protocol wants it, and flow that is computed when it is read.
        protocol: the rules.
        metrics: names of the metrics to compute.
        given: first mask of semi-supervised methods; None for the others.
        flow: what computes the flow; None without flow.
    """

    video: Video
    protocol: Protocol
    metrics: tuple[str, ...]
    given: Given | None = None
    flow: VideoFlow | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of one method on one video.

    Attributes:
        sequence: name of the video.
        note: origin of the prediction, its hash and its time.
        computed: whether the prediction was made now; False where an earlier one was scored again.
        scores: protocol id -> score, or the error of a protocol that cannot score the prediction.
        seconds: protocol id -> seconds per frame of scoring.
    """

    sequence: str
    note: PredictionNote
    computed: bool
    scores: Mapping[str, SequenceScore | Exception]
    seconds: Mapping[str, float]

    def score(self, protocol: str) -> SequenceScore:
        """Return the score under a protocol.

        Raises:
            Exception: the error of scoring.
        """
        score = self.scores[protocol]
        if isinstance(score, Exception):
            raise score
        return score


def evaluate_sequence(
    method: Method,
    videos: Sequence[ProtocolVideo],
    store: PredictionStore,
    *,
    note: PredictionNote | None = None,
    inputs: str = "",
    provenance: Callable[[], Mapping[str, Any]] = dict,
) -> Evaluation:
    """Predict a video once and score the prediction under every protocol.

    Masks go to the store frame by frame, so memory does not grow with the length of the video.

    Args:
        method: ready to segment; a `Detector` for a store of detections.
        videos: the same video under one or several protocols that give the method the same first mask.
        store: of the prediction.
        note: of a prediction that is in the store and is scored without running the method.
        inputs: hash of everything that the method is given, for the note; ``""`` writes no note.
        provenance: called after the prediction; its result goes into the note.

    Raises:
        InputError: the method cannot predict the video.
    """
    video, given, flow = videos[0].video, videos[0].given, videos[0].flow
    computed = note is None
    if note is None:
        seconds = flow.compute() if method.needs_flow and flow is not None else {}
        started = time.perf_counter()
        if store.holds_detections:
            content = _detect(method, video, store)
        else:
            content = store.save_ids(segment(method, video, given))
        seconds["segment"] = (time.perf_counter() - started) / len(video)
        note = PredictionNote(inputs, content, seconds, provenance())
        if inputs:
            store.save_note(note)
    scores: dict[str, SequenceScore | Exception] = {}
    times = {}
    for item in videos:
        started = time.perf_counter()
        try:
            scores[item.protocol.id] = _score(store, item)
        except Exception as error:  # the other protocols keep their scores
            scores[item.protocol.id] = error
        times[item.protocol.id] = (time.perf_counter() - started) / len(video)
    return Evaluation(video.name, note, computed, scores, times)


def _detect(method: Method, video: Video, store: PredictionStore) -> str:
    if not isinstance(method, Detector):
        raise InputError(f"{type(method).__name__} yields no detections, which the protocol scores")
    flow = video.flow if method.needs_flow else None
    # a method never sees the ground truth
    seen = Video(video.name, video.frames, video.frame_names, flow=flow)
    with computing(method):
        frames = method.detect(seen)
    return store.save_detections(video, (frame.moving for frame in computed(method, frames)))


def _score(store: PredictionStore, item: ProtocolVideo) -> SequenceScore:
    if store.holds_detections:
        return score_detections(store.path.read_bytes(), store.path, item.video, item.protocol)
    return score_sequence(store.read_ids(), item.video.annotations, item.protocol, item.metrics)
