"""Both branches of STCNN at size lite: EfficientNet-Lite0 in place of the ResNets ([ours], for a CPU).

The parts and their order are those of the paper. What the temporal features and the attention add starts at
zero, so that a spatial branch with the weights of FusionSeg's appearance stream finds what that stream finds.
Corners of all maps stand for the corners of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.fusionseg.backbones import LiteStream
from vosbench.models.layers.deeplab import RATES
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0, imagenet_weights
from vosbench.models.layers.lite_pyramid import LitePyramid, fitted, lite_body
from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.pretrained import Loaded, load_pretrained
from vosbench.models.layers.resnet import group_norm
from vosbench.models.lvo.lite import enlarged, picture_size
from vosbench.models.stcnn.blocks import conv_norm, start_as_he
from vosbench.models.stcnn.generator import DELTA, Prediction

IMAGENET = "efficientnet_lite0"
"""In the place of weights: those of ImageNet, of the extra ``backbones``."""

TEMPORAL_GROUPS = 5
"""Groups of EfficientNet-Lite0 in the temporal encoder."""

TEMPORAL_LEVELS = (4, 2, 1)
"""Its maps that are read, at 1/16, 1/8 and 1/4."""

TEMPORAL_CHANNELS = (64, 48, 32)
"""Channels of the temporal features, from coarse to fine."""

LEVELS = 3
"""Maps of the pyramid that temporal features join, all but the coarsest."""

STEM = "stem.0.weight"
"""First kernel of an EfficientNet-Lite0."""

INNER = 32
"""Channels between the two convolutions of the attention."""


class LiteGenerator(nn.Module):
    """Temporal branch: the frame after `delta` frames, and features of their motion.

    Args:
        delta: number of past frames.
    """

    channels = TEMPORAL_CHANNELS

    def __init__(self, delta: int = DELTA) -> None:
        super().__init__()
        self.delta = delta
        self.encoder = EfficientNetLite0(TEMPORAL_GROUPS, in_channels=3 * delta)
        self.decoder = LiteGeneratorDecoder()

    def forward(self, past: Tensor) -> Prediction:
        """Return the next frame and features; (N, 3 * delta, H, W), -1..1, the oldest frame first."""
        result: Prediction = self.decoder(self.encoder(fitted(past)))
        return result

    def load_encoder(self, weights: str | Path | None, key: str = "encoder_weights") -> Loaded:
        """Start the encoder from weights of ImageNet, the first kernel repeated for every frame.

        Raises:
            InputError: see `load_pretrained` and `imagenet_weights`.
        """
        return _load_imagenet(self.encoder, weights, key, times=self.delta)


class LiteGeneratorDecoder(nn.Module):
    """From 1/16 to 1/4, with skips, and the predicted frame."""

    def __init__(self) -> None:
        super().__init__()
        skips = [EfficientNetLite0.channels[level] for level in TEMPORAL_LEVELS]
        self.reduce = nn.ModuleList(
            nn.Conv2d(count, channels, kernel_size=1)
            for count, channels in zip(skips, TEMPORAL_CHANNELS, strict=True)
        )
        above = (0, *TEMPORAL_CHANNELS)
        self.stages = nn.ModuleList(
            conv_norm(above[index] + channels, channels, 3)
            for index, channels in enumerate(TEMPORAL_CHANNELS)
        )
        self.predict = nn.Conv2d(TEMPORAL_CHANNELS[-1], 3, kernel_size=1)
        self.apply(start_as_he)

    def forward(self, maps: Sequence[Tensor]) -> Prediction:
        """Return frame and features from the maps of an `EfficientNetLite0`."""
        features: list[Tensor] = []
        for level, reduce, stage in zip(TEMPORAL_LEVELS, self.reduce, self.stages, strict=True):
            x = reduce(maps[level])
            if features:
                x = torch.cat([enlarged(features[-1], x.shape[-2:]), x], dim=1)
            features.append(stage(x))
        return Prediction(torch.tanh(at_least_float32(self.predict(features[-1]))), tuple(features))


class LiteSpatialBranch(nn.Module):
    """Object or not, per pixel, of one frame, with features of the temporal branch where there are some.

    Args:
        temporal: channels of the temporal features, from coarse to fine; empty for a branch alone.
        attention: weigh features by the coarser map; without, they stay as they are.
    """

    def __init__(self, temporal: tuple[int, ...] = (), *, attention: bool = True) -> None:
        super().__init__()
        self.encoder = lite_body()
        self.decoder = LiteDecoder(temporal, attention=attention)

    def forward(self, frame: Tensor, features: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return five maps of logits, as `SpatialBranch` does: at 1/32, 1/16, 1/8, 1/4 and 1/4."""
        result: tuple[Tensor, ...] = self.decoder(self.encoder(fitted(frame)), features)
        return result

    def load_encoder(self, weights: str | Path | None, key: str = "encoder_weights") -> Loaded:
        """Start the encoder from weights of ImageNet.

        Raises:
            InputError: see `load_pretrained` and `imagenet_weights`.
        """
        return _load_imagenet(self.encoder, weights, key)

    def load_stream(self, state: Mapping[str, Tensor]) -> None:
        """Start from an appearance stream of FusionSeg lite; what the stream lacks starts anew.

        Args:
            state: of the stream. Its two logits become one, the difference.

        Raises:
            RuntimeError: tensors are missing or left over, as in `load_state_dict`.
        """
        stream = LiteStream()
        stream.load_state_dict(state)
        named = _renamed({"body.": "encoder.", "head.": "decoder."}, stream.state_dict())
        for name in [name for name in named if name.startswith("decoder.classifiers.")]:
            background, foreground = named[name]
            named[name] = (foreground - background)[None]
        self.decoder.start_as_classifiers()
        self.load_state_dict(self.state_dict() | named)


