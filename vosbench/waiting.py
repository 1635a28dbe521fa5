"""Report of what a user waits for, from the packages that work to the command line that prints."""

from __future__ import annotations

from collections.abc import Callable

Waiting = Callable[[str, int, int | None], None]
"""Called with what is done, e.g. ``"rendering davis16"``, the number of finished parts and of all parts.

The number of all parts is None where it is not known.
"""


def unreported(what: str, done: int, total: int | None) -> None:
    """Report nothing: the `Waiting` of a caller that does not want to know."""
