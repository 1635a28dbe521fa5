"""Data sets and caches on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vosbench.data.catalogue import catalogue, open_dataset
from vosbench.data.datasets.base import edition_of
from vosbench.data.places import find_folder, link_hints
from vosbench.data.roots import cache_root
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError

_COUNTING = 1.0
"""Seconds after which the files of a cache are no longer counted."""


@dataclass(frozen=True)
class FoundData:
    """A data set under the data root, examined superficially.

    Attributes:
        name: catalogue name.
        label: `name`, with ``-mini`` for a miniature.
        kind: ``"evaluation"`` or ``"training"``.
        complete: whether nothing seems to be missing.
        detail: number of sequences, or the missing parts.
    """

    name: str
    label: str
    kind: Literal["evaluation", "training"]
    complete: bool
    detail: str


@dataclass(frozen=True)
class Root:
    """The folder of the data sets.

    Attributes:
        path: absolute.
        source: option or variable that names it.
        exists: whether the folder exists.
        found: the data sets in it, evaluation sets first.
        others: folders in it that no data set is read from.
        hints: a line on every data set that is not found but seems to be there.
    """

    path: Path
    source: str
    exists: bool
    found: tuple[FoundData, ...]
    others: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be computed or fetched again.

    Attributes:
        name: its content.
        path: absolute.
        files: number of files.
        size: in bytes.
        counted: False when there was no time to count all.
    """

    name: str
    path: Path
    files: int
    size: int
    counted: bool


def examine_root(option: Path | None) -> Root:
    """Open the data sets under a data root.

    Args:
        option: value of ``--data-root``; None for the other sources of `vosbench.data.roots.data_root`.
    """
    if option is not None:
        source = "--data-root"
    elif os.environ.get("VOSBENCH_DATA"):
        source = "$VOSBENCH_DATA"
    else:
        source = "default; --data-root or $VOSBENCH_DATA choose another"
    path = find_data_root(option).resolve()
    folders = sorted(folder.name for folder in path.iterdir() if folder.is_dir()) if path.is_dir() else []
    places = {name: place for name in catalogue() if (place := find_folder(path, name)).is_dir()}
    read = {place.relative_to(path).parts[:1] for place in places.values()}
    # where the data root itself is a data set, the folders in it are parts of that
    others = () if () in read else tuple(name for name in folders if (name,) not in read)
    datasets = tuple(_glance(name, path) for name in places)
    return Root(path, source, path.is_dir(), datasets, others, tuple(link_hints(path)))


def _glance(name: str, root: Path) -> FoundData:
    """Open an evaluation set; of a training set, which may be huge, only look for its parts."""
    spec = catalogue()[name]
    folder, mini = find_folder(root, name), edition_of(root, name) == "mini"
    label = f"{name}-mini" if mini else name
    if spec.kind == "training":
        archives = spec.archives
        parts = dict.fromkeys(str(Path(item.unpack_into) / item.inner) for item in archives if item.inner)
        missing = [part for part in parts if not mini and not (folder / part).exists()]
        detail = f"missing: {', '.join(missing)}" if missing else "folder found, not opened"
        return FoundData(name, label, spec.kind, not missing, detail)
    try:
        opened = open_dataset(name, root)
    except InputError as error:
        return FoundData(name, label, spec.kind, False, str(error))
    frames = sum(len(video) for video in opened)
    return FoundData(
        name, label, spec.kind, True, f"{opened.split}: {len(opened)} sequences, {frames} frames"
    )


def find_caches() -> tuple[Cache, ...]:
    """Return the caches of vosbench and of torchvision with their sizes."""
    root = cache_root().resolve()
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else []
    paths = {folder.name: folder for folder in folders} or {"none yet": root}
    try:
        from torch import hub
    except (ImportError, OSError):
        pass
    else:
        paths["torchvision weights"] = Path(hub.get_dir()) / "checkpoints"
    return tuple(_measure(name, path) for name, path in paths.items())


def _measure(name: str, folder: Path) -> Cache:
    stop = time.monotonic() + _COUNTING
    files = size = 0
    waiting = [folder] if folder.is_dir() else []
    while waiting and time.monotonic() < stop:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return Cache(name, folder, files, size, not waiting)
