"""Metrics of video object segmentation as torchmetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy
from vosbench.metrics.specs import METRICS

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

__getattr__, __dir__ = lazy(
    "vosbench.metrics",
    {name: module for module, _, name in (spec.implementation.partition(":") for spec in METRICS.values())},
)
