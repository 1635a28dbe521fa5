"""Frames of a sequence that have no mask, and whether a number depends on them."""

from __future__ import annotations

from typing import NamedTuple

from vosbench.evaluation.results.files import SequenceFiles
from vosbench.scoring.protocol import Protocol
from vosbench.video import Video

SPARSE = ("annotated", "after_first")
"""Frame rules of data sets that label few frames: results may leave out the others."""


class MissingFrames(NamedTuple):
    """Frames of a sequence that have no mask although they are needed.

    Attributes:
        names: of all missing frames.
        ends: places of the missing frames that are not evaluated: ``"first"``, ``"last"``.
        is_harmless: whether no number depends on a missing frame, and every file is named after a frame.
        note: one line on harmless missing frames, the same for every sequence.
    """

    names: tuple[str, ...]
    ends: tuple[str, ...]
    is_harmless: bool
    note: str


def evaluated_names(video: Video, protocol: Protocol) -> list[str]:
    """Return the names of the frames that count."""
    return [video.frame_names[index] for index in protocol.evaluated(len(video), video.annotations)]


def needed_names(video: Video, protocol: Protocol) -> list[str]:
    """Return the names of the frames that results must have.

    Where every frame has ground truth these are all frames: a first or last one that is not evaluated may
    be missing, but its mask shows whether the names are shifted by one.
    """
    return evaluated_names(video, protocol) if protocol.frames in SPARSE else list(video.frame_names)


def missing_frames(files: SequenceFiles, video: Video, protocol: Protocol) -> MissingFrames:
    """Return the needed frames that have no mask."""
    names = tuple(name for name in needed_names(video, protocol) if name not in files.frames)
    counted = set(evaluated_names(video, protocol))
    ends_of = {video.frame_names[-1]: "last", video.frame_names[0]: "first"}
    ends = tuple(ends_of[name] for name in names if name not in counted)
    only_ends = bool(names) and len(ends) == len(names)
    is_harmless = only_ends and bool(files.frames) and files.frames.keys() <= set(video.frame_names)
    note = f"no mask of the {' and the '.join(ends)} frame, which {protocol.id} does not evaluate"
    return MissingFrames(names, ends, is_harmless, note)
