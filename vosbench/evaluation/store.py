"""Records on disk: reading, keys, hashes of videos, provenance of a process."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import vosbench
from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record
from vosbench.video import Video

Result = TypeVar("Result")

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "opencv-python-headless", "numpy")


def read_records(root: Path) -> list[Record]:
    """Return every record under `root`, in the order of their paths.

    Raises:
        InputError: a file is not a record.
    """
    return _read_all(Record.read, root)


def read_failures(out: Path) -> list[Failure]:
    """Return the missing results of the comparison in `out`, in the order of paths.

    Raises:
        InputError: a file under ``<out>/failures`` is something else.
    """
    return _read_all(Failure.read, out / "failures")


def _read_all(read: Callable[[Path], Result], root: Path) -> list[Result]:
    results = []
    for path in sorted(root.rglob("*.json")):
        # a dot marks the temporary file of a writer that was killed
        if path.name.startswith("."):
            continue
        try:
            results.append(read(path))
        except InputError:
            # another comparison may remove what it replaces
            if path.exists():
                raise
    return results


def current_record(path: Path, key: str, masks: str | None) -> Record | None:
    """Return the record at `path` when it was made under the same `key` from the same masks, else None.

    Args:
        path: where the record would be.
        key: of its inputs.
        masks: hash of the masks or detections on disk; None without any.

    Raises:
        InputError: the file is not a record.
    """
    if not path.is_file():
        return None
    record = Record.read(path)
    scored = record.provenance.get("content", {}).get("masks")
    return record if record.key == key and masks is not None and scored == masks else None


def content_hash(content: Any) -> str:
    """Return the SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class VideoHashes:
    """SHA-256 of a video, as decoded.

    Pixels rather than files are hashed, so that the same hash means the same input whatever the
    container; another JPEG decoder may give another hash.

    Attributes:
        frames: of names and frames.
        truth: of the annotations.
        everything: of both.
    """

    frames: str
    truth: str
    everything: str


def hash_videos(videos: Sequence[Video]) -> list[VideoHashes]:
    """Return the hashes of a video under several annotations; its frames are read once.

    Raises:
        ValueError: the videos differ in their names.
    """
    first = videos[0]
    frames = hashlib.sha256(json.dumps([first.name, *first.frame_names]).encode())
    for frame in first.frames:
        frames.update(repr(frame.shape).encode())
        frames.update(np.ascontiguousarray(frame).data)
    hashes = []
    for video in videos:
        if (video.name, video.frame_names) != (first.name, first.frame_names):
            raise ValueError(f"{video.name}: the protocols of this data set see different frames of it")
        everything, truth = frames.copy(), hashlib.sha256()
        for index, ids in video.annotations.items():
            for digest in (everything, truth):
                digest.update(repr((index, ids.shape)).encode())
                digest.update(np.ascontiguousarray(ids).data)
        hashes.append(VideoHashes(frames.hexdigest(), truth.hexdigest(), everything.hexdigest()))
    return hashes


@cache
def environment() -> dict[str, Any]:
    """Return where this process computes: versions, git state, machine."""
    return {
        "versions": {
            "vosbench": vosbench.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "git": _git_state(Path(vosbench.__file__).parent),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
    }


def now() -> str:
    """Return the time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and cleanliness of the checkout this package runs from; None when installed."""
    git = shutil.which("git")
    if git is None or not (folder.parent / ".git").exists():
        return None
    commit = _git(git, folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "clean": _git(git, folder, "status", "--porcelain", "--", ".") == ""}


def _git(git: str, folder: Path, *arguments: str) -> str | None:
    finished = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    return finished.stdout.strip() if finished.returncode == 0 else None
