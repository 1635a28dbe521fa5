"""Layout of a folder of results: where sequences lie, and hints when they are missing."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from vosbench.errors import InputError
from vosbench.evaluation.results.files import (
    FRAME_SUFFIXES,
    SEQUENCE_SUFFIXES,
    few,
    has_sequence,
    inside,
)
from vosbench.evaluation.results.trees import Tree

NESTING = 2
"""Largest number of folders between the folder given and the sequence folders."""

_LOSSLESS = {".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".gif": "GIF"}
_LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP"}
_TO_GREY = "Image.open(file).convert('L').save(file.with_suffix('.png'))"
_VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
_OBJECT = re.compile(r"(.+?)[_\-.]?(?:obj(?:ect)?|instance|id)?[_\-.]?\d+", re.IGNORECASE)

_ONE_MAP = "write one map of ids per frame: ids[mask > 0] = 1 with the mask of object 1, and so on"


def find_root(tree: Tree, sequences: Collection[str]) -> str:
    """Return the folder of `tree` that holds sequences: its root or up to two levels below.

    Raises:
        InputError: it holds none of them, or several folders do.
    """
    level = [""]
    for _ in range(NESTING + 1):
        holding = [folder for folder in level if any(has_sequence(tree, folder, name) for name in sequences)]
        if len(holding) > 1:
            raise InputError(
                f"{tree.path}: holds {len(holding)} result sets ({few(holding)}); name one of them"
            )
        if holding:
            return holding[0]
        level = [inside(folder, child) for folder in level for child in tree.listing(folder).folders]
    example = next(iter(sequences), "<sequence>")
    raise InputError(
        f"{tree.path}: holds none of the {len(sequences)} sequences to score; "
        f"expected {tree.where(example)}/<frame>.png and so on{_instead_of_sequences(tree, sequences)}"
    )


class Hint(NamedTuple):
    """Content of a folder in place of masks, and the way to correct it.

    Attributes:
        files: number of files concerned.
        problem: in words that are the same for every sequence.
        fix: a conversion or a command.
    """

    files: int
    problem: str
    fix: str


def instead_of_masks(tree: Tree, folder: str, *, merged: bool) -> Hint:
    """Return a hint on the folder of a sequence in which no mask was found.

    Args:
        tree: where the folder lies.
        folder: its name within.
        merged: whether all objects count as one foreground, so that levels may be cut.
    """
    folders, files = tree.listing(folder)
    suffixes = Counter(PurePosixPath(file).suffix.lower() for file in files)
    lossy = [suffix for suffix in suffixes if suffix in _LOSSY]
    lossless = [suffix for suffix in suffixes if suffix in _LOSSLESS]
    videos = [suffix for suffix in suffixes if suffix in _VIDEO]
    if lossy and merged:
        fix = f"{_TO_GREY}, then vosbench score ... --threshold 127"
        return _of_suffix(lossy[0], suffixes, f"masks are {_LOSSY[lossy[0]]} files", fix)
    if lossy:
        problem = f"masks are {_LOSSY[lossy[0]]} files, whose compression mixes the ids"
        return _of_suffix(lossy[0], suffixes, problem, "write the ids of the method as indexed or grey PNG")
    if lossless:
        fix = "Image.open(file).save(file.with_suffix('.png'))"
        return _of_suffix(lossless[0], suffixes, f"masks are {_LOSSLESS[lossless[0]]} files", fix)
    if videos:
        fix = "write one PNG per frame: compression mixes the ids"
        return _of_suffix(videos[0], suffixes, "masks are a video file", fix)
    if len(folders) > 1:
        return Hint(len(folders), f"masks in one folder per object ({few(folders)})", _ONE_MAP)
    if folders:
        return Hint(1, f"masks lie one folder deeper, in '{folders[0]}'", "move them up, beside it")
    if files:
        kinds = few([suffix or "no ending" for suffix in sorted(suffixes)])
        return Hint(len(files), f"files of another kind ({kinds})", "write one PNG of ids per frame")
    return Hint(0, "the folder of the sequence is empty", "write one PNG of ids per frame into it")


def _of_suffix(suffix: str, suffixes: Counter[str], problem: str, fix: str) -> Hint:
    return Hint(suffixes[suffix], problem, fix)


def found_names(tree: Tree, root: str, *, detections: bool = False) -> list[str]:
    """Return the names of what may be sequences in `root`: folders, arrays and tracks, or detections."""
    folders, files = tree.listing(root)
    whole = (".json",) if detections else SEQUENCE_SUFFIXES
    stems = {PurePosixPath(file).stem for file in files if PurePosixPath(file).suffix in whole}
    return sorted(stems if detections else {*folders, *stems})


def other_names_note(names: Collection[str], known: Collection[str], split: str) -> str | None:
    """Return a note on names that are no sequences of a split; None without any.

    Args:
        names: in the results.
        known: names of the sequences of the split.
        split: of which data set, for the note.
    """
    others = [name for name in names if name not in known]
    if not others:
        return None
    missing = [name for name in known if name not in names]
    described = few([name + _similar(name, missing) for name in others])
    return f"not scored, as no sequence of {split}: {described}"


def missing_names(missing: Collection[str], present: Collection[str]) -> str:
    """List names that are missing, each with a similar name that is present."""
    return few([name + _similar(name, present) for name in missing])


def _instead_of_sequences(tree: Tree, sequences: Collection[str]) -> str:
    """Return the content of a folder without any of the sequences, after a semicolon."""
    folders, files = tree.listing("")
    name = tree.path.stem
    if name in sequences and any(PurePosixPath(file).suffix in FRAME_SUFFIXES for file in files):
        return f"; this is one sequence: give the folder above it and --sequences {name}"
    objects = [item for item in folders if (match := _OBJECT.fullmatch(item)) and match[1] in sequences]
    if objects:
        return f"; {few(objects)} look like one folder per object: {_ONE_MAP}"
    present = found_names(tree, "")
    for name in sequences:
        if (close := _close(name, present)) is not None:
            return f"; '{close}' is there: is it '{name}'?"
    flat = [file for file in files if any(file.startswith(sequence) for sequence in sequences)]
    if flat and PurePosixPath(flat[0]).suffix.lower() in _VIDEO:
        return f"; '{flat[0]}' is a video, whose compression mixes the ids: write one PNG per frame"
    if flat:
        return f"; '{flat[0]}' is there: move the frames of every sequence into a folder of its name"
    return f"; it holds {few(present)}" if present else "; it is empty"


def _similar(name: str, names: Iterable[str]) -> str:
    close = _close(name, names)
    return "" if close is None else f" (is it '{close}'?)"


def _close(name: str, names: Iterable[str]) -> str | None:
    by_lower = {other.lower(): other for other in names if other != name}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.66)
    return by_lower[matches[0]] if matches else None
