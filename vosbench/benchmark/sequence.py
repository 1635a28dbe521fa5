"""What all methods of a job share: the sequence under every protocol, its hashes, its flow."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.benchmark.job import GROUND_TRUTH, Job, Rules
from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.errors import InputError
from vosbench.evaluation.store import VideoHashes, hash_videos
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import FlowEstimator, Precomputed, build_estimator
from vosbench.given import Given, first_labelled
from vosbench.video import FlowField, Frame, Video

_OPENED = 8
"""Splits a process keeps open; listing their files takes longer than a short sequence."""


class TimedEstimator:
    """A flow estimator that knows how long it took: cached fields cost nothing and do not count."""

    def __init__(self, estimator: FlowEstimator) -> None:
        self._estimator = estimator
        self.name = estimator.name
        self.settings = estimator.settings
        self.pairs = 0
        self.seconds = 0.0

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the flow from the first frame to the second, and count."""
        start = time.perf_counter()
        field = self._estimator(first, second)
        self.seconds += time.perf_counter() - start
        self.pairs += 1
        return field


@dataclass(frozen=True)
class Scene:
    """A sequence as the methods of a job meet it.

    Attributes:
        video: frames, with flow where an estimator gives it; annotated as under the first protocol.
        truths: protocol id -> the video with the annotations it is scored with.
        hashes: protocol id -> of that video.
        estimator: of the flow; None: that which the video has.
    """

    video: Video
    truths: Mapping[str, Video]
    hashes: Mapping[str, VideoHashes]
    estimator: TimedEstimator | Precomputed | None

    def describe_flow(self) -> dict[str, Any]:
        """Return the estimator and its settings, with the hash of flow that was not computed here.

        Raises:
            InputError: there is no ground-truth flow.
        """
        if self.estimator is None:
            return {"estimator": GROUND_TRUTH, "content": _flow_hash(self.video)}
        described = {"estimator": self.estimator.name, **self.estimator.settings}
        if isinstance(self.estimator, Precomputed):
            # Files of the same name may hold other flow tomorrow.
            described["content"] = self.estimator.content_hash(self.video)
        return described

    def compute_flow(self) -> dict[str, float]:
        """Fill the flow cache, so that the time of a model does not depend on who came first.

        Returns:
            Step -> seconds per frame, of what was computed.
        """
        video, estimator = self.video, self.estimator
        assert video.flow is not None
        for _ in video.flow:
            pass
        if estimator is None or isinstance(estimator, Precomputed):
            return {}
        if not estimator.pairs and len(video) > 1:
            # All came from an earlier run's cache: one pair tells what computing it costs here.
            estimator(video.frames[0], video.frames[1])
        return {"flow": estimator.seconds / estimator.pairs} if estimator.pairs else {}


@contextmanager
def open_scene(job: Job) -> Iterator[Scene]:
    """Open the sequence of a job; without a flow cache, flow lives as long as the block.

    Raises:
        InputError: the data set or a frame cannot be read.
    """
    videos = [_opened(job, index)[rules.index] for index, rules in enumerate(job.rules)]
    ids = [rules.protocol.id for rules in job.rules]
    hashes = dict(zip(ids, hash_videos(videos), strict=True))
    scene = Scene(videos[0], dict(zip(ids, videos, strict=True)), hashes, _estimator(job))
    if scene.estimator is None:
        yield scene
        return
    with _flow_folder(job.cache) as folder:
        yield replace(scene, video=attach_flow(scene.video, scene.estimator, folder, overwrite=True))


def given_mask(job: Job, scene: Scene, rules: Rules) -> Given:
    """Return where semi-supervised methods start: the first mask of the sequence.

    It is that of another data set where the protocol says so, which labels the same pixels by object.

    Raises:
        InputError: there is no mask, or the other data set lacks the sequence or shows something else.
    """
    own = first_labelled(scene.truths[rules.protocol.id])
    elsewhere = rules.protocol.given
    # sequences of the miniature have one object each
    if not elsewhere or job.edition == "mini":
        return own
    other = _open(job, elsewhere["dataset"], elsewhere["split"], ())
    found = next((video for video in other if video.name == job.sequence), None)
    if found is None:
        raise InputError(
            f"{other.label} {other.split} has no sequence {job.sequence}, whose objects are given"
        )
    given = first_labelled(found)
    if given.frame != own.frame or not np.array_equal(given.ids != 0, own.ids != 0):
        raise InputError(
            f"{job.sequence}: the first mask of {other.label} covers other pixels than that of {job.label}; "
            "take both from the official archives at one resolution"
        )
    return given


def _opened(job: Job, index: int) -> Dataset:
    rules = job.rules[index]
    options = tuple(sorted(rules.protocol.reader_options(job.dataset).items()))
    return _open(job, job.dataset, rules.split, options)


def _open(job: Job, name: str, split: str, options: tuple[tuple[str, str], ...]) -> Dataset:
    if not job.call:
        return open_dataset(name, job.root, split, **dict(options))
    return _open_once(job.call, name, job.root, split, options)


@lru_cache(_OPENED)
def _open_once(call: str, name: str, root: Path, split: str, options: tuple[tuple[str, str], ...]) -> Dataset:
    # files may change between two calls, not within one
    return open_dataset(name, root, split, **dict(options))


def _flow_hash(video: Video) -> str:
    if video.flow is None:
        raise InputError(f"{video.name}: there is no ground-truth flow; choose a flow estimator")
    digest = hashlib.sha256()
    for pair in video.flow:
        digest.update(np.ascontiguousarray(pair).data)
    return digest.hexdigest()


def _estimator(job: Job) -> TimedEstimator | Precomputed | None:
    if job.flow == GROUND_TRUTH:
        return None
    estimator = build_estimator(job.flow, **job.flow_settings)
    return estimator if isinstance(estimator, Precomputed) else TimedEstimator(estimator)


@contextmanager
def _flow_folder(cache: Path | None) -> Iterator[Path]:
    """Yield the flow cache; without one, a folder that lives as long as the block."""
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="vosbench-flow-") as folder:
        yield Path(folder)
