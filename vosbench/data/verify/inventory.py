"""What a data set should have, so that all that is wrong with it can be named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vosbench.data.datasets.folders import images
from vosbench.data.verify.file_checks import ids_size, picture_size
from vosbench.errors import InputError
from vosbench.formats.image import SUFFIXES

Size = tuple[int, int]
"""Height and width."""

_MOST_NAMED = 1000
"""More missing numbers of one sequence are only counted: a stray number is not a million damages."""


@dataclass(frozen=True, order=True)
class Damage:
    """One thing wrong with a data set.

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
    """One file that should be there.

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
    """What should be there and what is missing beyond files that are known by name.

    Attributes:
        checks: every expected file.
        damage: what the listing alone shows.
        sequences: number of sequences, as listed.
        frames: number of frames, as listed.
        source: where the sequences are listed.
    """

    source: Path
    checks: list[Check] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    sequences: int = 0
    frames: int = 0

    def lacks(self, path: Path, problem: str = "missing") -> None:
        """Note damage."""
        self.damage.append(Damage(path, problem))

    def pair(self, group: str, frame: Path, mask: Path | None) -> None:
        """Expect a frame and its indexed mask."""
        self.checks.append(Check(frame, picture_size, group))
        if mask is not None:
            self.checks.append(Check(mask, ids_size, group))

    def gaps(self, folder: Path, stems: Iterable[str], suffix: str, first: int | None = None) -> None:
        """Note numbers that are missing between the first frame and the last."""
        names = [stem for stem in stems if stem.isascii() and stem.isdigit() and len(stem) <= 9]
        if not names:
            return
        numbers, width = {int(name) for name in names}, len(names[0])
        low = min(numbers) if first is None else first
        rule = f"the numbers go from {low:0{width}d} to {max(numbers):0{width}d}"
        lost = max(numbers) - low + 1 - len(numbers)
        if lost > _MOST_NAMED:
            self.lacks(folder, f"missing: {lost} frames, {rule}")
            return
        for number in range(low, max(numbers)):
            if number not in numbers:
                self.lacks(folder / f"{number:0{width}d}{suffix}", f"missing: {rule}")

    def images(self, folder: Path, suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
        """List pictures as `vosbench.data.datasets.folders.images` does; names that clash are damage."""
        try:
            return images(folder, suffixes)
        except InputError as error:
            self.lacks(folder, str(error).removeprefix(str(folder)).lstrip(":,/ "))
            return []
