"""Metrics of video object segmentation as torchmetrics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vosbench.metrics.davis import ContourAccuracy, JFMeasure, RegionSimilarity, TemporalStability
    from vosbench.metrics.detection import MaskAveragePrecision
    from vosbench.metrics.fbms import FBMSMeasure, ObjectCountError
    from vosbench.metrics.iou import MeanFrameIoU

__all__ = [
    "ContourAccuracy",
    "FBMSMeasure",
    "JFMeasure",
    "MaskAveragePrecision",
    "MeanFrameIoU",
    "ObjectCountError",
    "RegionSimilarity",
    "TemporalStability",
]

_HOMES = {
    "ContourAccuracy": "vosbench.metrics.davis",
    "FBMSMeasure": "vosbench.metrics.fbms",
    "JFMeasure": "vosbench.metrics.davis",
    "MaskAveragePrecision": "vosbench.metrics.detection",
    "MeanFrameIoU": "vosbench.metrics.iou",
    "ObjectCountError": "vosbench.metrics.fbms",
    "RegionSimilarity": "vosbench.metrics.davis",
    "TemporalStability": "vosbench.metrics.davis",
}


def __getattr__(name: str) -> Any:
    # Scoring in many processes needs the functions only; torchmetrics takes seconds to import.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
