"""The two streams and the visual memory of LVO (Tokmakov et al., sections 3 and 5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.deeplab import DeepLabV2, Feature, LargeFOV, grid
from vosbench.models.layers.precision import at_least_float32
from vosbench.models.layers.preprocessing import Convention
from vosbench.models.layers.recurrent import MEMORIES, ConvMemory, Watch, both_directions
from vosbench.models.lvo.lite import LiteAppearance, ToLiteGrid, lite_grid
from vosbench.models.mpnet.network import MotionPatternNet

LITE = "efficientnet_lite0"
APPEARANCES = (
    "deeplab_v2",
    "deeplab_v1_fc6",
    "deeplab_v1_fc7",
    "deeplab_v1_conv5",
    "cnn2",
    "rgb",
    "none",
    LITE,
)
DEEPLABS = APPEARANCES[:4]
USED = {
    "deeplab_v2": ("body", "branches"),
    "deeplab_v1_fc6": ("features", "fc6"),
    "deeplab_v1_fc7": ("features", "fc6", "fc7"),
    "deeplab_v1_conv5": ("features",),
    LITE: ("body", "pyramid"),
}
"""Frozen appearance network -> its parts that the memory sees something of."""

MOTIONS = ("mpnet", "none")
MEMORY_NAMES = ("convgru", "convlstm", "convrnn", "none")
STAGES = ("appearance", "memory")
KERNEL = 7


@dataclass(frozen=True)
class LVOWidths:
    """Channels, by default the published ones.

    Attributes:
        motion: first convolution of MP-Net.
        appearance: first convolution of the DeepLab.
        blocks: residual blocks of DeepLab-v2's four groups.
        reduction: of the two 1x1 convolutions; the first is ours, the paper gives the second.
        memory: state.
        lite: whether frames are seen small and maps are those of `vosbench.models.lvo.lite`.
    """

    motion: int = 64
    appearance: int = 64
    blocks: tuple[int, int, int, int] = (3, 4, 23, 3)
    reduction: tuple[int, int] = (256, 128)
    memory: int = 64
    lite: bool = False


TINY = LVOWidths(motion=16, appearance=8, blocks=(1, 1, 2, 1), reduction=(64, 32), memory=16)
"""[ours] The same topology for a CPU; the 7x7 kernels stay."""
LITE_WIDTHS = LVOWidths(motion=16, reduction=(64, 32), memory=24, lite=True)
"""[ours] For real video on a CPU."""


class LVONet(nn.Module):
    """Foreground or not, per pixel of an eighth of the frame, from the frames of a video and their motion.

    `features` shows the two streams frame by frame, `remember` runs the memory over many frames, so that
    each can be called where it belongs. Streams that are not trained run without gradient and with their
    batch normalisation as in a test, whatever `train` says.

    Args:
        appearance: one of `APPEARANCES`.
        motion: ``"mpnet"`` or ``"none"``.
        memory: ``"convgru"``, ``"convlstm"``, ``"convrnn"``, or ``"none"``: six convolutions per frame.
        bidirectional: run the memory in both directions and merge; without memory there is no direction.
        widths: channels.
        convention: of the weights that DeepLab-v2 may be given, see `DeepLabV2`.
    """

    def __init__(
        self,
        appearance: str = "deeplab_v2",
        motion: str = "mpnet",
        memory: str = "convgru",
        bidirectional: bool = True,
        widths: LVOWidths | None = None,
        convention: Convention = "torchvision",
    ) -> None:
        super().__init__()
        widths = widths or LVOWidths()
        self.appearance, self.reduction, channels = _appearance(appearance, widths, convention)
        self.grid = lite_grid if widths.lite else grid
        self.motion = MotionPatternNet(2, widths.motion) if motion == "mpnet" else None
        channels += self.motion is not None
        self.in_channels = channels
        self.memory: ConvMemory | SixConvolutions = (
            SixConvolutions(channels, widths.memory)
            if memory == "none"
            else MEMORIES[memory](channels, widths.memory, kernel=KERNEL)
        )
        self.merge = (
            nn.Conv2d(2 * widths.memory, widths.memory, kernel_size=3, padding=1)
            if bidirectional and memory != "none"
            else None
        )
        self.classifier = nn.Conv2d(widths.memory, 2, kernel_size=1)
        for stream in (self.appearance, self.motion):
            if stream is not None:
                # makes the convolutions a third faster on CPUs and under mixed precision
                cast(Any, stream).to(memory_format=torch.channels_last)
        self._jointly = appearance == "cnn2"
        self._initialise()
        self.trained: tuple[str, ...] = ()
        self._frozen_norm = True
        self.train_stage("memory")

    def train_stage(self, stage: str, *, frozen_norm: bool = True) -> None:
        """Let the gradient reach what `stage` trains and nothing else.

        Args:
            stage: ``"appearance"``, the DeepLab; ``"memory"``, all but the two streams (the two
                convolutions of ``cnn2`` are trained with it).
            frozen_norm: keep the statistics of batch normalisation where the DeepLab is trained too.
        """
        trained: tuple[str, ...] = ("reduction", "memory", "merge", "classifier")
        if stage == "appearance":
            trained = ("appearance",)
        elif self._jointly:
            trained = ("appearance", *trained)
        self.trained = trained
        self._frozen_norm = frozen_norm
        for name, part in self.named_children():
            part.requires_grad_(name in trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> LVONet:
        """Switch what is trained to training; the rest stays as in a test."""
        super().train(mode)
        for name, part in self.named_children():
            if name not in self.trained:
                part.eval()
            elif self._frozen_norm:
                for layer in part.modules():
                    if isinstance(layer, nn.BatchNorm2d):
                        layer.eval()
        return self

    def motion_probability(self, code: Tensor) -> Tensor:
        """Return MP-Net's probability, (N, 1, h, w), that a pixel moves; (N, 2, H, W) encoded flow."""
        if self.motion is None:
            raise ValueError("this network has no motion stream")
        with torch.no_grad():
            probability: Tensor = self.motion(code).sigmoid()
        return probability

    def appearance_map(self, frames: Tensor) -> Tensor:
        """Return the appearance stream's map, (N, C, h, w), (h, w) = `grid(H, W)`.

        Args:
            frames: (N, 3, H, W) normalised pixels.
        """
        if self.appearance is None:
            raise ValueError("this network has no appearance stream")
        with self._gradient_of("appearance"):
            result: Tensor = self.appearance(frames)
        return result

    def joined(self, appearance: Tensor | None, motion: Tensor | None) -> Tensor:
        """Return what the memory sees: the appearance map reduced, and motion.

        Args:
            appearance: (N, C, h, w), of `appearance_map`.
            motion: (N, 1, h, w) probabilities.
        """
        parts = []
        if appearance is not None:
            parts.append(appearance if self.reduction is None else self.reduction(appearance))
        if self.motion is not None:
            if motion is None:
                raise ValueError("this network needs motion")
            parts.append(motion if appearance is None else motion.to(appearance.dtype))
        return torch.cat(parts, dim=1)

    def features(self, frames: Tensor, motion: Tensor | None = None) -> Tensor:
        """Return what the memory sees of each frame.

        Args:
            frames: (N, 3, H, W) normalised pixels.
            motion: (N, 1, any, any) probabilities of the motion stream, None without one.

        Returns:
            (N, C, h, w), (h, w) = `grid(H, W)`.
        """
        if motion is not None:
            motion = on_grid(motion, self.grid(*frames.shape[-2:])).to(frames.dtype)
        return self.joined(None if self.appearance is None else self.appearance_map(frames), motion)

    def remember(self, x: Tensor, watch: Watch | None = None) -> Tensor:
        """Return logits of the memory over many frames; its state is zero before the first it looks at.

        Args:
            x: (B, T, C, h, w), of `features`.
            watch: called in every step forward in time with its number and the gates, each
                (B, channels, h, w).

        Returns:
            (B, T, 2, h, w) float32.
        """
        logits: Tensor = self.classifier(self._hidden(x, watch))
        return _per_video(at_least_float32(logits), x)

    def forward(self, frames: Tensor, code: Tensor | None = None) -> Tensor:
        """Return logits, (B, T, 2, h, w).

        Args:
            frames: (B, T, 3, H, W) normalised pixels.
            code: (B, T, 2, any, any) encoded flow, None without motion stream.
        """
        motion = None if code is None else self.motion_probability(code.flatten(0, 1))
        x = self.features(frames.flatten(0, 1), motion)
        return self.remember(_per_video(x, frames))

    def scores(self, frames: Tensor) -> Tensor:
        """Return scores of VOC's classes, (N, 21, h, w) float32, of normalised pixels (N, 3, H, W)."""
        if self.reduction is None:
            raise ValueError("this network has no DeepLab")
        result: Tensor = cast(Any, self.appearance).scores(frames)
        return at_least_float32(result)

    def _hidden(self, x: Tensor, watch: Watch | None) -> Tensor:
        """(B, T, C, h, w) -> (B * T, channels, h, w)."""
        if isinstance(self.memory, SixConvolutions):
            hidden: Tensor = self.memory(x.flatten(0, 1))
        elif self.merge is None:
            hidden = self.memory(x, watch=watch)[0].flatten(0, 1)
        else:
            hidden = self.merge(both_directions(self.memory, x, watch=watch).flatten(0, 1))
        return hidden

    def _gradient_of(self, part: str) -> torch.set_grad_enabled:
        return torch.set_grad_enabled(torch.is_grad_enabled() and part in self.trained)

    def _initialise(self) -> None:
        parts: list[nn.Module | None] = [self.reduction, self.merge, self.classifier]
        parts += [self.appearance] if self._jointly else []
        parts += [self.memory] if isinstance(self.memory, SixConvolutions) else []
        for part in parts:
            if part is not None:
                part.apply(_xavier)


