"""Errors that a user can cause."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class InputError(Exception):
    """Unusable input of the user: one line with the fault, its place, and the remedy.

    The command line prints the message alone and exits with status 2.
    """


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
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return InputError(f"unknown {kind} '{name}': did you mean {' or '.join(near)}?")
    return InputError(f"unknown {kind} '{name}': choose from {', '.join(known)}")


def error_line(error: Exception) -> str:
    """Return an error as one line; an error that no user caused with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
