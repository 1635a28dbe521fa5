"""Temporal instability T: bending of the contour of one mask to that of the next."""

from __future__ import annotations

import torch
from torch import Tensor

from vosbench.metrics.functional.tensors import mask_array
from vosbench.metrics.kernels.temporal import PairValues, Toolkit


def temporal_stability(pred: Tensor, toolkit: Toolkit = "python") -> Tensor:
    """Return the temporal instability of every pair of neighbouring frames; lower is better.

    The polygons of the two masks are put in correspondence point by point, and the pair value is the
    mean distance of their shape contexts; see `vosbench.metrics.kernels.temporal.PairValues`.
    The value of a sequence is five times the mean over its pairs, NaN ignored.

    Args:
        pred: (T, H, W) bool. The ground truth plays no part; the MATLAB toolkit has that of frame 0 as
            the first of these.
        toolkit: ``"python"`` or ``"matlab"``, the released code whose values these are. The published
            tables of DAVIS 2016 are of the latter; see `PairValues` for what differs.

    Returns:
        (max(T - 1, 0),) float64 in [0, 1], raw (not times five), on the CPU; NaN where one of the
        two masks yields no polygon (an empty mask, specks of a pixel or two).

    Raises:
        ValueError: not bool or not three-dimensional, or another toolkit.

    Source: Perazzi et al., CVPR 2016, section 5.1; steps of the released toolkits, whose values differ by
    up to about 11 % on a sequence. Shape contexts: Belongie et al., TPAMI 2002.

    Example:
        >>> import torch
        >>> square = torch.zeros(2, 40, 40, dtype=torch.bool)
        >>> square[0, 5:25, 5:25] = square[1, 10:30, 12:32] = True
        >>> temporal_stability(square)
        tensor([0.], dtype=torch.float64)
    """
    pairs = PairValues(toolkit)
    for mask in mask_array("pred", pred):
        pairs.add(mask)
    return torch.tensor(pairs.values, dtype=torch.float64)
