"""Folders of data sets: their own names, and those under which archives and other programs leave them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vosbench.data.evaluation_sets import EVALUATION_SETS
from vosbench.data.spec import DatasetSpec
from vosbench.data.training_sets import TRAINING_SETS
from vosbench.errors import InputError
from vosbench.files import expanded

_SETS = {spec.name: spec for spec in (*EVALUATION_SETS, *TRAINING_SETS)}

_USUAL_ROOTS = ("data", "datasets")
"""Folders below the home folder in which many keep data sets."""


def find_folder(root: Path, name: str) -> Path:
    """Return the folder of a data set under a data root; no folder is there where the data set is not found.

    ``root / name`` is taken as it is. Without it a folder under another name of the data set
    (`DatasetSpec.folders`, whatever its case and hyphens), one in that, as ``DAVIS-2017-trainval/DAVIS``, or
    the data root itself is taken if it holds one of the `DatasetSpec.marks`.
    """
    own = root / name
    if own.is_dir() or name not in _SETS:
        return own
    return next(_other_places(root, _SETS[name]), own)


def name_of(root: Path, folder: Path) -> str | None:
    """Return the data set that a folder under a data root is read as; None: none."""
    return next((name for name in _SETS if find_folder(root, name) == folder), None)


def _other_places(root: Path, spec: DatasetSpec) -> Iterator[Path]:
    if not root.is_dir():
        return
    named = _named(root, spec)
    places = [inner for folder in named for inner in (folder, *_named(folder, spec))]
    if _plain(root.resolve().name) in _names(spec):
        places.append(root)
    yield from (place for place in places if _marked(place, spec))


def _named(parent: Path, spec: DatasetSpec) -> list[Path]:
    """Return the folders in `parent` under a name of the data set, in the order of its names."""
    order = _names(spec)
    folders = [child for child in _subfolders(parent) if _plain(child.name) in order]
    return sorted(folders, key=lambda folder: (order.index(_plain(folder.name)), folder.name))


def _names(spec: DatasetSpec) -> list[str]:
    return [_plain(name) for name in (spec.name, *spec.folders)]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in "-_ .")


def _marked(folder: Path, spec: DatasetSpec) -> bool:
    return any((folder / mark).exists() for mark in spec.marks)


def _subfolders(parent: Path) -> list[Path]:
    try:
        children = [path for path in parent.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except OSError:
        # a folder that may not be read, or none, holds nothing to be found
        return []
    return sorted(children)


def link_hints(root: Path, names: Collection[str] = _SETS) -> list[str]:
    """Return a line on every wanted data set that is not found but seems to be there, with what to do.

    Args:
        root: the data root. Looked at are the folders in it and, where no wanted data set is found, the
            working folder, the home folder and the usual folders in that.
        names: of the data sets that are wanted; all by default.
    """
    found = {name: folder for name in _SETS if (folder := find_folder(root, name)).is_dir()}
    missing = [spec for spec in _SETS.values() if spec.name in names and spec.name not in found]
    lines = [hint for spec in missing if (hint := _link_hint(root, spec, list(found.values())))]
    return lines or ([] if found.keys() & set(names) else _other_root_hints(root, missing))


def _link_hint(root: Path, spec: DatasetSpec, found: Sequence[Path]) -> str:
    """Return which link makes a folder that looks like a data set be found; ``""`` without such a folder."""
    children = _subfolders(root)
    for folder in (root, *children, *(inner for child in children for inner in _named(child, spec))):
        taken = any(folder == other or other in folder.parents for other in found)
        marks = spec.weak_marks if taken else (*spec.marks, *spec.weak_marks)
        mark = next((mark for mark in marks if (folder / mark).exists()), None)
        if mark is None:
            continue
        above = root.resolve().parent if folder == root else root
        link = f"ln -s {shlex.quote(str(folder.resolve()))} {shlex.quote(str(above / spec.name))}"
        give = f" and give --data-root {above}" if folder == root else ""
        return f"{folder} has {mark}: to read it as {spec.name} ({spec.title}) make the link {link}{give}"
    return ""


def _other_root_hints(root: Path, missing: Sequence[DatasetSpec]) -> list[str]:
    lines = []
    for other in (Path.cwd(), *_usual_places()):
        there = [] if other == root else [spec for spec in missing if find_folder(other, spec.name).is_dir()]
        if there:
            listed = ", ".join(f"{spec.name} in {find_folder(other, spec.name)}" for spec in there)
            lines.append(f"{listed}: give --data-root {shlex.quote(str(other))}")
            missing = [spec for spec in missing if spec not in there]
    return lines


def _usual_places() -> list[Path]:
    """Return the home folder and the usual folders in that; none where the system knows no home folder."""
    try:
        home = expanded("~")
    except InputError:
        return []
    return [home, *(home / name for name in _USUAL_ROOTS)]
