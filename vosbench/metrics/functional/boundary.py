"""Contour accuracy F: precision and recall of boundary pixels within a small distance."""

from __future__ import annotations

from torch import Tensor

from vosbench.metrics.functional.region import foreground_values
from vosbench.metrics.kernels.silhouette import BOUND_TH


def contour_accuracy(
    pred: Tensor, target: Tensor, void: Tensor | None = None, bound_th: float = BOUND_TH
) -> Tensor:
    """Return the boundary measure ``F = 2PR / (P + R)`` of every frame.

    P is the share of predicted boundary pixels that lie within the exact Euclidean distance r of a
    boundary pixel of the ground truth, R the same with the roles exchanged. A mask without boundary
    (empty, or covering the whole frame) has P = 1 as prediction and R = 1 as ground truth.
    Void pixels are emptied in both masks before boundaries are taken, which creates boundaries
    along the void region, as the released evaluation does.

    Args:
        pred: (T, H, W) bool, the predicted foreground.
        target: (T, H, W) bool, the ground truth.
        void: (T, H, W) bool, pixels to leave out; None leaves out none.
        bound_th: below 1 a share of the image diagonal, rounded up to whole pixels
            (8 at 854 x 480); from 1 on the distance r in pixels.

    Returns:
        (T,) float64 in [0, 1], on the device of `pred`.

    Raises:
        ValueError: not bool, not three-dimensional, shapes that differ, or a `bound_th` that is
            not positive.

    Source: Perazzi et al., CVPR 2016, section 5.1; the boundary definition of the DAVIS toolkits.

    Example:
        >>> import torch
        >>> square = torch.zeros(1, 20, 20, dtype=torch.bool)
        >>> square[:, 5:15, 5:15] = True
        >>> contour_accuracy(square, square.roll(3, dims=2), bound_th=3)
        tensor([1.], dtype=torch.float64)
    """
    if not bound_th > 0:
        raise ValueError(f"bound_th must be positive, got {bound_th}")
    return foreground_values("F", pred, target, void, bound_th)
