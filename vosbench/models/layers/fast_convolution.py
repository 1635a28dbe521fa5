"""Convolution with large kernels; see `convolve`."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with stride 1 and zeros around, so that the size stays.

    Args:
        x: (N, in_channels, H, W).
        weight: (out_channels, in_channels, k, k), k odd.
        bias: (out_channels,).

    Returns:
        (N, out_channels, H, W).
    """
    return F.conv2d(x, weight, bias, padding=(weight.shape[2] // 2, weight.shape[3] // 2))
