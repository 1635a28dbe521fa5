"""Checking the switches of a method."""

from __future__ import annotations

from typing import Any

from vosbench.errors import InputError, unknown_name


def require(method: str, key: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse a value that is not one of `choices`, of their type.

    Raises:
        InputError: names method, key and choices.
    """
    if value in choices and type(value) is type(choices[0]):
        return
    if isinstance(value, str) and isinstance(choices[0], str):
        raise unknown_name(f"{method} {key}", value, choices)
    raise InputError(f"{method}: {key} is {value!r}, choose from {', '.join(map(str, choices))}")


def require_share(method: str, key: str, value: Any) -> None:
    """Refuse what is not a number from 0 to 1.

    Raises:
        InputError: names method and key.
    """
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise InputError(f"{method}: {key} is {value!r}, it must be between 0 and 1")


def require_count(method: str, key: str, value: Any, least: int = 1, unit: str = "") -> None:
    """Refuse what is not a whole number from `least` on.

    Raises:
        InputError: names method, key and the least value.
    """
    if not (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        raise InputError(f"{method}: {key} is {value!r}, at least {least}{unit and ' ' + unit}")
