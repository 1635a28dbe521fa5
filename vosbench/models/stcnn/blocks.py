"""Blocks of the two branches of STCNN (Xu et al., CVPR 2019, sections 3.1 and 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.resnet import RESNET101, Blocks

StrideIn = Literal["1x1", "3x3"]


@dataclass(frozen=True)
class STCNNWidths:
    """Size of both branches, by default the published one.

    Attributes:
        width: channels of the first convolution; all others are multiples of it.
        blocks: residual blocks of the four groups of both encoders.
        discriminator: channels of the small discriminator in place of Inception-v3, None for that.
    """

    width: int = 64
    blocks: Blocks = RESNET101
    discriminator: int | None = None


TINY = STCNNWidths(width=8, blocks=(1, 1, 2, 1), discriminator=16)
"""[ours] The same topology for a CPU."""


def conv_norm(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return convolution without bias, batch normalisation and ReLU; sizes stay."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def crop_to(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Cut (N, C, h, w) to a size around its centre, or pad it with zeros, by the released rule.

    Of an odd number of rows or columns too many the right and the bottom lose one more; of too few, the
    left and the top gain one more.
    """
    missing = [wanted - side for wanted, side in zip(size, x.shape[-2:], strict=True)]
    if not any(missing):
        return x
    (top, bottom), (left, right) = ((math.ceil(side / 2), math.floor(side / 2)) for side in missing)
    return F.pad(x, [left, right, top, bottom])


def start_as_he(module: nn.Module) -> None:
    """Draw the weights of a convolution as He et al. (2015) have it, its bias 0; for ``apply``."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def start_as_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Make a deconvolution of even kernel with stride 2 enlarge each channel bilinearly."""
    side = layer.kernel_size[0]
    ramp = 1 - (torch.arange(side) - (side - 1) / 2).abs() / (side / 2)
    with torch.no_grad():
        layer.weight.zero_()
        diagonal = torch.arange(layer.in_channels)
        layer.weight[diagonal, diagonal] = torch.outer(ramp, ramp).to(layer.weight)
