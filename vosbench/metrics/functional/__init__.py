"""The metrics as pure tensor functions."""

from vosbench.metrics.functional.boundary import contour_accuracy
from vosbench.metrics.functional.region import region_similarity
from vosbench.metrics.functional.statistics import sequence_statistics

__all__ = ["contour_accuracy", "region_similarity", "sequence_statistics"]
