"""Camera files of the Scene Flow data sets: stereo camera-to-world matrices per frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_text

StereoPose = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Left and right (4, 4) camera-to-world matrices; camera axes: x right, y up, looking along -z."""

_MOST_DIGITS = 9


def read_cameras(path: Path) -> dict[int, StereoPose]:
    """Read ``camera_data.txt``: blocks of ``Frame n``, ``L`` and 16 numbers, ``R`` and 16 numbers.

    Returns:
        frame number -> (left, right) camera-to-world matrices (4, 4) float64, rows first in the file.

    Raises:
        InputError: the file is missing or a block is malformed.
    """
    try:
        text = read_bytes(path).decode("ascii")
    except UnicodeDecodeError:
        raise InputError(f"{path}: damaged, it is no plain text; copy it again") from None
    numbered = enumerate(text.splitlines(), start=1)
    lines = [(number, line.split()) for number, line in numbered if line.strip()]
    if not lines or len(lines) % 3:
        raise InputError(f"{path}: expected blocks of three lines (Frame, L, R), found {len(lines)} lines")
    cameras: dict[int, StereoPose] = {}
    for index in range(0, len(lines), 3):
        frame, left, right = lines[index : index + 3]
        number = _frame_number(path, *frame)
        if number in cameras:
            raise InputError(f"{path}, line {frame[0]}: a second block of frame {number}")
        cameras[number] = _matrix(path, *left, "L"), _matrix(path, *right, "R")
    return cameras


def write_cameras(path: Path, cameras: Mapping[int, StereoPose]) -> None:
    """Write ``camera_data.txt`` atomically, numbers in full precision.

    Args:
        path: file.
        cameras: frame number -> (left, right) camera-to-world matrices (4, 4).
    """
    text = ""
    for frame, poses in sorted(cameras.items()):
        left, right = (" ".join(map(repr, pose.ravel().tolist())) for pose in poses)
        text += f"Frame {frame}\nL {left}\nR {right}\n\n"
    write_text(path, text)


def _frame_number(path: Path, line: int, words: list[str]) -> int:
    if len(words) != 2 or words[0] != "Frame" or not words[1].isdigit() or len(words[1]) > _MOST_DIGITS:
        raise InputError(f"{path}, line {line}: expected 'Frame' and a number")
    return int(words[1])


def _matrix(path: Path, line: int, words: list[str], side: str) -> NDArray[np.float64]:
    if words[0] != side or len(words) != 17:
        raise InputError(f"{path}, line {line}: expected '{side}' and 16 numbers")
    try:
        pose = np.array([float(word) for word in words[1:]]).reshape(4, 4)
    except ValueError:
        raise InputError(f"{path}, line {line}: one of the 16 values is not a number") from None
    if not np.isfinite(pose).all():
        raise InputError(f"{path}, line {line}: one of the 16 values is not finite")
    return pose
