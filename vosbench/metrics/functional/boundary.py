"""Contour accuracy F: precision and recall of boundary pixels within a small distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from vosbench.metrics.functional.region import check_masks


def contour_accuracy(
    pred: Tensor, target: Tensor, void: Tensor | None = None, bound_th: float = 0.008
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
    check_masks(pred, target, void)
    if not bound_th > 0:
        raise ValueError(f"bound_th must be positive, got {bound_th}")
    if void is not None:
        pred, target = pred & ~void, target & ~void
    height, width = pred.shape[1:]
    radius = bound_th if bound_th >= 1 else math.ceil(bound_th * math.hypot(height, width))
    scores = [
        _frame_score(p, t, radius) for p, t in zip(boundary_map(pred), boundary_map(target), strict=True)
    ]
    return torch.stack(scores) if scores else pred.new_zeros(0, dtype=torch.float64)


def boundary_map(masks: Tensor) -> Tensor:
    """Mark pixels that differ from their right, lower or lower-right neighbour.

    The image border is no boundary: the last row compares with the right neighbour alone, the last
    column with the lower one alone, and the last pixel with none.

    Args:
        masks: (..., H, W) bool.

    Returns:
        (..., H, W) bool.
    """
    right = masks[..., :, :-1] ^ masks[..., :, 1:]
    below = masks[..., :-1, :] ^ masks[..., 1:, :]
    corner = masks[..., :-1, :-1] ^ masks[..., 1:, 1:]
    return pad(right, (0, 1)) | pad(below, (0, 0, 0, 1)) | pad(corner, (0, 1, 0, 1))


def _frame_score(pred: Tensor, target: Tensor, radius: float) -> Tensor:
    """F of two (H, W) boundary maps: () float64."""
    pred_points, target_points = pred.nonzero(), target.nonzero()
    one = torch.ones((), dtype=torch.float64, device=pred.device)
    if len(pred_points) == 0 or len(target_points) == 0:
        return one if len(pred_points) == len(target_points) else 0 * one
    precision = _near(pred_points, target, radius).double().mean()
    recall = _near(target_points, pred, radius).double().mean()
    total = precision + recall
    return torch.where(total > 0, 2 * precision * recall / total, 0.0)


def _near(points: Tensor, boundary: Tensor, radius: float) -> Tensor:
    """Tell which (N, 2) points have a boundary pixel within `radius`: (N,) bool.

    The disk around a point is a stack of horizontal runs, and a running sum along the rows tells in
    two look-ups whether a run holds a boundary pixel: exact, and no distance map of the whole image.
    """
    reach = int(radius)
    rows = torch.arange(-reach, reach + 1, device=points.device)
    half_widths = torch.tensor(
        [math.floor(math.sqrt(radius**2 - dy**2)) for dy in range(-reach, reach + 1)], device=points.device
    )
    # one extra column on the left: sums are taken up to, not including, an index
    sums = pad(boundary, (reach + 1, reach, reach, reach)).cumsum(1, dtype=torch.int32)
    y = points[:, :1] + reach + rows
    x = points[:, 1:] + reach
    return (sums[y, x + half_widths + 1] > sums[y, x - half_widths]).any(1)
