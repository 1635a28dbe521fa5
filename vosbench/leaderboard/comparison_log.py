"""Log of a comparison as tables, curves and pictures: files, TensorBoard or Weights & Biases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.formats.png import read_ids
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.board import Board
from vosbench.metrics.specs import frame_measures
from vosbench.training.loggers import Cell, Log, LoggedFrame, open_log
from vosbench.video import VOID, IdMap, Video

FRAMES = 3
"""Frames shown of every sequence."""


def log_comparison(
    out: Path,
    kind: str,
    records: Iterable[Record],
    videos: Mapping[str, Sequence[Video]],
    lengths: Mapping[tuple[str, str], int] | None = None,
) -> Path:
    """Log a comparison: per board a table of methods, one of sequences, curves and pictures.

    Args:
        out: the folder of the comparison, with ``masks/``.
        kind: one of `vosbench.training.loggers.LOGGERS`.
        records: of the comparison.
        videos: label (``"davis16"``, ``"davis16-mini"``) -> the videos that were run.
        lengths: label and split -> number of sequences, see `make_boards`.

    Returns:
        The folder of the log.

    Raises:
        InputError: unknown kind, or a frame or a mask cannot be read.
    """
    folder = out / "logs" / kind
    boards = make_boards(records, split_sizes=lengths)
    log = open_log(kind, folder, f"compare-{out.name}")
    try:
        for board in boards:
            _log_board(log, board, videos.get(board.label, ()), out / "masks")
    finally:
        log.close()
    return folder


def _log_board(log: Log, board: Board, videos: Sequence[Video], masks: Path) -> None:
    title = f"{board.label}/{board.split}/{board.protocol.id}"
    log.table(f"{title}/methods", *_methods(board))
    log.table(f"{title}/sequences", *_sequences(board))
    by_name = {video.name: video for video in videos}
    for sequence in board.sequences:
        lines = _lines(board, sequence)
        if lines:
            log.curves(f"{title}/curves/{sequence}", lines)
        if sequence in by_name:
            scenes = list(_scenes(board, by_name[sequence], masks))
            log.pictures(f"{title}/pictures/{sequence}", scenes)


def _methods(board: Board) -> tuple[list[str], list[list[Cell]]]:
    """Return a row per method: data-set values, each with the ends of its 95 % interval."""
    columns = [name for metric in board.metrics for name in (metric, f"{metric} from", f"{metric} to")]
    rows: list[list[Cell]] = []
    for row in board.rows:
        cells: list[Cell] = [row.name, f"{len(row.records)} of {board.expected}"]
        for metric in board.metrics:
            interval = row.intervals.get(metric)
            ends = (None, None) if interval is None else (interval.low, interval.high)
            cells += [row.values.get(metric), *map(_known, ends)]
        rows.append(cells)
    return ["method", "sequences", *columns], rows


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _sequences(board: Board) -> tuple[list[str], list[list[Cell]]]:
    """Return a row per sequence and method."""
    rows: list[list[Cell]] = [
        [sequence, row.name, *(row.records[sequence].values.get(metric) for metric in board.metrics)]
        for sequence in board.sequences
        for row in board.rows
        if sequence in row.records
    ]
    return ["sequence", "method", *board.metrics], rows


def _lines(board: Board, sequence: str) -> dict[str, Sequence[float | None]]:
    """Return the values of the evaluated frames of a sequence by method; none without such a measure."""
    records = {row.name: row.records[sequence] for row in board.rows if sequence in row.records}
    for letter in frame_measures():
        lines = {name: values for name, record in records.items() if (values := record.per_frame.get(letter))}
        if lines:
            return dict(lines)
    return {}


def _scenes(board: Board, video: Video, masks: Path) -> Iterator[LoggedFrame]:
    """Yield frames with ground truth, spread evenly over a video, and the masks that were kept of them."""
    evaluated = [i for i in board.protocol.evaluated(len(video), video.annotations) if i in video.annotations]
    middles = [(2 * part + 1) * len(evaluated) // (2 * FRAMES) for part in range(FRAMES)]
    for index in dict.fromkeys(evaluated[middle] for middle in middles if evaluated):
        name = video.frame_names[index]
        shown = {"ground truth": _truth(board, video.annotations[index])}
        for row in board.rows:
            file = masks / board.label / row.model / video.name / f"{name}.png"
            if file.is_file():
                shown[row.name] = _mask(file, shown["ground truth"])
        yield LoggedFrame(name, video.frames[index], shown)


def _truth(board: Board, target: IdMap) -> IdMap:
    """Return ground truth to draw: where void counts as an object, it looks like one."""
    if board.protocol.void != "foreground":
        return target
    return np.where(target == VOID, VOID - 1, target).astype(np.uint8)


def _mask(file: Path, target: IdMap) -> IdMap:
    ids = read_ids(file)
    if ids.shape != target.shape:
        raise InputError(f"{file}: not the size of its frame; delete this folder of masks")
    return ids
