"""vosbench: train, run, score and compare video object segmentation methods."""

__version__ = "0.1.0"
