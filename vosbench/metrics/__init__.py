"""Metrics of video object segmentation as torchmetrics."""
