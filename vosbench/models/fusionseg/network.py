"""The streams and the fusions of FusionSeg (Jain, Xiong and Grauman, CVPR 2017, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.fusionseg.backbones import (
    CLASSES,
    LiteStream,
    MpnetStream,
    dilated_classifiers,
    summed,
)
from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.preprocessing import CONVENTIONS, Convention
from vosbench.models.layers.resnet import RESNET101, Blocks, ResNet, freeze_norms

StreamName = Literal["appearance", "motion"]
STREAMS: tuple[StreamName, ...] = ("appearance", "motion")
VARIANTS = ("joint", *STREAMS)
FUSIONS = ("paper", "released")


@dataclass(frozen=True)
class FusionSegWidths:
    """Size of a stream, by default the published one.

    Attributes:
        width: channels of the first convolution; all others are multiples of it.
        blocks: residual blocks of the four groups.
    """

    width: int = 64
    blocks: Blocks = RESNET101


TINY = FusionSegWidths(width=8, blocks=(1, 1, 2, 1))
"""[ours] The same topology for a CPU."""


class Stream(nn.Module):
    """Object or not, per pixel: ResNet-101 at an eighth and four parallel dilated classifiers, summed.

    Args:
        widths: its size.
        layout: of the residual blocks; must be that of the weights. ``"caffe"``, as published: the stride
            in the first 1x1, dilation in the first block of a group too, pooling rounds up.
            ``"torchvision"``: the stride in the 3x3, the first block of a group dilated as the group
            before, pooling rounds down.
    """

    adapt = staticmethod(ResNet.adapt_body)
    spare: ClassVar[tuple[str, ...]] = ResNet.spare
    fresh: ClassVar[tuple[str, ...]] = ("head.",)

    def __init__(self, widths: FusionSegWidths | None = None, layout: Convention = "torchvision") -> None:
        super().__init__()
        if layout not in CONVENTIONS:
            raise ValueError(f"layout must be 'caffe' or 'torchvision', got {layout!r}")
        widths = widths or FusionSegWidths()
        caffe = layout == "caffe"
        self.body = ResNet(
            widths.blocks,
            widths.width,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            stride_in="1x1" if caffe else "3x3",
            dilate_first=caffe,
            ceil_mode=caffe,
        )
        self.head = dilated_classifiers(self.body.channels[-1])

    def scores(self, x: Tensor) -> Tensor:
        """Return logits of background and object, (N, 2, h, w) at an eighth, of normalised (N, 3, H, W)."""
        return summed(self.head, self.body(x)[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 2, H, W), of normalised (N, 3, H, W): the scores resized corner-aligned.

        The published zoom gives ``8 (h - 1) + 1``, which is H and W where they are 1 more than a
        multiple of 8; any other size is [ours].
        """
        return F.interpolate(self.scores(x), x.shape[-2:], mode="bilinear", align_corners=True)


