"""Provenance of computed flow: ``provenance.json`` beside the files of a sequence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_text
from vosbench.plain_data import parse_json
from vosbench.video import Frame

FILE = "provenance.json"
_FORMAT = 1


def frame_digest(frame: Frame) -> str:
    """Return a hash of the size and the pixels of a frame, as hexadecimal digits."""
    content = hashlib.blake2b(str(frame.shape).encode(), digest_size=16)
    content.update(frame.tobytes())
    return content.hexdigest()


def describe(
    estimator: str, settings: Mapping[str, Any], direction: str, frames: Mapping[str, str]
) -> dict[str, Any]:
    """Return the content of a provenance file.

    Args:
        estimator: its name.
        settings: its settings, library versions included; JSON values.
        direction: ``"forward"`` or ``"backward"``.
        frames: frame name -> `frame_digest` of it.
    """
    return {
        "format": _FORMAT,
        "estimator": estimator,
        "settings": dict(settings),
        "direction": direction,
        "frames": dict(frames),
    }


def write_provenance(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the provenance of the flow in `folder`, atomically."""
    write_text(folder / FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """Return the provenance of the flow in `folder`; None when it has none.

    Raises:
        InputError: the file is damaged, or of another program.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = parse_json(read_bytes(path, 1 << 26), path)
    except InputError:
        content = None
    if not isinstance(content, dict) or not _is_provenance(content):
        raise InputError(f"{path}: damaged, or not a provenance of flow; remove it to use the flow unchecked")
    return content


def _is_provenance(content: dict[str, Any]) -> bool:
    frames = content.get("frames")
    return (
        content.get("format") == _FORMAT
        and isinstance(content.get("estimator"), str)
        and isinstance(content.get("settings"), dict)
        and content.get("direction") in ("forward", "backward")
        and isinstance(frames, dict)
        and all(isinstance(value, str) for value in frames.values())
    )
