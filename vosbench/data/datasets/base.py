"""Base class of data sets: a sequence of videos with name, split and edition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

from vosbench.data.places import find_folder, link_hints, name_of
from vosbench.errors import InputError
from vosbench.video import Video

Edition = Literal["official", "mini"]

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"})


class Dataset(Sequence[Video]):
    """The videos of one split, opened and checked.

    A reader is a subclass whose constructor is ``Reader(root, split=..., **options)``, finds its
    folder with `dataset_folder` and hands its videos to this constructor.

    Args:
        name: catalogue name, e.g. ``"davis16"``.
        root: the data root; the files are in ``root / name``.
        split: e.g. ``"val"``.
        videos: every sequence, in the order of the split.
        reference: text that names data of one's own; of the catalogue the name.

    Attributes:
        name: as given.
        reference: what `vosbench.data.open_dataset` takes for this data set.
        root: as given.
        split: as given.
        edition: ``"mini"`` for a rendered miniature, ``"official"`` otherwise.
        label: `name`, with ``-mini`` for a miniature: what records and tables call it.
    """

    def __init__(
        self, name: str, root: Path, split: str, videos: Sequence[Video], reference: str = ""
    ) -> None:
        self.name = name
        self.reference = reference or name
        self.root = root
        self.split = split
        self.edition: Edition = edition_of(root, name)
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
    """Return the folder of a data set, see `find_folder`; the error names where the data set seems to be.

    Args:
        root: the data root.
        name: folder of the data set.
        marker: a folder directly inside every copy of this data set, e.g. ``"JPEGImages"``.

    Raises:
        InputError: no such folder, or without `marker`; names a neighbouring folder that looks right.
    """
    folder = find_folder(root, name)
    if (folder / marker).is_dir():
        return folder
    if folder.is_dir():
        raise InputError(
            f"{folder}: no folder '{marker}' in it, so this is not {name} in its official layout; "
            f"{repair_advice(folder, name, marker)}"
        )
    raise InputError(f"{name}: no folder {folder}; {_advice(root, name, marker)}")


def repair_advice(folder: Path, name: str, marker: str) -> str:
    """Return the advice for a folder of the data set `name` without the folder `marker`."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries:
        if (path / marker).is_dir():
            return f"move what is in {path} one level up"
        if path.name.lower() == marker.lower() and path.is_dir():
            return f"rename {path} to '{marker}'"
    archive = next((path.name for path in entries if path.suffix in _ARCHIVES), None)
    if archive is not None:
        return f"unpack {archive} there"
    content = "it is empty" if not entries else f"it has {', '.join(path.name for path in entries[:3])}"
    return f"{content}; 'vosbench data list {name}' shows the layout and the address"


def _advice(root: Path, name: str, marker: str) -> str:
    children = sorted(child for child in root.iterdir() if child.is_dir()) if root.is_dir() else []
    for candidate in (root.resolve().parent, *children):
        if (candidate / name / marker).is_dir():
            return f"did you mean the data root {candidate}?"
    hints = link_hints(root, [name])
    if hints:
        return hints[0]
    if not root.is_dir():
        return f"the data root does not exist; give --data-root or set VOSBENCH_DATA, {_get(name)}"
    if (root / marker).is_dir():
        return (
            f"{root} itself holds '{marker}': rename it to '{name}' and give the folder above it as data root"
        )
    for candidate in children:
        if not (candidate / marker).is_dir():
            continue
        other = name_of(root, candidate)
        if other is not None:
            return f"{candidate} is {other}; for {name} {_other_place(name)}"
        return f"{candidate} holds '{marker}': if it is {name}, rename it to '{name}'"
    return _other_place(name)


def _other_place(name: str) -> str:
    return f"give the folder that contains it with --data-root or VOSBENCH_DATA, {_get(name)}"


def _get(name: str) -> str:
    return f"or get it: 'vosbench data download {name}', a miniature: 'vosbench data mini {name}'"


def edition_of(root: Path, name: str) -> Edition:
    """Return the edition of the data set `name` under a data root."""
    return "mini" if (find_folder(root, name) / "MINI.json").is_file() else "official"