class PaperFusion(nn.Module):
    """The fusion of the paper: confident streams, or both together, whichever is more confident.

    With A, M the logits of the streams and g1..g4 1x1 convolutions: the element-wise maximum of
    relu(g1 A), relu(g2 M) and relu(g3 A) relu(g4 M). 24 parameters.
    """

    branches: ClassVar[tuple[str, ...]] = ("appearance", "motion", "product")
    channels: ClassVar[int] = CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.appearance = nn.Conv2d(CLASSES, CLASSES, kernel_size=1)
        self.motion = nn.Conv2d(CLASSES, CLASSES, kernel_size=1)
        self.product_appearance = nn.Conv2d(CLASSES, CLASSES, kernel_size=1)
        self.product_motion = nn.Conv2d(CLASSES, CLASSES, kernel_size=1)

    def start_as_identity(self) -> PaperFusion:
        """Let every convolution pass on what it is given, so that no branch is dead before training."""
        for layer in self.children():
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.dirac_(layer.weight)
            nn.init.zeros_(layer.bias)
        return self

    def parts(self, appearance: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the `branches`, (N, 2, H, W) each, none negative, of logits (N, 2, H, W)."""
        together = F.relu(self.product_appearance(appearance)) * F.relu(self.product_motion(motion))
        return F.relu(self.appearance(appearance)), F.relu(self.motion(motion)), together

    def forward(self, appearance: Tensor, motion: Tensor) -> Tensor:
        """Return logits, (N, 2, H, W), none negative, of the logits of the streams, (N, 2, H, W)."""
        first, second, third = self.parts(appearance, motion)
        return torch.maximum(torch.maximum(first, second), third)


class ReleasedFusion(nn.Module):
    """The fusion of the released model: a sum of 3x3 branches and a last 3x3 convolution. 374 parameters."""

    branches: ClassVar[tuple[str, ...]] = ("both", "appearance", "motion")
    channels: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv2d(2 * CLASSES, self.channels, kernel_size=3, padding=1)
        self.appearance = nn.Conv2d(CLASSES, self.channels, kernel_size=3, padding=1)
        self.motion = nn.Conv2d(CLASSES, self.channels, kernel_size=3, padding=1)
        self.output = nn.Conv2d(self.channels, CLASSES, kernel_size=3, padding=1)

    def parts(self, appearance: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the `branches`, (N, 4, H, W) each, none negative, of logits (N, 2, H, W)."""
        both = self.both(torch.cat([appearance, motion], dim=1))
        return F.relu(both), F.relu(self.appearance(appearance)), F.relu(self.motion(motion))

    def forward(self, appearance: Tensor, motion: Tensor) -> Tensor:
        """Return logits, (N, 2, H, W), of the logits of the streams, (N, 2, H, W)."""
        both, first, second = self.parts(appearance, motion)
        result: Tensor = self.output(both + first + second)
        return result


Fusion = PaperFusion | ReleasedFusion
AnyStream = Stream | LiteStream | MpnetStream


class FusionSegNet(nn.Module):
    """Object or not, per pixel, from a frame, the picture of its flow, or both.

    Streams that are not trained run without gradient and with their batch normalisation as in a test,
    whatever `train` says.

    Args:
        stream: ``"joint"``, or the one stream that there is.
        fusion: of the joint model, one of `FUSIONS`.
        widths: of both streams.
        layout: of both streams, see `Stream`.
        frozen_norm: which streams normalise by stored statistics for good, and keep scale and shift: all,
            none, or those named.
        others: networks in the place of a `Stream`, by the name of the stream; what they are given is
            theirs, see there.
    """

    def __init__(
        self,
        stream: str = "joint",
        fusion: str = "paper",
        widths: FusionSegWidths | None = None,
        layout: Convention = "torchvision",
        *,
        frozen_norm: bool | Collection[StreamName] = True,
        others: Mapping[StreamName, Callable[[], AnyStream]] | None = None,
    ) -> None:
        super().__init__()
        joint = stream == "joint"
        makers = dict.fromkeys(STREAMS, partial(Stream, widths, layout)) | dict(others or {})
        for name, make in makers.items():
            self.add_module(name, make() if joint or name == stream else None)
        if isinstance(frozen_norm, bool):
            frozen_norm = STREAMS if frozen_norm else ()
        for name, module in self.streams.items():
            if name in frozen_norm:
                freeze_norms(module)
        # makes the convolutions a third faster on CPUs and under mixed precision
        cast(Any, self).to(memory_format=torch.channels_last)
        fusions: dict[str, Callable[[], Fusion]] = {"paper": PaperFusion, "released": ReleasedFusion}
        self.fusion = fusions[fusion]() if joint else None
        self.trained = stream
        self._learning = {name: parameter.requires_grad for name, parameter in self.named_parameters()}

    @property
    def streams(self) -> dict[StreamName, AnyStream]:
        """The streams that there are."""
        found = {name: getattr(self, name) for name in STREAMS}
        return {name: stream for name, stream in found.items() if stream is not None}

    def train_stage(self, stage: str) -> None:
        """Let the gradient reach what `stage` trains, the stream of that name or, when joint, the fusion."""
        self.trained = stage
        part = "fusion." if stage == "joint" else f"{stage}."
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self._learning[name] and name.startswith(part))
        self.train(self.training)

    def train(self, mode: bool = True) -> FusionSegNet:
        """Switch what is trained to training; the rest stays as in a test."""
        super().train(mode)
        for name, stream in self.streams.items():
            if name != self.trained:
                stream.eval()
        return self

    def logits(self, name: StreamName, picture: Tensor) -> Tensor:
        """Return the logits of one stream, (N, 2, H, W) float32, of what it is given, (N, C, H, W)."""
        stream = self.streams[name]
        with torch.set_grad_enabled(torch.is_grad_enabled() and name == self.trained):
            result: Tensor = stream(picture)
        return result

    def forward(self, frames: Tensor | None, pictures: Tensor | None) -> Tensor:
        """Return logits, (N, 2, H, W) float32.

        Args:
            frames: (N, 3, H, W) normalised pixels; None without appearance stream.
            pictures: the same of the flow, or (N, 2, H, W) flow for MP-Net; None without motion stream.
        """
        inputs = {"appearance": frames, "motion": pictures}
        found = []
        for name in self.streams:
            picture = inputs[name]
            if picture is None:
                raise ValueError(f"this network has a stream for {name} and needs pictures for it")
            found.append(self.logits(name, picture))
        if self.fusion is None:
            return found[0]
        result: Tensor = self.fusion(*found)
        return at_least_float32(result)
