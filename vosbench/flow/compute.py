"""Flow of whole data sets as files that this and other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError, check_name
from vosbench.files import check_marker, writing
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import FlowEstimator, Precomputed
from vosbench.flow.flow_files import SUFFIXES
from vosbench.flow.provenance import FILE, describe, frame_digest, read_provenance, write_provenance
from vosbench.formats.flo import read_flo, write_flo
from vosbench.formats.kitti import read_kitti, write_kitti
from vosbench.video import FlowField, Video

Progress = Callable[[str, int, int], None]
"""Called with the sequence, the number of its pairs that are done, and the number of all."""

FORMATS = (".flo", ".png")


def compute(
    videos: Iterable[Video],
    estimator: FlowEstimator | Precomputed,
    out: Path,
    progress: Progress | None = None,
    fmt: str = ".flo",
    cache: Path | None = None,
) -> Path:
    """Write the forward flow of videos as ``OUT/SEQUENCE/FRAME.flo``, with where it came from.

    The fields are those that methods see when the estimator runs along with them, rounded to
    float16 (`vosbench.flow.cache.attach_flow`). ``provenance.json`` in the folder of a sequence names the
    estimator, its settings and a hash of every frame; `Precomputed` compares it with the frames it
    is used for. Run again, it goes on where it stopped: what is there and sound stays.

    Args:
        videos: a data set, or any videos of different names.
        estimator: computes a pair.
        out: written into.
        progress: called after every pair.
        fmt: ``".flo"``, or ``".png"``: KITTI's 16 bits, in steps of 1/64 pixel and below 512 pixels.
        cache: the flow cache to take fields from and to fill; None for none.

    Returns:
        `out`.

    Raises:
        InputError: unknown format, precomputed flow as the estimator, two videos of one name, a folder
            with flow of something else, frames that cannot be read, flow beyond the range of
            ``".png"``, or the disk is full.
    """
    if isinstance(estimator, Precomputed):
        raise InputError("precomputed flow is in files already; choose an estimator that computes it")
    fmt = fmt if fmt.startswith(".") else f".{fmt}"
    check_name("format of flow files", fmt, FORMATS)
    seen: set[str] = set()
    for video in videos:
        if video.name in seen:
            raise InputError(f"two videos are called {video.name}; their flow cannot share a folder")
        seen.add(video.name)
        folder = out / video.name
        with writing(folder):
            _compute_sequence(video, estimator, folder, progress, fmt, cache)
    return out


def _compute_sequence(
    video: Video,
    estimator: FlowEstimator,
    folder: Path,
    progress: Progress | None,
    fmt: str,
    cache: Path | None,
) -> None:
    frames = {name: frame_digest(frame) for name, frame in zip(video.frame_names, video.frames, strict=True)}
    described = describe(estimator.name, estimator.settings, "forward", frames)
    _claim(folder, described, fmt)
    flow = attach_flow(video, estimator, cache, overwrite=True).flow or ()
    for index in range(len(flow)):
        path = folder / f"{video.frame_names[index]}{fmt}"
        if not path.is_file() or not _sound(path, video.frames[index].shape[:2]):
            _write(path, flow[index])
            check_marker(folder / FILE, "flow was written to it", path)
        if progress is not None:
            progress(video.name, index + 1, len(flow))


def _claim(folder: Path, described: dict[str, Any], fmt: str) -> None:
    """Write the provenance of the folder before its first file, so that a partial folder is recognised."""
    present = sorted(path.name for path in folder.glob("*") if path.suffix in SUFFIXES)
    other = [name for name in present if not name.endswith(fmt)]
    stored = read_provenance(folder)
    if stored == described and not other:
        return
    if not present:
        write_provenance(folder, described)
        return
    if stored is None:
        why = f"holds flow that was not written here, e.g. {present[0]}"
    elif stored == described:
        why = f"holds flow of another format, e.g. {other[0]}"
    else:
        changed = [key for key in ("estimator", "settings", "frames") if stored[key] != described[key]]
        why = f"{FILE} is of flow of other {', '.join(changed) or 'origin'}"
    raise InputError(f"{folder}: {why}; remove this folder or write to another one")


def _sound(path: Path, size: tuple[int, ...]) -> bool:
    try:
        flow = read_flo(path) if path.suffix == ".flo" else read_kitti(path)[0]
    except InputError:
        return False
    return flow.shape[1:] == size


def _write(path: Path, flow: FlowField) -> None:
    if not np.isfinite(flow).all():
        raise InputError(f"{path}: the estimate is not a number somewhere; use another estimator")
    (write_flo if path.suffix == ".flo" else write_kitti)(path, flow)
