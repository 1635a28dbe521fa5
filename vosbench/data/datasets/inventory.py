"""Inventory of the files that a data set should have, listed without stopping at the first that is missing.

Readers refuse a damaged data set at once; ``expected_files`` beside a reader fills an `Inventory`, so that
`vosbench.data.verify` can name everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vosbench.data.datasets.folders import images, no_list
from vosbench.errors import InputError
from vosbench.formats.file_checks import picture_size
from vosbench.formats.image import SUFFIXES

Size = tuple[int, int]
"""Height and width."""

_MOST_NAMED = 1000
"""More missing numbers of one sequence are only counted: a stray number is not a million faults."""


@dataclass(frozen=True, order=True)
class Damage:
    """Fault of a data set.

    Attributes:
        path: the file or folder.
        problem: what is wrong with it.
    """

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True)
class Check:
    """Expected file.

    Attributes:
        path: of the file.
        read: decodes the whole file and returns its height and width; raises InputError.
        group: files of one group have one size; None when there is nothing to compare.
    """

    path: Path
    read: Callable[[Path], Size | None]
    group: str | None = None


@dataclass
class Inventory:
    """Expected files of a split, and the damage that the listing alone shows.

    Attributes:
        source: file or folder that lists the sequences.
        checks: every expected file.
        damage: what is missing without being known by name.
        sequences: number of sequences, as listed.
        frames: number of frames, as listed.
    """

    source: Path
    checks: list[Check] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    sequences: int = 0
    frames: int = 0

    def add_damage(self, path: Path, problem: str = "missing") -> None:
        """Add a fault."""
        self.damage.append(Damage(path, problem))

    def add(self, group: str, *paths: Path, read: Callable[[Path], Size | None] = picture_size) -> None:
        """Expect files of one size; `read` decodes a whole file."""
        self.checks += [Check(path, read, group) for path in paths]

    def folder_names(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the names of folders in a list; a name that leads elsewhere is damage of the list."""
        for name in names:
            if name in (".", "..") or "/" in name or "\\" in name:
                self.add_damage(self.source, f"'{name[:60]}' is no name of a sequence")
            else:
                yield name

    def add_gaps(self, folder: Path, stems: Iterable[str], suffix: str, first: int | None = None) -> None:
        """Add the numbers that are missing between the first frame and the last."""
        names = [stem for stem in stems if stem.isascii() and stem.isdigit() and len(stem) <= 9]
        if not names:
            return
        numbers, width = {int(name) for name in names}, len(names[0])
        low = min(numbers) if first is None else first
        rule = f"the numbers go from {low:0{width}d} to {max(numbers):0{width}d}"
        lost = max(numbers) - low + 1 - len(numbers)
        if lost > _MOST_NAMED:
            self.add_damage(folder, f"missing: {lost} frames, {rule}")
            return
        for number in range(low, max(numbers)):
            if number not in numbers:
                self.add_damage(folder / f"{number:0{width}d}{suffix}", f"missing: {rule}")

    def list_images(self, folder: Path, suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
        """List pictures as `vosbench.data.datasets.folders.images` does; equal names are damage."""
        try:
            return images(folder, suffixes)
        except InputError as error:
            self.add_damage(folder, str(error).removeprefix(str(folder)).lstrip(":,/ "))
            return []


def read_list(path: Path, name: str) -> str:
    """Return the content of a list of a split of the data set `name`.

    Raises:
        InputError: there is no such list.
    """
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    lists = [item.stem for item in path.parent.glob("*.txt")] if path.parent.is_dir() else []
    raise no_list(name, path, {"all", *lists})


def stems(folder: Path, *suffixes: str) -> set[str]:
    """Return the stems of the visible files in `folder` with one of the lower-case suffixes."""
    if not folder.is_dir():
        return set()
    return {p.stem for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")}
