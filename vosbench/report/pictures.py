"""Pictures of a few sequences: the frame, the ground truth and what each method made of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.benchmark.evaluate import LOWER_IS_BETTER
from vosbench.data.formats.png import read_ids
from vosbench.data.video import VOID, Frame, Video
from vosbench.errors import InputError
from vosbench.inference.overlay import overlay
from vosbench.report.board import Board, Row
from vosbench.report.tables import show
from vosbench.report.thumbnail import thumbnail

WIDTH = 320
"""Pixels a picture is wide."""


@dataclass(frozen=True)
class Picture:
    """One picture with what it shows.

    Attributes:
        caption: short text below.
        alt: what is to be seen, for those who cannot see it.
        uri: ``data:`` address; ``""`` when there is no mask to show.
    """

    caption: str
    alt: str
    uri: str


@dataclass(frozen=True)
class Strip:
    """The pictures of one sequence.

    Attributes:
        sequence: name.
        why: why this sequence was chosen.
        frame: name of the frame shown.
        pictures: frame, ground truth, then one per method.
    """

    sequence: str
    why: str
    frame: str
    pictures: tuple[Picture, ...]


def strips(board: Board, videos: Sequence[Video], masks: Path) -> list[Strip]:
    """Return pictures of the sequence that was easiest for all methods, the median and the hardest.

    Args:
        board: which methods and sequences there are.
        videos: the data set of the board.
        masks: folder with ``<model>/<sequence>/<frame>.png``.

    Raises:
        InputError: a frame or a mask cannot be read.
    """
    by_name = {video.name: video for video in videos}
    return [
        _strip(board, by_name[name], why, masks) for name, why in chosen_sequences(board) if name in by_name
    ]


def chosen_sequences(board: Board) -> list[tuple[str, str]]:
    """Return (sequence, why) of up to three sequences, by the mean over methods of the first metric."""
    if not board.metrics:
        return []
    metric = board.metrics[0]
    means: dict[str, float] = {}
    for name in board.sequences:
        records = [row.records[name] for row in board.rows if name in row.records]
        values = [value for record in records if (value := record.values.get(metric)) is not None]
        if values:
            means[name] = sum(values) / len(values)
    best_first = sorted(means, key=lambda name: (means[name], name), reverse=metric not in LOWER_IS_BETTER)
    if not best_first:
        return []
    places = {0: "easiest", len(best_first) - 1: "hardest", len(best_first) // 2: "median"}
    if len(best_first) == 1:
        places = {0: "only sequence"}
    elif len(best_first) == 2:
        places = {0: "easier", 1: "harder"}
    return [
        (best_first[place], f"{places[place]}: mean {metric} {show(metric, means[best_first[place]])}")
        for place in sorted(places)
    ]


def _strip(board: Board, video: Video, why: str, masks: Path) -> Strip:
    index = _middle(board, video)
    frame, target = video.frames[index], video.annotations.get(index)
    pictures = [Picture("frame", f"Frame of {video.name}", _uri(frame))]
    if target is not None:
        # 255 is an object like any other in some sets and unlabelled in others; show what is scored
        scored = target if board.protocol.void == "foreground" else target * (target != VOID)
        pictures.append(
            Picture("ground truth", f"Ground truth of {video.name}", _uri(overlay(frame, scored)))
        )
    name = video.frame_names[index]
    pictures += [
        _of_method(row, video.name, frame, masks / row.model / video.name / f"{name}.png")
        for row in board.rows
    ]
    return Strip(video.name, why, name, tuple(pictures))


def _of_method(row: Row, sequence: str, frame: Frame, mask: Path) -> Picture:
    if not mask.is_file():
        return Picture(row.name, f"No mask of {row.name} on {sequence} was kept", "")
    ids = read_ids(mask)
    if ids.shape != frame.shape[:2]:
        raise InputError(f"{mask}: not the size of the frames of {sequence}; delete this folder of masks")
    return Picture(row.name, f"Mask of {row.name} on {sequence}", _uri(overlay(frame, ids)))


def _middle(board: Board, video: Video) -> int:
    """Return the evaluated frame with ground truth that is nearest to the middle of the video."""
    evaluated = set(board.protocol.evaluated(len(video), video.annotations))
    candidates = [i for i in video.annotations if i in evaluated] or [len(video) // 2]
    return min(candidates, key=lambda i: abs(2 * i - len(video) + 1))


def _uri(picture: Frame) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(thumbnail(picture, WIDTH)).decode('ascii')}"
