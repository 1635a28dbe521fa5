"""Sequence of a job under its protocols: videos, flow, first masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from vosbench.benchmark.job import Job, ProtocolRun
from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.given_mask import given_mask
from vosbench.flow import GROUND_TRUTH
from vosbench.flow.estimators import build_estimator
from vosbench.flow.timed import TimedFlow
from vosbench.given import Given
from vosbench.scoring.evaluate import ProtocolVideo
from vosbench.video import Video

_OPENED = 8
"""Splits that a process keeps open; listing their files takes longer than a short sequence."""


def open_videos(job: Job) -> dict[str, ProtocolVideo]:
    """Return protocol id -> the sequence of a job under the protocol, with its flow.

    Raises:
        InputError: the data set cannot be read, or precomputed flow is missing.
    """
    videos = {run.protocol.id: _split(job, run)[1][job.sequence] for run in job.runs}
    estimator = None if job.flow == GROUND_TRUTH else build_estimator(job.flow, **job.flow_settings)
    flow = TimedFlow(next(iter(videos.values())), estimator, job.cache)
    return {
        run.protocol.id: ProtocolVideo(
            replace(videos[run.protocol.id], flow=flow.video.flow), run.protocol, run.metrics, flow=flow
        )
        for run in job.runs
    }


def given_in(job: Job, run: ProtocolRun, video: Video) -> Given | None:
    """Return the first mask that a protocol gives, see `vosbench.data.given_mask`.

    Raises:
        InputError: there is no such mask.
    """

    def open_split(name: str, split: str) -> Mapping[str, Video]:
        return _open(job.call, name, job.root, split, ())[1]

    return given_mask(video, run.protocol, _split(job, run)[0], open_split)


def _split(job: Job, run: ProtocolRun) -> tuple[Dataset, Mapping[str, Video]]:
    options = tuple(sorted(run.protocol.reader_options(job.dataset).items()))
    return _open(job.call, job.dataset, job.root, run.split, options)


def _open(
    call: str, name: str, root: Path, split: str, options: tuple[tuple[str, str], ...]
) -> tuple[Dataset, Mapping[str, Video]]:
    # files may change between two calls, not within one
    opening = _open_once if call else _open_once.__wrapped__
    return opening(call, name, root, split, options)


@lru_cache(_OPENED)
def _open_once(
    call: str, name: str, root: Path, split: str, options: tuple[tuple[str, str], ...]
) -> tuple[Dataset, Mapping[str, Video]]:
    """Open a split once per process and call; return it, and its videos by name."""
    dataset = open_dataset(name, root, split, **dict(options))
    return dataset, {video.name: video for video in dataset}
