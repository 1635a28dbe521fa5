"""What every data set is: a sequence of videos that knows its name, split and edition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

from vosbench.data.video import Video
from vosbench.errors import InputError

Edition = Literal["official", "mini"]


class Dataset(Sequence[Video]):
    """The videos of one split, opened and checked.

    A reader is a subclass whose constructor is ``Reader(root, split=..., **options)``, finds its
    folder with `dataset_folder` and hands its videos to this constructor.

    Args:
        name: catalogue name, e.g. ``"davis16"``.
        root: the data root; the files are in ``root / name``.
        split: e.g. ``"val"``.
        videos: every sequence, in the order of the split.

    Attributes:
        name: as given.
        root: as given.
        split: as given.
        edition: ``"mini"`` for a rendered miniature, ``"official"`` otherwise.
        label: `name`, with ``-mini`` for a miniature: what records and tables call it.
    """

    def __init__(self, name: str, root: Path, split: str, videos: Sequence[Video]) -> None:
        self.name = name
        self.root = root
        self.split = split
        self.edition: Edition = "mini" if (root / name / "MINI.json").is_file() else "official"
        self.label = name if self.edition == "official" else f"{name}-mini"
        self._videos = videos

    def __len__(self) -> int:
        return len(self._videos)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | Sequence[Video]:
        return self._videos[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label}, split={self.split}, {len(self)} sequences)"


def dataset_folder(root: Path, name: str, marker: str) -> Path:
    """Return ``root / name``, or say where the data set seems to be.

    Args:
        root: the data root.
        name: folder of the data set.
        marker: a folder directly inside every copy of this data set, e.g. ``"JPEGImages"``.

    Raises:
        InputError: no such folder, or without `marker`; names a neighbouring folder that looks right.
    """
    folder = root / name
    if (folder / marker).is_dir():
        return folder
    if folder.is_dir():
        raise InputError(
            f"{folder}: no folder '{marker}' in it, so this is not {name} in its official layout"
        )
    raise InputError(f"{name}: no folder {folder}; {_advice(root, name, marker)}")


def _advice(root: Path, name: str, marker: str) -> str:
    if not root.is_dir():
        return "the data root does not exist; give --data-root or set VOSBENCH_DATA"
    children = sorted(child for child in root.iterdir() if child.is_dir())
    for candidate in (root.resolve().parent, *children):
        if (candidate / name / marker).is_dir():
            return f"did you mean the data root {candidate}?"
    if (root / marker).is_dir():
        return (
            f"{root} itself holds '{marker}': rename it to '{name}' and give the folder above it as data root"
        )
    for candidate in children:
        if (candidate / marker).is_dir():
            return f"{candidate} holds '{marker}': if it is {name}, rename it to '{name}'"
    return "give the folder that contains it with --data-root or VOSBENCH_DATA"
