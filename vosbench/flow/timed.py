"""Flow of one video: computed once, timed, described for records."""

from __future__ import annotations

import hashlib
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError
from vosbench.flow import GROUND_TRUTH
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import FlowEstimator, Precomputed
from vosbench.temporary import scratch_folder
from vosbench.video import FlowField, Frame, Video


class TimedEstimator:
    """Flow estimator that measures its time; fields of a cache cost nothing and do not count."""

    def __init__(self, estimator: FlowEstimator) -> None:
        self._estimator = estimator
        self.name = estimator.name
        self.settings = estimator.settings
        self.pairs = 0
        self.seconds = 0.0

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the flow from the first frame to the second."""
        start = time.perf_counter()
        field = self._estimator(first, second)
        self.seconds += time.perf_counter() - start
        self.pairs += 1
        return field


class TimedFlow:
    """Flow of one video, kept on disk while it is in use, or in a cache.

    Args:
        video: frames; flow of its own is replaced where there is an estimator.
        estimator: computes a pair, or reads files; None: the flow that the video has.
        cache: the cache root; None keeps fields in a temporary folder.

    Attributes:
        video: with flow, T-1 fields (2, H, W) float32, computed or read when indexed.

    Raises:
        InputError: precomputed files are missing.
    """

    def __init__(
        self, video: Video, estimator: FlowEstimator | Precomputed | None, cache: Path | None
    ) -> None:
        self.video = video
        self._estimator: TimedEstimator | Precomputed | None = None
        if estimator is None:
            return
        self._estimator = estimator if isinstance(estimator, Precomputed) else TimedEstimator(estimator)
        if cache is None and isinstance(self._estimator, TimedEstimator):
            scratch = scratch_folder("vosbench-flow")
            cache = scratch.__enter__()
            weakref.finalize(self._estimator, scratch.__exit__, None, None, None)
        self.video = attach_flow(video, self._estimator, cache, overwrite=True)

    def describe(self) -> dict[str, Any]:
        """Return estimator and settings, with the hash of flow that was not computed here.

        Raises:
            InputError: there is no ground-truth flow.
        """
        if self._estimator is None:
            return {"estimator": GROUND_TRUTH, "content": _flow_hash(self.video)}
        described = {"estimator": self._estimator.name, **self._estimator.settings}
        if isinstance(self._estimator, Precomputed):
            # other flow may be written to the same files later
            described["content"] = self._estimator.content_hash(self.video)
        return described

    def compute(self) -> dict[str, float]:
        """Compute all fields, so that the time of a method does not depend on whether others ran before.

        Returns:
            ``"flow"`` -> seconds per frame, where fields are computed and not read.
        """
        for _ in self.video.flow or ():
            pass
        estimator = self._estimator
        if not isinstance(estimator, TimedEstimator):
            return {}
        if not estimator.pairs and len(self.video) > 1:
            # all fields came from an earlier run's cache: one pair shows the time on this machine
            estimator(self.video.frames[0], self.video.frames[1])
        return {"flow": estimator.seconds / estimator.pairs} if estimator.pairs else {}


def _flow_hash(video: Video) -> str:
    if video.flow is None:
        raise InputError(f"{video.name}: there is no ground-truth flow; choose a flow estimator")
    digest = hashlib.sha256()
    for pair in video.flow:
        digest.update(np.ascontiguousarray(pair).data)
    return digest.hexdigest()
