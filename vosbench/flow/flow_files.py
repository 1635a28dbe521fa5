"""Assignment of flow files to pairs of frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from vosbench.errors import InputError

NAMINGS = ("auto", "frame", "index")
SUFFIXES = (".flo", ".pfm", ".png")
"""In order of preference: programs write pictures beside their flow."""

_FORWARD = ("forward", "fw", "into_future")
_BACKWARD = ("backward", "bw", "into_past")
_PICTURES = frozenset({".jpg", ".jpeg", ".ppm", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
_TEMPLATES = (
    "{frame}",
    "{frame}_flow",
    "{frame}_flo",
    "flow_{frame}",
    "{frame}LDOF",
    "{frame}_LDOF",
    "{frame}_ldof",
    "{frame}_epic",
    "{frame}_epicflow",
    "{frame}_flownet2",
    "{frame}_{other}",
    "{frame}-{other}",
    "{frame}_to_{other}",
)
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})([^0-9]*)")


def sequence_folder(folder: Path, name: str, *, backward: bool = False) -> Path:
    """Return the folder that holds the flow of a sequence in one direction.

    Args:
        folder: holds the sequences.
        name: of the sequence.
        backward: the flow from a frame to the one before it, which only a folder of that name holds.

    Raises:
        InputError: there is none, or more than one.
    """
    asked, other = (_BACKWARD, _FORWARD) if backward else (_FORWARD, _BACKWARD)
    if folder.name in other:
        raise InputError(f"{folder}: flow in the other direction, by its name; {asked[0]} flow is needed")
    plain = folder / name
    present = _directed(folder, name, asked)
    if plain.is_dir() and (not backward or folder.name in asked) and (not present or _has_flow(plain)):
        present.append(plain)
    with_flow = [path for path in present if _has_flow(path)]
    if len(with_flow) > 1:
        raise InputError(f"{with_flow[0]} and {with_flow[1]} both hold flow of {name}; keep one of the two")
    opposite = _directed(folder, name, other)
    if opposite and not with_flow:
        raise InputError(f"{opposite[0]}: flow in the other direction only; {asked[0]} flow is needed")
    if not present:
        expected = f"{asked[0]}/{name} or {name}/{asked[0]}" if backward else name
        raise InputError(f"{folder}: no folder {expected} of precomputed flow")
    return (with_flow or present)[0]


def flow_files(
    folder: Path, frames: Sequence[str], *, backward: bool = False, naming: str = "auto"
) -> list[Path]:
    """Return the T-1 files of a sequence of T frames, in the order of the frames.

    Args:
        folder: of one sequence and direction.
        frames: T >= 2 frame names.
        backward: files are named after the second frame of a pair, from which the flow starts.
        naming: ``"auto"``, ``"frame"`` or ``"index"``.

    Raises:
        InputError: files are missing, of several formats, or it is unclear which frames they mean.
    """
    stems: dict[str, set[str]] = {suffix: set() for suffix in SUFFIXES}
    for path in folder.iterdir():
        if path.suffix in stems and not path.name.startswith("."):
            stems[path.suffix].add(path.stem)
    for suffix in SUFFIXES:
        names = _match(folder, suffix, frames, stems[suffix], backward=backward, naming=naming)
        if names:
            return [folder / f"{stem}{suffix}" for stem in names]
    raise _explained(folder, frames, stems, backward=backward, naming=naming)


def _directed(folder: Path, name: str, directions: Iterable[str]) -> list[Path]:
    """Return the folders of a sequence that are named after one of the directions."""
    paths = [path for word in directions for path in (folder / word / name, folder / name / word)]
    return [path for path in paths if path.is_dir()]


def _has_flow(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix in SUFFIXES for path in folder.iterdir())


def _match(
    folder: Path, suffix: str, frames: Sequence[str], stems: set[str], *, backward: bool, naming: str
) -> list[str] | None:
    """Return the stems of the T-1 pairs when all are there, None when not."""
    ways = [] if naming == "index" else [way for way in _by_frame(frames, backward) if stems.issuperset(way)]
    if naming != "frame":
        ways += _by_index(len(frames), stems, least=(0,) if naming == "auto" else (0, 1))
    distinct = [way for number, way in enumerate(ways) if way not in ways[:number]]
    if len(distinct) > 1:
        first, second = (f"{way[0]}{suffix}" for way in distinct[:2])
        raise InputError(
            f"{folder}: the flow of the first pair could be {first} or {second}; "
            "write naming=frame or naming=index, or move the files that are not meant"
        )
    return distinct[0] if distinct else None


def _by_frame(frames: Sequence[str], backward: bool) -> Iterator[list[str]]:
    pairs = [(second, first) if backward else (first, second) for first, second in pairwise(frames)]
    for template in _TEMPLATES:
        yield [template.format(frame=frame, other=other) for frame, other in pairs]


def _by_index(length: int, stems: set[str], least: tuple[int, ...]) -> list[list[str]]:
    """Return every way in which numbered files of one prefix and suffix count the pairs up."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for stem in sorted(stems):
        parts = _NUMBERED.fullmatch(stem)
        if parts is not None:
            groups.setdefault((parts[1], parts[3]), {})[int(parts[2])] = stem
    ways = []
    for numbers in groups.values():
        start = min(numbers)
        # one more, for the last frame, is no harm
        complete = start in least and length - 1 <= len(numbers) <= length
        if complete and max(numbers) - start == len(numbers) - 1:
            ways.append([numbers[start + pair] for pair in range(length - 1)])
    return ways


def _explained(
    folder: Path, frames: Sequence[str], stems: dict[str, set[str]], *, backward: bool, naming: str
) -> InputError:
    """Return the error about the missing files, with the likely reason."""
    count = Counter({suffix: len(names) for suffix, names in stems.items()})
    suffix, present = count.most_common(1)[0]
    if not present:
        pictures = any(path.suffix.lower() in _PICTURES for path in folder.iterdir())
        more = "; pictures of flow cannot be read back" if pictures else ""
        return InputError(f"{folder}: no flow files ({', '.join(SUFFIXES)}){more}")
    if naming == "index":
        return InputError(
            f"{folder}: {present} {suffix} files are not numbered from 0 or 1 on, one for each of the "
            f"{len(frames) - 1} pairs of {len(frames)} frames"
        )
    way = max(_by_frame(frames, backward), key=lambda names: len(stems[suffix].intersection(names)))
    missing = next(stem for stem in way if stem not in stems[suffix])
    elsewhere = next((other for other in SUFFIXES if missing in stems[other]), None)
    if elsewhere is not None:
        return InputError(
            f"{folder / missing}{elsewhere}: of another format than the {present} {suffix} files beside it; "
            "all flow of a sequence has one format"
        )
    return InputError(
        f"{folder / missing}{suffix}: missing; {present} {suffix} files for {len(frames)} frames, where flow "
        f"has one for every frame but the {'first' if backward else 'last'}"
        f"{_hint(frames, stems[suffix], backward=backward)}"
    )


def _hint(frames: Sequence[str], stems: set[str], *, backward: bool) -> str:
    if not backward and stems.issuperset(frames[1:]):
        return (
            "; these are named after the second frame of each pair, or hold backward flow: rename them, "
            "or write naming=index if they are numbered from 1"
        )
    if backward and stems.issuperset(frames[:-1]):
        return "; these are named after the first frame of each pair, as forward flow is"
    if _by_index(len(frames), stems, least=(1,)):
        return "; numbers from 1 are read with naming=index"
    return ""
