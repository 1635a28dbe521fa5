"""Metrics of video object segmentation as torchmetrics."""

from vosbench.metrics.davis import ContourAccuracy, RegionSimilarity, TemporalStability

__all__ = ["ContourAccuracy", "RegionSimilarity", "TemporalStability"]
