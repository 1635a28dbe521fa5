"""What a data set should have, so that all that is wrong with it can be named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vosbench.data.file_checks import ids_size, picture_size

Size = tuple[int, int]
"""Height and width."""


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
        numbers = {int(stem): len(stem) for stem in stems if stem.isascii() and stem.isdigit()}
        if not numbers:
            return
        low = min(numbers) if first is None else first
        width = next(iter(numbers.values()))
        for number in range(low, max(numbers)):
            if number not in numbers:
                last = f"{max(numbers):0{width}d}"
                self.lacks(
                    folder / f"{number:0{width}d}{suffix}",
                    f"missing: the numbers go from {low:0{width}d} to {last}",
                )
