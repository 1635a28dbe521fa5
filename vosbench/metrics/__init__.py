"""Metrics of video object segmentation as torchmetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

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

__getattr__ = lazy(
    "vosbench.metrics",
    {
        "ContourAccuracy": "vosbench.metrics.davis",
        "FBMSMeasure": "vosbench.metrics.fbms",
        "JFMeasure": "vosbench.metrics.davis",
        "MaskAveragePrecision": "vosbench.metrics.detection",
        "MeanFrameIoU": "vosbench.metrics.iou",
        "ObjectCountError": "vosbench.metrics.fbms",
        "RegionSimilarity": "vosbench.metrics.davis",
        "TemporalStability": "vosbench.metrics.davis",
    },
)
