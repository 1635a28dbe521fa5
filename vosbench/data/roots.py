"""Folders of data sets and caches on this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_dir

from vosbench.errors import InputError


def data_root(option: Path | None = None) -> Path:
    """Return the folder that holds the data sets.

    Args:
        option: value of the command line; None without one.

    Returns:
        `option`, else ``$VOSBENCH_DATA``, else ``./data``; the folder may not exist.
    """
    if option is not None:
        return option
    return Path(os.environ.get("VOSBENCH_DATA") or "data")


def cache_root() -> Path:
    """Return the folder for what can be computed again: flow fields, mini editions.

    ``$VOSBENCH_CACHE``, else ``vosbench`` in the user's cache folder of this platform.

    Raises:
        InputError: the system knows no home folder of the user, as of a number without a name.
    """
    if named := os.environ.get("VOSBENCH_CACHE"):
        return Path(named)
    with suppress(RuntimeError):
        folder = Path(user_cache_dir("vosbench"))
        # older versions of platformdirs leave the ~
        if folder.is_absolute():
            return folder
    raise InputError("no home folder is known to keep caches in: set VOSBENCH_CACHE to a folder, or set HOME")


def mini_root(scenes: int | None = None, split: str | None = None) -> Path:
    """Return the data root of miniatures that a comparison renders where there is no data set.

    Args:
        scenes: scenes or sequences per split; None for the default. Every number has a folder of its own,
            so that one never replaces the miniature that methods are tested on.
        split: the only one that is rendered; None for all.
    """
    parts = ["mini", *(str(part) for part in (scenes, split) if part is not None)]
    return cache_root() / "-".join(parts)
