"""The metrics as pure tensor functions."""

from vosbench.metrics.functional.boundary import contour_accuracy
from vosbench.metrics.functional.fbms import fbms_measure, object_count_error
from vosbench.metrics.functional.region import region_similarity
from vosbench.metrics.functional.temporal import temporal_stability
from vosbench.metrics.kernels.statistics import sequence_statistics

__all__ = [
    "contour_accuracy",
    "fbms_measure",
    "object_count_error",
    "region_similarity",
    "sequence_statistics",
    "temporal_stability",
]
