"""Data for the script of the page as one block of JSON: records, values of every frame, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vosbench.data.catalogue import catalogue
from vosbench.evaluation.record import Record
from vosbench.leaderboard.board import Board, BoardRow, PublishedComparison
from vosbench.leaderboard.html.curves import places
from vosbench.leaderboard.html.pictures import Album
from vosbench.leaderboard.tables import board_title, remark_parts, show, show_interval
from vosbench.metrics.specs import frame_measures
from vosbench.video import Video

_FRAME_STEPS = 1000
"""Values of frames are sent as whole numbers of this part: more digits would not show in a chart."""

_DIGITS = 6


def payload(boards: Sequence[Board], videos: Mapping[str, Sequence[Video]], album: Album) -> str:
    """Return JSON that may stand inside ``<script type="application/json">`` whatever names it holds.

    Args:
        boards: what the page shows, in order.
        videos: label (``"davis16-mini"``) -> the data set, which knows the frames with ground truth.
        album: the pictures.
    """
    by_label = {label: {video.name: video for video in split} for label, split in videos.items()}
    pictures: dict[str, dict[str, Any]] = {}
    for (label, sequence), pictured in album.of.items():
        pictures.setdefault(label, {})[sequence] = pictured.content
    content = {
        "boards": [_board(board, by_label.get(board.label, {})) for board in boards],
        "pictures": pictures,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # the only way out of a script element is "<": names of sequences and commands are not ours
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def anchor(board: Board) -> str:
    """Return the id of a board's section of the page."""
    return f"{board.label}-{board.split}-{board.protocol.id}"


def _board(board: Board, videos: Mapping[str, Video]) -> dict[str, Any]:
    return {
        "title": board_title(board),
        "label": board.label,
        "source": _source_of_pictures(board),
        "void": board.protocol.void,
        "union": board.protocol.objects == "union",
        "metrics": board.metrics,
        "sequences": {name: _sequence(board, name, videos.get(name)) for name in board.sequences},
        "rows": [_row(board, row) for row in board.rows],
    }


def _source_of_pictures(board: Board) -> str:
    """Return the line shown where a sequence has no pictures."""
    if board.mini or board.dataset not in (known := catalogue()):
        return "No pictures of this sequence here: vosbench compare writes a page that has them."
    title = known[board.dataset].title
    return (
        f"No pictures of {title} here, the frames are its authors'. On your copy of the data, "
        f"vosbench compare --datasets {board.dataset} --data-root FOLDER writes a page that has them; "
        f"vosbench data list {board.dataset} names where to get it."
    )


def _sequence(board: Board, name: str, video: Video | None) -> dict[str, Any]:
    """Return the number of frames and the index of each value of a frame."""
    records = [row.records[name] for row in board.rows if name in row.records]
    # no record has the length where every method failed, nor do published values of objects
    frames = len(video) if video else max([1, *(record.frames for record in records)])
    counts = [
        len(record.per_frame[letter])
        for record in records
        for letter in record.per_frame.keys() & {*frame_measures()}
    ]
    annotated = None if video is None else video.annotations
    at = places(board.protocol.evaluated(frames, annotated), max(counts, default=0), frames)
    return {"frames": frames, "at": [round(index) for index in at]}


def _row(board: Board, row: BoardRow) -> dict[str, Any]:
    records = list(row.records.values())
    first = records[0].provenance if records else {}
    common = {
        key: value
        for key, value in first.items()
        if all(record.provenance.get(key) == value for record in records)
    }
    return {
        "name": row.name,
        "model": row.model,
        "kind": row.kind,
        "status": [row.status.kind, row.status.evidence],
        "values": {name: _shown(name, row.values.get(name)) for name in board.metrics},
        "intervals": {name: text for name in board.metrics if (text := show_interval(row, name))},
        "published": [_comparison(item) for item in row.comparisons],
        "provenance": common,
        "records": {name: _record(record, common) for name, record in sorted(row.records.items())},
        "failures": dict(sorted(row.failures.items())),
        "path": f"{board.label}/{board.protocol.id}/{row.model}/",
    }


def _record(record: Record, common: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "values": {name: _shown(name, value) for name, value in record.values.items()},
        "frames": {
            letter: [None if value is None else round(value * _FRAME_STEPS) for value in values]
            for letter in frame_measures()
            if (values := record.per_frame.get(letter)) is not None
        },
        "seconds": {step: round(value, _DIGITS) for step, value in record.seconds_per_frame.items()},
        "key": record.key,
        "provenance": {key: value for key, value in record.provenance.items() if key not in common},
    }


def _shown(name: str, value: float | None) -> list[Any] | None:
    return None if value is None else [round(value, _DIGITS), show(name, value)]


def _comparison(item: PublishedComparison) -> dict[str, Any]:
    return {
        "metric": item.metric,
        "published": show(item.metric, item.published.value),
        "measured": show(item.metric, item.measured),
        "difference": show(item.metric, item.difference, sign=True),
        "verdict": item.verdict.kind,
        "source": f"{item.published.paper}, {item.published.table}",
        "remarks": remark_parts(item),
    }
