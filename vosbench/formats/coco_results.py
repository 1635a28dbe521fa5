"""Detections of a video in the format of COCO results: one list of JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError, shown
from vosbench.files import write_text
from vosbench.formats.run_length import compress, run_lengths
from vosbench.method import Detections
from vosbench.plain_data import parse_json
from vosbench.video import Video

Detection = dict[str, Any]
"""``image_id``, ``score``, ``segmentation`` and others; the values are as they are in the file."""


def detections_by_frame(content: bytes, where: Path, video: Video) -> dict[str, list[Detection]]:
    """Return the detections of each frame that has some, in the order of the file.

    ``image_id`` is the name of the frame.

    Args:
        content: of the file.
        where: the file, for messages.
        video: whose frames they are of.

    Raises:
        InputError: no JSON, no list of detections, or one of a frame that the video lacks.
    """
    entries = parse_json(content, where)
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise InputError(f"{where}: expected a list of detections in the format of COCO results")
    known = set(video.frame_names)
    by_frame: dict[str, list[Detection]] = {}
    for number, item in enumerate(entries, start=1):
        name = item.get("image_id")
        if not isinstance(name, str) or name not in known:
            raise InputError(
                f"{where}: detection {number} has image_id {shown(name)}; give the name of a frame of "
                f"{video.name}, as text, e.g. '{video.frame_names[0]}'"
            )
        by_frame.setdefault(name, []).append(item)
    return by_frame


def write_detections(folder: Path, video: Video, detections: Iterable[Detections]) -> Path:
    """Write ``SEQUENCE.json`` in the format of COCO results, as the protocol ``davis16-map50`` reads it.

    Args:
        folder: where; it is made.
        video: whose detections they are.
        detections: one item per frame, in order.

    Returns:
        The file.

    Raises:
        ValueError: another number of items than the video has frames.
    """
    entries = [
        entry
        for name, of_frame in zip(video.frame_names, detections, strict=True)
        for entry in _entries(name, of_frame)
    ]
    path = folder / f"{video.name}.json"
    write_text(path, json.dumps(entries, separators=(",", ":")) + "\n")
    return path


def _entries(name: str, detections: Detections) -> list[dict[str, Any]]:
    corners = detections.boxes.astype(np.float64)
    return [
        {
            "image_id": name,
            "category_id": 1,
            "score": float(score),
            "bbox": [round(float(value), 3) for value in (x0, y0, x1 - x0, y1 - y0)],
            "segmentation": {"size": list(mask.shape), "counts": compress(run_lengths(mask))},
        }
        for (x0, y0, x1, y1), score, mask in zip(corners, detections.scores, detections.masks, strict=True)
    ]
