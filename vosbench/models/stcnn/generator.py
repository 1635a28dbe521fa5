"""Temporal coherence branch of STCNN: the next frame from the past ones (Xu et al., section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.pretrained import Loaded, load_pretrained
from vosbench.models.layers.resnet import ResNet, repeat_stem
from vosbench.models.stcnn.blocks import STCNNWidths, StrideIn, crop_to, start_as_bilinear, start_as_he

DELTA = 4
"""Frames that the published network looks back."""

DELTAS = (3, 4, 5, 6)
STARTS = ("paper", "code")


class Prediction(NamedTuple):
    """Output of the temporal branch for past frames.

    Attributes:
        frame: (N, 3, ceil(H / 4), ceil(W / 4)) float32, the predicted frame, -1..1.
        features: three maps from coarse to fine, at 1/16, 1/8 and 1/4, of 8, 4 and 1 times the width.
    """

    frame: Tensor
    features: tuple[Tensor, ...]


class Generator(nn.Module):
    """Predicts a frame from the `delta` frames before it, and leaves features of their motion.

    Args:
        delta: number of past frames.
        widths: size.
        relu: between normalisation and deconvolution, as in the released pretraining; the released joint
            network has none.
        stride_in: which convolution of a residual block has the stride; must be that of the weights.
    """

    def __init__(
        self,
        delta: int = DELTA,
        widths: STCNNWidths | None = None,
        *,
        relu: bool = True,
        stride_in: StrideIn = "1x1",
    ) -> None:
        super().__init__()
        widths = widths or STCNNWidths()
        self.delta = delta
        self.encoder = ResNet(widths.blocks, widths.width, in_channels=3 * delta, stride_in=stride_in)
        self.decoder = GeneratorDecoder(widths.width, relu=relu)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the features, from coarse to fine."""
        return self.decoder.channels

    def forward(self, past: Tensor) -> Prediction:
        """Return the next frame and features; (N, 3 * delta, H, W), -1..1, the oldest frame first."""
        result: Prediction = self.decoder(self.encoder(past))
        return result

    def load_encoder(self, weights: str | Path | None, key: str = "encoder_weights") -> Loaded:
        """Start the encoder from weights of ImageNet, the first kernel repeated for every frame.

        Raises:
            InputError: see `load_pretrained`.
        """
        return load_pretrained(self.encoder, weights, adapt=partial(repeat_stem, times=self.delta), key=key)


class GeneratorDecoder(nn.Module):
    """Three deconvolutions from 1/32 to 1/4, with skips.

    Args:
        width: of the encoder.
        relu: see `Generator`.
    """

    def __init__(self, width: int, *, relu: bool) -> None:
        super().__init__()
        self.channels = (8 * width, 4 * width, width)
        self.reduce = nn.ModuleList(
            nn.Conv2d(factor * width, factor * width // 2, kernel_size=1) for factor in (32, 16, 8)
        )
        self.stages = nn.ModuleList(
            Enlarging(16 * width if index == 0 else 2 * self.channels[index - 1], channels, relu=relu)
            for index, channels in enumerate(self.channels)
        )
        self.predict = nn.Conv2d(width, 3, kernel_size=1)
        self.apply(start_as_he)

    def forward(self, maps: Sequence[Tensor]) -> Prediction:
        """Return frame and features from the encoder's four maps, from fine to coarse."""
        skips = maps[::-1]
        x = skips[0]
        features: list[Tensor] = []
        for index, (reduce, stage) in enumerate(zip(self.reduce, self.stages, strict=True)):
            reduced = reduce(skips[index])
            x = reduced if index == 0 else torch.cat([x, reduced], dim=1)
            x = crop_to(stage(x), skips[index + 1].shape[-2:])
            features.append(x)
        return Prediction(torch.tanh(at_least_float32(self.predict(x))), tuple(features))


class Enlarging(nn.Module):
    """Convolution, normalisation, and a deconvolution that starts as bilinear interpolation.

    Args:
        inputs: channels.
        outputs: channels.
        relu: before the deconvolution.
    """

    def __init__(self, inputs: int, outputs: int, *, relu: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()
        self.deconv = nn.ConvTranspose2d(outputs, outputs, kernel_size=4, stride=2, bias=False)
        start_as_bilinear(self.deconv)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, 2 h + 2, 2 w + 2) of (N, inputs, h, w)."""
        result: Tensor = self.deconv(self.relu(self.norm(self.conv(x))))
        return result


def past_indices(t: int, delta: int = DELTA, start: str = "paper") -> list[int]:
    """Return the numbers of the frames before frame `t`, the oldest first.

    Args:
        t: from 0 on.
        delta: how many.
        start: where there are too few. ``"paper"``: frame 0 is repeated in front. ``"code"``: the same,
            but with frame `t` itself at the end, as the released online training does.

    Raises:
        ValueError: `t` is negative.
    """
    if t < 0:
        raise ValueError(f"there is no frame {t}")
    end = t + 1 if start == "code" and t < delta else t
    return [max(0, number) for number in range(end - delta, end)]


def scale_past(frames: Tensor) -> Tensor:
    """Return pixels 0..255 as -1..1; the type of floating frames stays, others become float32."""
    pixels = frames if frames.is_floating_point() else frames.float()
    return pixels / 127.5 - 1