class SixConvolutions(nn.Module):
    """A stack of 7x7 convolutions with ReLU, as many parameters as the ConvGRU in its place.

    Args:
        in_channels: channels of the input.
        channels: of the output. The width between is ours: the one that comes nearest to the
            ConvGRU's number of parameters, 75 for 129 and 64 channels.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        width = _equal_width(in_channels, channels)
        sides = (in_channels, *[width] * 5, channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(sides):
            layers += [nn.Conv2d(before, after, KERNEL, padding=KERNEL // 2), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, h, w) of (N, in_channels, h, w)."""
        result: Tensor = self.layers(x)
        return result


def on_grid(motion: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps (N, C, h, w) corner-aligned, as the appearance map is."""
    return F.interpolate(motion, size, mode="bilinear", align_corners=True)


class _ToGrid(nn.Module):
    """Frames made as small as the grid."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, grid(*x.shape[-2:]), mode="bilinear", antialias=True)


def _appearance(
    name: str, widths: LVOWidths, convention: Convention
) -> tuple[nn.Module | None, nn.Module | None, int]:
    """Return stream, reduction head and the channels that the memory gets of them."""
    if name == "none":
        return None, None, 0
    to_grid = ToLiteGrid() if widths.lite else _ToGrid()
    if name == "rgb":
        return to_grid, None, 3
    out = widths.reduction[1]
    if name == "cnn2":
        convolutions = nn.Conv2d(3, widths.memory, 3, padding=1), nn.Conv2d(widths.memory, out, 3, padding=1)
        return nn.Sequential(to_grid, convolutions[0], nn.Tanh(), convolutions[1], nn.Tanh()), None, out
    stream: DeepLabV2 | LargeFOV | LiteAppearance
    if name == LITE:
        stream = LiteAppearance()
    elif name == "deeplab_v2":
        stream = DeepLabV2(widths.appearance, widths.blocks, convention)
    else:
        stream = LargeFOV(cast(Feature, name.removeprefix("deeplab_v1_")), widths.appearance)
    inner = widths.reduction[0]
    reduction = nn.Sequential(
        nn.Conv2d(stream.channels, inner, kernel_size=1),
        nn.Tanh(),
        nn.Conv2d(inner, out, kernel_size=1),
        nn.Tanh(),
    )
    return stream, reduction, out


def _per_video(values: Tensor, like: Tensor) -> Tensor:
    """(B * T, ...) -> (B, T, ...) of `like`."""
    return values.reshape(*like.shape[:2], *values.shape[1:])


def _equal_width(in_channels: int, channels: int) -> int:
    area = KERNEL * KERNEL
    wanted = 3 * (area * channels * (in_channels + channels) + channels)

    def miss(width: int) -> int:
        weights = area * width * (in_channels + 4 * width + channels)
        return abs(weights + 5 * width + channels - wanted)

    return min(range(1, 8 * channels), key=miss)


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
