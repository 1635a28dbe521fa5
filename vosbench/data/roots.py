"""Where data sets and caches live on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(option: Path | None = None) -> Path:
    """Return the folder that holds the data sets.

    Args:
        option: what the user chose on the command line, if anything.

    Returns:
        `option`, else ``$VOSBENCH_DATA``, else ``./data``; whether it exists is not checked here.
    """
    if option is not None:
        return option
    return Path(os.environ.get("VOSBENCH_DATA") or "data")


def cache_root() -> Path:
    """Return the folder for what can be computed again: flow fields, mini editions.

    ``$VOSBENCH_CACHE``, else ``vosbench`` in the user's cache folder of this platform.
    """
    chosen = os.environ.get("VOSBENCH_CACHE")
    if chosen:
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("vosbench"))


def mini_root(scenes: int | None = None) -> Path:
    """Return the data root of mini editions that are rendered without being asked for.

    Args:
        scenes: scenes or sequences per split; None for the default. Every number has a folder of its own,
            so that one never replaces the miniature that methods are tested on.
    """
    return cache_root() / ("mini" if scenes is None else f"mini-{scenes}")
