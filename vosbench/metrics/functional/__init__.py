"""The metrics as pure tensor functions."""

from vosbench.metrics.functional.boundary import contour_accuracy
from vosbench.metrics.functional.detection import average_precision
from vosbench.metrics.functional.fbms import fbms_measure, object_count_error
from vosbench.metrics.functional.iou import frame_iou_mean
from vosbench.metrics.functional.region import region_similarity
from vosbench.metrics.functional.statistics import sequence_statistics
from vosbench.metrics.functional.temporal import temporal_stability

__all__ = [
    "average_precision",
    "contour_accuracy",
    "fbms_measure",
    "frame_iou_mean",
    "object_count_error",
    "region_similarity",
    "sequence_statistics",
    "temporal_stability",
]
