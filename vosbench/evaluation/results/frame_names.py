"""Rules by which the names of result files differ from the names of the frames."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


class NamingDifference(NamedTuple):
    """One rule that leads from frame names to the names found.

    Attributes:
        kind: numbers off by a constant, other padding of the same numbers, or something put
            before or behind.
        text: the rule in words, with an example.
        offset: what is added to the number of a frame, 0 for the other kinds.
    """

    kind: Literal["offset", "padding", "affix"]
    text: str
    offset: int = 0


class _Numbered(NamedTuple):
    before: str
    number: int
    after: str


def naming_difference(
    frame_names: Collection[str], stems: Collection[str], needed: Iterable[str]
) -> NamingDifference | None:
    """Explain why frames seem to be missing although files are there under other names.

    Args:
        frame_names: of all frames of the video.
        stems: of the files of results.
        needed: names of the frames that must be there.

    Returns:
        the rule, or None when nothing is missing, no file is left over, or no rule explains all.
    """
    known, wanted, present = set(frame_names), set(needed), set(stems)
    missing = sorted(wanted - present)
    surplus = sorted(present - known)
    if not missing:
        return None
    if not surplus:
        # Where few frames are labelled, shifted names are names of other frames
        return _offset(present, wanted, wanted) if len(present) == len(wanted) else None
    return (
        _affix(missing, surplus, known)
        or _padding(missing, surplus, known)
        or _offset(present, known, wanted)
    )


def _affix(missing: list[str], surplus: list[str], known: set[str]) -> NamingDifference | None:
    """Find ``before + frame name + after``."""
    example = surplus[0]
    for name in missing:
        if name not in example:
            continue
        before, _, after = example.partition(name)
        if before[-1:].isdigit() or after[:1].isdigit():
            continue
        renamed = {item.removeprefix(before).removesuffix(after) for item in surplus}
        if renamed <= known and set(missing) <= renamed:
            text = f"named '{example}' where the frame is '{name}'"
            return NamingDifference("affix", text)
    return None


def _padding(missing: list[str], surplus: list[str], known: set[str]) -> NamingDifference | None:
    """Find the same numbers, written in another way."""
    numbers = {item.number: name for name in known if (item := _split(name)) is not None}
    if len(numbers) < len(known):
        return None
    split = {name: _split(name) for name in surplus}
    renamed = {name: numbers.get(item.number) for name, item in split.items() if item is not None}
    frames = set(renamed.values())
    if len(renamed) < len(surplus) or None in frames or not set(missing) <= frames:
        return None
    example = surplus[0]
    return NamingDifference("padding", f"numbered in another way: '{example}' for frame '{renamed[example]}'")


def _offset(stems: set[str], known: set[str], wanted: set[str]) -> NamingDifference | None:
    """Find a constant, and maybe other words around the number, that takes every file to a frame."""
    files, frames, needed = _numbers(stems), _numbers(known), _numbers(wanted)
    if not files or not frames or not needed:
        return None
    for offset in sorted({min(files) - min(frames), max(files) - max(frames)}, key=abs):
        shifted = {number - offset for number in files}
        if offset and shifted <= frames and len(needed & shifted) > len(needed & files):
            first, last = min(stems), max(stems)
            text = f"numbered {offset:+d}: '{first}' to '{last}' for '{min(known)}' to '{max(known)}'"
            return NamingDifference("offset", text, offset)
    return None


def _numbers(names: set[str]) -> set[int]:
    """Return the numbers in the names; nothing when one has none or the words around them vary."""
    split = [_split(name) for name in names]
    numbered = [item for item in split if item is not None]
    if len(numbered) < len(names) or len({(item.before, item.after) for item in numbered}) > 1:
        return set()
    return {item.number for item in numbered}


def _split(name: str) -> _Numbered | None:
    # The last run of digits: in cars1_04 it is 04
    match = _NUMBERED.fullmatch(name)
    return None if match is None else _Numbered(match[1], int(match[2]), match[3])