class LiteDecoder(nn.Module):
    """Pyramid, then from coarse to fine: join, attention, score; a fusion of all.

    Args:
        temporal: see `LiteSpatialBranch`.
        attention: see `LiteSpatialBranch`.
    """

    def __init__(self, temporal: tuple[int, ...] = (), *, attention: bool = True) -> None:
        super().__init__()
        self.temporal = temporal
        self.pyramid = LitePyramid()
        width = self.pyramid.channels
        extra = temporal[::-1] or (0,) * LEVELS
        # from fine to coarse
        self.joins = nn.ModuleList(
            nn.Conv2d(width + channels, width, kernel_size=3, padding=1) for channels in extra
        )
        self.attentions = nn.ModuleList(LiteAttention(width) for _ in range(LEVELS)) if attention else None
        self.scores = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1) for _ in range(LEVELS + 1))
        self.classifiers = nn.ModuleList(
            nn.Conv2d(width, 1, kernel_size=3, padding=rate, dilation=rate) for rate in RATES
        )
        self.fuse = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1, bias=False) for _ in range(LEVELS))
        self.start_as_classifiers()

    def start_as_classifiers(self) -> None:
        """Let joins, attention and coarser maps add nothing to the fused map, until they learn to."""
        last = [] if self.attentions is None else [block.last for block in self.attentions]
        for layer in (*self.joins, *last, *self.fuse):
            for value in layer.parameters():
                nn.init.zeros_(value)

    def forward(self, maps: Sequence[Tensor], features: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return the maps of logits from the maps of an `EfficientNetLite0`."""
        *finer, x = self.pyramid.levels(maps)
        logits = [at_least_float32(self.scores[-1](x))]
        joined = [x]
        for level in reversed(range(LEVELS)):
            x = self._join(level, finer[level], features)
            if self.attentions is not None:
                x = self.attentions[level](x, enlarged(logits[-1], x.shape[-2:]).sigmoid())
            logits.append(at_least_float32(self.scores[level](x)))
            joined.append(x)
        return (*logits, self._fused(joined[::-1]))

    def _join(self, level: int, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        size = x.shape[-2:]
        parts = [x]
        if self.temporal and features:
            parts.append(enlarged(features[LEVELS - 1 - level], size))
        elif self.temporal:
            parts.append(x.new_zeros(len(x), self.temporal[LEVELS - 1 - level], *size))
        result: Tensor = x + self.joins[level](torch.cat(parts, dim=1))
        return result

    def _fused(self, joined: Sequence[Tensor]) -> Tensor:
        """Return a 1x1 convolution of all levels, from fine to coarse, with wider ones of the finest."""
        finest, *coarser = joined
        parts = [at_least_float32(classifier(finest)) for classifier in self.classifiers]
        # enlarging and a 1x1 convolution commute
        parts += [
            enlarged(at_least_float32(fuse(x)), finest.shape[-2:])
            for fuse, x in zip(self.fuse, coarser, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)


class LiteAttention(nn.Module):
    """Residual attention: F + m g(F), with two convolutions g and a map m; at first g is 0.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, INNER, kernel_size=3, padding=1, bias=False)
        self.norm = group_norm(INNER)
        self.last = nn.Conv2d(INNER, channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return (N, channels, h, w) of features of that shape and a map (N, 1, h, w), 0..1."""
        result: Tensor = x + weight * self.last(F.relu(self.norm(self.first(x))))
        return result


def seen(frames: Tensor) -> Tensor:
    """Resize whole frames, (N, C, H, W), to `picture_size`.

    Returns:
        Of the type of `frames`; pixels of integers are rounded.
    """
    pixels = frames if frames.is_floating_point() else frames.float()
    size = picture_size(*frames.shape[-2:])
    result = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    return result if frames.is_floating_point() else result.round().to(frames.dtype)


def _load_imagenet(
    encoder: EfficientNetLite0, weights: str | Path | None, key: str, times: int = 1
) -> Loaded:
    """Load weights of an encoder; groups that the encoder has not are left out.

    Args:
        encoder: changed in place.
        weights: `IMAGENET`, or what `load_pretrained` takes.
        key: what the user gives them with.
        times: the first kernel is repeated so often, for as many frames.
    """
    own = encoder.state_dict()

    def fitting(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        kept = {name: value for name, value in state.items() if name in own or not name.startswith("blocks.")}
        return kept | {STEM: torch.cat([kept[STEM]] * times, dim=1)} if STEM in kept else kept

    file = imagenet_weights(key.removeprefix("model.")) if weights == IMAGENET else weights
    return load_pretrained(encoder, file, adapt=fitting, key=key)


def _renamed(prefixes: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    result = {}
    for name, value in state.items():
        old = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        result[prefixes.get(old, "") + name.removeprefix(old)] = value
    return result
