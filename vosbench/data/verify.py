"""Check of the files of a data set: missing, empty, truncated, unreadable, of another size."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from vosbench.data.catalogue import dataset_spec, load_object, open_dataset, published_counts
from vosbench.data.datasets.base import Dataset, edition_of
from vosbench.data.datasets.inventory import Check, Damage, Inventory, Size
from vosbench.data.places import find_folder
from vosbench.errors import InputError
from vosbench.video import Video

__all__ = ["Damage", "verify"]

Progress = Callable[[int, int, str], None]
"""Called with (files done, files in all, name of the file)."""

_BATCH = 2048


@dataclass
class _Checked:
    """Result of the check of a part of the data set.

    Attributes:
        damage: faults.
        sizes: group, file and size.
    """

    damage: list[Damage] = field(default_factory=list)
    sizes: list[tuple[str, Path, Size]] = field(default_factory=list)


_Tasks = Sequence[tuple[Callable[[], _Checked], str]]


def verify(
    name: str,
    root: Path,
    split: str | None = None,
    progress: Progress | None = None,
    *,
    workers: int | None = None,
) -> list[Damage]:
    """Decode every file of a split and return all faults.

    Files are compared with the lists of the data set and, where it has none, with each other: a mask
    without frame, a number left out, a picture of another size than the rest of its sequence. A
    complete official edition must also have as many sequences as were published.

    Args:
        name: data set.
        root: the data root; the files are in ``root / name``.
        split: e.g. ``"val"``; the default split when None.
        progress: called after every file.
        workers: threads; decoding runs in parallel. As many as there are processors when None.

    Returns:
        The damage, by path; empty when the data set is whole.

    Raises:
        InputError: unknown name or split, or there is no such folder.
    """
    split = split or dataset_spec(name).split
    inventory = _inventory(name, root, split)
    if isinstance(inventory, Damage):
        return [inventory]
    if isinstance(inventory, Inventory):
        tasks: _Tasks = [(partial(_look, check), check.path.name) for check in inventory.checks]
        damage = inventory.damage + _too_few(name, root, split, inventory)
    else:
        tasks = [(partial(_read, inventory, index), str(index)) for index in range(len(inventory))]
        damage = _too_few(name, root, split, Inventory(find_folder(root, name), sequences=len(inventory)))
    checked = _run(tasks, progress, workers or os.cpu_count() or 1)
    damage += checked.damage + _odd_sizes(checked.sizes)
    if not damage and isinstance(inventory, Inventory):
        damage += _refused(name, root, split)
    return sorted(set(damage))


def _inventory(name: str, root: Path, split: str) -> Inventory | Dataset | Damage:
    """Return the expected files; the opened data set when it has no list of them."""
    files = dataset_spec(name).files
    try:
        if files is None:
            return open_dataset(name, root, split)
        inventory: Inventory = load_object(files)(root, split)
        return inventory
    except InputError as error:
        if not find_folder(root, name).is_dir() or str(error).startswith("unknown "):
            raise
        return _damage(error, find_folder(root, name))


def _refused(name: str, root: Path, split: str) -> list[Damage]:
    """Return the fault that only the reader notices."""
    try:
        open_dataset(name, root, split)
    except InputError as error:
        return [_damage(error, find_folder(root, name))]
    return []


def _damage(error: InputError, folder: Path) -> Damage:
    """Return a fault with the path that begins a message; `folder` when there is none."""
    message = str(error)
    named = re.match(rf"({re.escape(str(folder))}[^:]*?)(?:, (line \d+))?: (.*)", message, re.DOTALL)
    if named is None:
        return Damage(folder, message)
    return Damage(Path(named[1]), f"{named[2]}: {named[3]}" if named[2] else named[3])


def _too_few(name: str, root: Path, split: str, inventory: Inventory) -> list[Damage]:
    if edition_of(root, name) == "mini":
        return []
    published = published_counts(name, split)
    if published is None:
        return []
    for what, count, complete in (
        ("sequences", inventory.sequences, published.sequences),
        ("frames", inventory.frames, published.frames),
    ):
        if complete is not None and count < complete:
            return [Damage(inventory.source, f"{count} {what} instead of {complete}")]
    return []


def _run(tasks: _Tasks, progress: Progress | None, workers: int) -> _Checked:
    checked, done, rest = _Checked(), 0, iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        # in batches, so that a large data set does not become a million waiting objects
        while batch := list(islice(rest, _BATCH)):
            results = pool.map(lambda task: task[0](), batch)
            for part, (_, label) in zip(results, batch, strict=True):
                checked.damage += part.damage
                checked.sizes += part.sizes
                done += 1
                if progress is not None:
                    progress(done, len(tasks), label)
    return checked


def _look(check: Check) -> _Checked:
    """Decode one file."""
    try:
        size = check.read(check.path)
    except InputError as error:
        return _Checked([Damage(check.path, str(error).removeprefix(str(check.path)).lstrip(":, "))])
    if size is None or check.group is None:
        return _Checked()
    return _Checked(sizes=[(check.group, check.path, size)])


def _odd_sizes(sizes: Iterable[tuple[str, Path, Size]]) -> list[Damage]:
    """Files of another size than most of their group."""
    groups: dict[str, list[tuple[Path, Size]]] = {}
    for group, path, size in sizes:
        groups.setdefault(group, []).append((path, size))
    damage = []
    for group, files in groups.items():
        usual = Counter(size for _, size in files).most_common(1)[0][0]
        damage += [
            Damage(path, f"{_words(size)} pixels, but the other files of {group} have {_words(usual)}")
            for path, size in files
            if size != usual
        ]
    return damage


def _words(size: Size) -> str:
    return f"{size[1]}x{size[0]}"


def _read(dataset: Dataset, index: int) -> _Checked:
    """Read one video as its reader does, file by file."""
    folder = dataset.root / dataset.name
    try:
        video = dataset[index]
    except InputError as error:
        return _Checked([_damage(error, folder)])
    damage = []

    def attempt(read: Callable[[], object]) -> None:
        try:
            read()
        except InputError as error:
            damage.append(_damage(error, folder))

    shapes: dict[str, Size] = {}

    def look(index: int) -> None:
        height, width = video.frames[index].shape[:2]
        shapes[video.frame_names[index]] = height, width

    labelled: list[int] = []
    attempt(lambda: labelled.extend(video.annotations))
    boxed = sorted(video.boxes)
    for index in range(len(video.frames)):
        attempt(partial(look, index))
    odd = [*_odd_frames(shapes), *_without_boxes(video)]
    damage += [Damage(folder, f"{video.name}: frame {words}") for words in odd]
    for values, keys in (
        (video.annotations, labelled),
        (video.boxes, boxed),
        (video.flow or (), range(len(video.flow or ()))),
    ):
        for key in keys:
            attempt(partial(values.__getitem__, key))
    return _Checked(damage)


def _odd_frames(sizes: Mapping[str, Size]) -> Iterator[str]:
    for usual, _ in Counter(sizes.values()).most_common(1):
        for name, size in sizes.items():
            if size != usual:
                yield f"{name} has {_words(size)} pixels, but the others {_words(usual)}"


def _without_boxes(video: Video) -> Iterator[str]:
    for index, name in enumerate(video.frame_names if video.boxes else ()):
        if index not in video.boxes:
            yield f"{name} has no boxes, but others have"
