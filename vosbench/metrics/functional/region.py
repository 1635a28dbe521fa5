"""Region similarity J: intersection over union of two masks, frame by frame."""

from __future__ import annotations

import torch
from torch import Tensor

from vosbench.metrics.kernels.overlap import OverlapSeries
from vosbench.metrics.kernels.silhouette import BOUND_TH


def check_masks(pred: Tensor, target: Tensor | None = None, void: Tensor | None = None) -> None:
    """Refuse masks that are not (T, H, W) bool tensors of one shape.

    Raises:
        ValueError: the sentence names the argument and what it is instead.
    """
    for name, masks in (("pred", pred), ("target", target), ("void", void)):
        if masks is None:
            continue
        if masks.ndim != 3 or masks.dtype != torch.bool:
            raise ValueError(
                f"{name} must be a (T, H, W) bool tensor, got {masks.dtype} of shape {tuple(masks.shape)}"
            )
        if masks.shape != pred.shape:
            raise ValueError(
                f"{name} has shape {tuple(masks.shape)}, pred {tuple(pred.shape)}: sizes must agree"
            )


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
    check_masks(pred, target, void)
    series = OverlapSeries([measure], bound_th=bound_th)
    if void is not None:
        pred, target = pred & ~void, target & ~void
    for frame, truth in zip(pred.cpu().numpy(), target.cpu().numpy(), strict=True):
        series.add(frame, truth)
    return torch.from_numpy(series.finish()[0][measure]).to(pred.device)
