"""The spatial segmentation branch with its coarse-to-fine attention (Xu et al., section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.pretrained import Loaded, load_pretrained
from vosbench.models.layers.resnet import ResNet
from vosbench.models.pixelwise import enlarge
from vosbench.models.stcnn.blocks import STCNNWidths, StrideIn, conv_norm, crop_to, start_as_he

TOPDOWNS = ("resize", "code_crop")
POOLINGS = (1, 2, 3, 6)
LEVELS = 3
"""Groups of the encoder that have a lateral connection, the last one excluded."""


class SpatialBranch(nn.Module):
    """Object or not, per pixel, of one frame, with features of the temporal branch where there are some.

    Args:
        temporal: channels of the temporal features, from coarse to fine; empty for a branch alone.
        attention: weigh features by the coarser map; without, they stay as they are.
        topdown: see `SpatialDecoder`.
        widths: size.
        stride_in: which convolution of a residual block has the stride; must be that of the weights.
    """

    def __init__(
        self,
        temporal: tuple[int, ...] = (),
        *,
        attention: bool = True,
        topdown: str = "resize",
        widths: STCNNWidths | None = None,
        stride_in: StrideIn = "1x1",
    ) -> None:
        super().__init__()
        widths = widths or STCNNWidths()
        self.encoder = ResNet(
            widths.blocks,
            widths.width,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 2),
            multi_grid=(1, 2, 1),
            stride_in=stride_in,
            ceil_mode=True,
        )
        self.decoder = SpatialDecoder(widths.width, temporal, attention=attention, topdown=topdown)

    def forward(self, frame: Tensor, features: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return `MAPS` maps of logits, from coarse to fine, then fused.

        Args:
            frame: (N, 3, H, W) pixels normalised for ImageNet.
            features: of the temporal branch, from coarse to fine. None at all stand for zeros, as while
                the branch learns by itself.

        Returns:
            Maps (N, 1, h, w) float32, three of about an eighth and two of about a quarter.
        """
        result: tuple[Tensor, ...] = self.decoder(self.encoder(frame), features)
        return result

    def load_encoder(self, weights: str | Path | None, key: str = "encoder_weights") -> Loaded:
        """Start the encoder from weights of ImageNet.

        Raises:
            InputError: see `load_pretrained`.
        """
        return load_pretrained(self.encoder, weights, key=key)


class SpatialDecoder(nn.Module):
    """Pyramid of pools, then from coarse to fine: lateral, join, attention, score; a fusion of all.

    What goes down is the sum of lateral and coarser features, before join and attention.

    Args:
        width: of the encoder.
        temporal: channels of the temporal features, from coarse to fine.
        attention: see `SpatialBranch`.
        topdown: how enlarged features meet the size of the lateral ones. ``"resize"``: bilinearly.
            ``"code_crop"``, as released: cut around the centre, which zooms and misaligns the two levels
            that are no larger than the ones above them; temporal features of the two finer levels are
            cut, too.
    """

    def __init__(
        self, width: int, temporal: tuple[int, ...] = (), *, attention: bool = True, topdown: str = "resize"
    ) -> None:
        super().__init__()
        self.temporal = temporal
        self.topdown = topdown
        inner, bottom = 4 * width, 32 * width
        extra = temporal[::-1] or (0,) * LEVELS
        self.pyramid = nn.ModuleList(conv_norm(bottom, 8 * width, 1) for _ in POOLINGS)
        self.pyramid_last = conv_norm(bottom + len(POOLINGS) * 8 * width, inner, 3)
        # from fine to coarse, as in the released files
        self.laterals = nn.ModuleList(conv_norm(4 * width * 2**level, inner, 1) for level in range(LEVELS))
        self.joins = nn.ModuleList(conv_norm(inner + channels, inner, 3) for channels in extra)
        self.attentions = nn.ModuleList(Attention(inner) for _ in range(LEVELS)) if attention else None
        self.scores = nn.ModuleList(_score(inner, inner) for _ in range(LEVELS + 1))
        self.fuse = _score((LEVELS + 1) * inner, inner)
        self.apply(start_as_he)
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(inner, inner, kernel_size=4, stride=2, bias=False) for _ in range(LEVELS)
        )

    def forward(self, maps: Sequence[Tensor], features: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return the maps of logits from the encoder's four maps, from fine to coarse."""
        x = self._pool(maps[-1])
        logits = [at_least_float32(self.scores[-1](x))]
        joined = [x]
        for level in reversed(range(LEVELS)):
            lateral = self.laterals[level](maps[level])
            x = lateral + self._down(level, x, lateral.shape[-2:])
            y = self._join(level, x, features)
            if self.attentions is not None:
                y = self.attentions[level](y, enlarge(logits[-1], y.shape[-2:]).sigmoid())
            logits.append(at_least_float32(self.scores[level](y)))
            joined.append(y)
        finest = joined[-1].shape[-2:]
        fused = self.fuse(torch.cat([enlarge(level, finest) for level in reversed(joined)], dim=1))
        return (*logits, at_least_float32(fused))

    def _pool(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        parts = [x]
        for side, layers in zip(POOLINGS, self.pyramid, strict=True):
            convolve, norm, relu = layers.children()
            # enlarging and a 1x1 convolution commute: in this order a few pixels are convolved, not all
            convolved = enlarge(convolve(F.adaptive_avg_pool2d(x, side)), size)
            parts.append(relu(norm(convolved)))
        result: Tensor = self.pyramid_last(torch.cat(parts, dim=1))
        return result

    def _down(self, level: int, x: Tensor, size: torch.Size) -> Tensor:
        x = self.enlarge[level](x)
        if self.topdown == "code_crop":
            return crop_to(x, size)
        # the rim of one pixel lies beyond what was enlarged
        return enlarge(x[..., 1:-1, 1:-1], size)

    def _join(self, level: int, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        size = x.shape[-2:]
        parts = [x]
        if self.temporal and features:
            temporal = features[LEVELS - 1 - level]
            cut = self.topdown == "code_crop" and level < LEVELS - 1
            parts.append(crop_to(temporal, size) if cut else enlarge(temporal, size))
        elif self.temporal:
            parts.append(x.new_zeros(len(x), self.temporal[LEVELS - 1 - level], *size))
        result: Tensor = self.joins[level](torch.cat(parts, dim=1))
        return result


class Attention(nn.Module):
    """Residual attention: F + m g(F) of features F, two convolutions g and a map m.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return (N, channels, h, w) of features of that shape and a map (N, 1, h, w), 0..1."""
        inner = self.conv1(F.relu(self.bn1(x)))
        result: Tensor = x + weight * self.conv2(F.relu(self.bn2(inner)))
        return result


def _score(inputs: int, inner: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(inputs, inner, 3), nn.Conv2d(inner, 1, kernel_size=1))
