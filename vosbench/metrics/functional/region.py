"""Region similarity J: intersection over union of two masks, frame by frame."""

from __future__ import annotations

import torch
from torch import Tensor

from vosbench.metrics.functional.tensors import check_shapes, mask_array
from vosbench.metrics.kernels.overlap import OverlapSeries
from vosbench.metrics.kernels.silhouette import BOUND_TH


def region_similarity(pred: Tensor, target: Tensor, void: Tensor | None = None) -> Tensor:
    """Return the region similarity ``J = |pred and target| / |pred or target|`` of every frame.

    Two empty masks agree: J = 1. Pixels under `void` count in neither number.

    Args:
        pred: (T, H, W) bool, the predicted foreground.
        target: (T, H, W) bool, the ground truth.
        void: (T, H, W) bool, pixels to leave out; None leaves out none.

    Returns:
        (T,) float64 in [0, 1], on the device of `pred`.

    Raises:
        ValueError: not bool, not three-dimensional, or shapes that differ.

    Source: Perazzi et al., CVPR 2016, section 5.1.

    Example:
        >>> import torch
        >>> pred = torch.tensor([[[True, True, False]]])
        >>> target = torch.tensor([[[False, True, True]]])
        >>> region_similarity(pred, target)
        tensor([0.3333], dtype=torch.float64)
    """
    return foreground_values("J", pred, target, void)


def foreground_values(
    measure: str, pred: Tensor, target: Tensor, void: Tensor | None, bound_th: float = BOUND_TH
) -> Tensor:
    """Return J or F of every frame; arguments, result and errors as in `region_similarity`."""
    masks, truth = mask_array("pred", pred), mask_array("target", target)
    left_out = None if void is None else mask_array("void", void)
    check_shapes(pred=masks, target=truth, void=left_out)
    series = OverlapSeries([measure], bound_th=bound_th)
    for t in range(len(masks)):
        series.add(masks[t], truth[t], None if left_out is None else left_out[t])
    return torch.from_numpy(series.finish()[0][measure]).to(pred.device)
