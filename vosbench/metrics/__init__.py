"""Metrics of video object segmentation as torchmetrics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vosbench.metrics.davis import ContourAccuracy, RegionSimilarity, TemporalStability

__all__ = ["ContourAccuracy", "RegionSimilarity", "TemporalStability"]


def __getattr__(name: str) -> Any:
    # Scoring in many processes needs the functions only; torchmetrics takes seconds to import.
    if name in __all__:
        return getattr(import_module("vosbench.metrics.davis"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
