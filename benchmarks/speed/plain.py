"""Plain numpy and scipy implementation of J and F, one frame at a time.

A yardstick for speed and a second opinion on values; nothing here is shared with vosbench.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Mask = NDArray[np.bool_]


def region_similarity(pred: Mask, target: Mask) -> float:
    """Intersection over union of two (H, W) masks; 1 when both are empty."""
    union = np.logical_or(pred, target).sum()
    return float(np.logical_and(pred, target).sum() / union) if union else 1.0


def boundary(mask: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower-right neighbour, where there is one."""
    edges = np.zeros_like(mask)
    edges[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edges[:-1] |= mask[:-1] != mask[1:]
    edges[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edges


def contour_accuracy(pred: Mask, target: Mask) -> float:
    """Harmonic mean of the shares of boundary pixels near the other boundary."""
    radius = np.ceil(0.008 * np.hypot(*pred.shape))
    ours, theirs = boundary(pred), boundary(target)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = (distance_transform_edt(~theirs)[ours] <= radius).mean()
    recall = (distance_transform_edt(~ours)[theirs] <= radius).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
