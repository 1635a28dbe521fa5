"""Files of one sequence: masks frame by frame, or one array or track file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vosbench.errors import InputError
from vosbench.evaluation.results.trees import Tree

FRAME_SUFFIXES = (".png", ".ppm", ".pgm", ".npy", ".npz")
"""Endings of files that hold one frame."""

SEQUENCE_SUFFIXES = (".npy", ".npz", ".dat")
"""Endings of files that hold a whole sequence."""


def has_sequence(tree: Tree, root: str, name: str) -> bool:
    """Return whether `root` holds a folder, an array or a track file of the sequence."""
    location = inside(root, name)
    return tree.is_folder(location) or any(tree.is_file(location + suffix) for suffix in SEQUENCE_SUFFIXES)


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence, all of one format.

    Attributes:
        folder: of the frames, for messages.
        suffix: their ending, lower case; ``""`` when there is none of a known format.
        frames: stem -> file, one frame each; empty when `whole` is set.
        whole: the one file that holds the whole sequence.
    """

    folder: str
    suffix: str
    frames: Mapping[str, str]
    whole: str | None = None


def sequence_files(tree: Tree, root: str, name: str) -> SequenceFiles:
    """Return the files of a sequence.

    Raises:
        InputError: files of several formats, or several files for the whole sequence.
    """
    folder = inside(root, name)
    whole = [folder + suffix for suffix in SEQUENCE_SUFFIXES if tree.is_file(folder + suffix)]
    frames: dict[str, dict[str, str]] = {}
    for file in tree.listing(folder).files:
        suffix = PurePosixPath(file).suffix.lower()
        if suffix == ".dat":
            whole.append(inside(folder, file))
        elif suffix in FRAME_SUFFIXES:
            frames.setdefault(suffix, {})[PurePosixPath(file).stem] = inside(folder, file)
    kinds = [*(PurePosixPath(file).name for file in whole)]
    kinds += [f"{len(files)} {suffix}" for suffix, files in sorted(frames.items())]
    if len(kinds) > 1:
        raise InputError(
            f"{tree.where(folder)}: masks in several files or formats ({few(kinds)}); "
            "keep one kind per sequence"
        )
    if whole:
        return SequenceFiles(folder, PurePosixPath(whole[0]).suffix.lower(), {}, whole[0])
    if frames:
        suffix, files = next(iter(frames.items()))
        return SequenceFiles(folder, suffix, files)
    return SequenceFiles(folder, "", {})


def inside(folder: str, name: str) -> str:
    """Join a folder and a name within it; ``""`` is the root."""
    return f"{folder}/{name}" if folder else name


def few(names: Collection[str], most: int = 5) -> str:
    """List the first names and the number of the others."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
