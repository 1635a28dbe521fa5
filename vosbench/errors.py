"""Errors that a user can cause."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_LONGEST_MESSAGE = 2000


class InputError(Exception):
    """Unusable input of the user: one line with the fault, its place, and the remedy.

    The command line prints the message alone and exits with status 2. Line breaks in names of others become
    blanks, and a message that holds more of their files than a person would read is cut.
    """

    def __init__(self, message: object = "") -> None:
        text = " ".join(str(message).splitlines())
        super().__init__(text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}...")


_LONGEST_NAME = 300
_LONGEST = 160
_LONGEST_PATH = 1000


def check_name(kind: str, name: str, choices: Collection[str]) -> None:
    """Raise the error of `unknown_name` unless `name` is one of `choices`."""
    if name not in choices:
        raise unknown_name(kind, name, choices)


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """Build the error for a name that is not among `choices`, the nearest names first.

    Args:
        kind: what the name stands for, e.g. ``"model"``.
        name: what the user wrote.
        choices: every valid name.
    """
    known = sorted(choices)
    name = printable(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")
    near = _near(name, known)
    if near:
        return InputError(f"unknown {kind} '{name}': did you mean {' or '.join(near)}?")
    return InputError(f"unknown {kind} '{name}': choose from {', '.join(known)}")


def _near(name: str, known: Sequence[str]) -> list[str]:
    """Return the choices most like a name; where there are none, those that are but for their case."""
    by_folded = {choice.casefold(): choice for choice in known}
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    folded = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
    return near or [by_folded[choice] for choice in folded]


def error_line(error: Exception) -> str:
    """Return an error as one line; an error that no user caused with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def shown(value: Any) -> str:
    """Return a value of a file as one line of some 80 characters.

    The time it takes depends neither on the size of the value nor on its depth.
    """
    return _Shown().repr(value)


def is_path_name(name: str) -> bool:
    """Return whether a name of others can name files in a folder: one line that does not lead out of it."""
    parts = name.split("/")
    inside = not {"", ".", ".."}.intersection(parts) and "\\" not in name
    return inside and len(name) <= _LONGEST_PATH and name.isprintable()


def printable(text: str) -> str:
    """Return text of others as one line that a terminal shows and does not obey."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line of at most 160 characters, its type where it has none."""
    # only the beginning of a message of any length is looked at
    return " ".join(f"{error}"[: 4 * _LONGEST].split())[:_LONGEST].strip() or type(error).__name__


class _Shown(reprlib.Repr):
    """Values cut to a few items of a few levels."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxother = 60
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = 4

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write thousands of digits
        return f"{x}" if abs(x) < 10**30 else f"a number of {x.bit_length()} bits"

    def repr_instance(self, x: Any, level: int) -> str:
        if x is None or isinstance(x, bool | float | complex):
            return f"{x!r}"
        if isinstance(x, str | bytes | bytearray):
            return f"{x[: self.maxstring]!r}"
        return f"<{type(x).__name__}>"
