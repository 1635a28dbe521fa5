"""Frames of a data set that move most and least: columns of a suite that count a tenth of them.

Which frames a paper counts there is often not published. Here the motion of a labelled frame is the
mean length of its flow to the next frame (of the last frame: from the one before), as a share of the
diagonal; the labelled frames of all sequences are ranked by it, the first tenth of them counts, of fewer
than 40 frames the first 4. All [ours].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import build_estimator
from vosbench.scoring.protocol import Protocol
from vosbench.video import Video

MOTIONS = ("most", "least")
SHARE = 0.1
LEAST = 4

Motion = Mapping[str, Sequence[float]]
"""Sequence -> motion of every evaluated frame."""


def measure_motion(
    videos: Iterable[Video],
    protocol: Protocol,
    flow: tuple[str, Mapping[str, object]],
    cache: Path | None,
) -> dict[str, list[float]]:
    """Return the motion of the evaluated frames of some sequences.

    Args:
        videos: the sequences.
        protocol: which frames count.
        flow: name and settings of an estimator.
        cache: keeps flow between runs.

    Raises:
        InputError: flow cannot be computed.
    """
    estimator = build_estimator(flow[0], **flow[1])
    moving = (attach_flow(video, estimator, cache, overwrite=True) for video in videos)
    return {
        video.name: [_motion(video, frame) for frame in protocol.evaluated(len(video), video.annotations)]
        for video in moving
    }


def select_frames(motion: Motion, which: str) -> dict[str, list[int]]:
    """Return the positions of the evaluated frames, sequence by sequence, that move most or least.

    A tenth of all, at least 4; ties in the order of the sequences.

    Args:
        motion: of every evaluated frame.
        which: one of `MOTIONS`.
    """
    frames = [(name, position) for name, values in motion.items() for position in range(len(values))]
    sign = -1.0 if which == "most" else 1.0
    frames.sort(key=lambda frame: sign * motion[frame[0]][frame[1]])
    kept: dict[str, list[int]] = {}
    for name, position in frames[: max(LEAST, round(SHARE * len(frames)))]:
        kept.setdefault(name, []).append(position)
    return {name: sorted(kept[name]) for name in motion if name in kept}


def mean_of_frames(values: Sequence[float | None], positions: Sequence[int]) -> float:
    """Return the mean over selected frames that have a value; NaN when none has."""
    known = [value for position in positions if (value := values[position]) is not None]
    return math.fsum(known) / len(known) if known else math.nan


def _motion(video: Video, frame: int) -> float:
    if not video.flow:
        raise InputError(f"{video.name}: frames are ranked by their motion, which a video of one frame lacks")
    field = np.asarray(video.flow[min(frame, len(video.flow) - 1)], np.float64)
    return float(np.hypot(field[0], field[1]).mean() / math.hypot(*field.shape[1:]))
