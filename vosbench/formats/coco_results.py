"""Detections of a video in the format of COCO results: one list of JSON objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vosbench.errors import InputError
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
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); write it again") from None
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise InputError(f"{where}: expected a list of detections in the format of COCO results")
    known = set(video.frame_names)
    found: dict[str, list[Detection]] = {}
    for number, item in enumerate(entries, start=1):
        name = item.get("image_id")
        if not isinstance(name, str) or name not in known:
            raise InputError(
                f"{where}: detection {number} has image_id {name!r}; give the name of a frame of "
                f"{video.name}, as text, e.g. '{video.frame_names[0]}'"
            )
        found.setdefault(name, []).append(item)
    return found
