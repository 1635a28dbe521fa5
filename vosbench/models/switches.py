"""Checks of the switches of a method, and their values for a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vosbench.errors import InputError, shown, unknown_name


def require(method: str, key: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse a value that is not one of `choices`, of their type.

    Raises:
        InputError: names method, key and choices.
    """
    if value in choices and type(value) is type(choices[0]):
        return
    if isinstance(value, str) and isinstance(choices[0], str):
        raise unknown_name(f"{method} {key}", value, choices)
    raise InputError(f"{method}: {key} is {shown(value)}, choose from {', '.join(map(str, choices))}")


def require_share(method: str, key: str, value: Any) -> None:
    """Refuse what is not a number from 0 to 1.

    Raises:
        InputError: names method and key.
    """
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise InputError(f"{method}: {key} is {shown(value)}, it must be between 0 and 1")


def require_count(method: str, key: str, value: Any, least: int = 1, unit: str = "") -> None:
    """Refuse what is not a whole number from `least` on.

    Raises:
        InputError: names method, key and the least value.
    """
    if not (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        raise InputError(f"{method}: {key} is {shown(value)}, at least {least}{unit and ' ' + unit}")


def require_number(method: str, key: str, value: Any) -> None:
    """Refuse what is not a number from 0 on.

    Raises:
        InputError: names method and key.
    """
    if not (isinstance(value, int | float) and value >= 0):
        raise InputError(f"{method}: {key} is {shown(value)}, it must be a number from 0 on")


def require_choices(method: str, keys: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Refuse values that are not among the choices of their keys; None passes where None is a choice.

    Raises:
        InputError: names method, key and choices.
    """
    for key, allowed in choices.items():
        if keys[key] is not None or None not in allowed:
            require(method, key, keys[key], tuple(choice for choice in allowed if choice is not None))


def values_for_size(keys: Mapping[str, Any], by_size: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the keys that have a value of their own for each size, None replaced by the value for the size.

    Args:
        keys: all keys of a method, ``size`` among them.
        by_size: size -> key -> value.
    """
    defaults = by_size[keys["size"]]
    return {key: default if keys[key] is None else keys[key] for key, default in defaults.items()}
