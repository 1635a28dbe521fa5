"""Data sets, readers, the miniature world."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vosbench.data.catalogue import open_dataset
    from vosbench.video import Segmentation, Video

__all__ = ["Segmentation", "Video", "open_dataset"]

_HOMES = {
    "Segmentation": "vosbench.video",
    "Video": "vosbench.video",
    "open_dataset": "vosbench.data.catalogue",
}


def __getattr__(name: str) -> Any:
    # Names are looked up on first use so that importing the package does not import numpy.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
