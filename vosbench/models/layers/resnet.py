"""ResNets for dense prediction, from torchvision's residual block (He et al., CVPR 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck  # type: ignore[import-untyped]

RESNET50 = (3, 4, 6, 3)
RESNET101 = (3, 4, 23, 3)

Blocks = tuple[int, int, int, int]
Norm = Callable[[int], nn.Module]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class ResNet(nn.Module):
    """All four stages of a bottleneck ResNet, strides and dilations as wanted.

    Tensors are named as in torchvision's resnet50 and resnet101, so that their weights fit; there is no
    ``fc``. Convolutions start as He et al. (2015) have it (fan out), as in torchvision.

    Args:
        blocks: residual blocks of each stage, `RESNET50` or `RESNET101` as published.
        width: channels of the first convolution, 64 as published; all others are multiples of it.
        in_channels: channels of the input.
        strides: of the first block of each stage; (1, 2, 2, 2) as published.
        dilations: of the 3x3 convolutions of each stage.
        multi_grid: factors on the dilation of the blocks of the last stage, repeated as needed; STCNN
            has (1, 2, 1).
        stride_in: which convolution of a block has the stride: the first, ``"1x1"`` (He et al. and all
            weights from Caffe), or ``"3x3"`` (torchvision and its weights).
        dilate_first: whether the first block of a stage has the stage's dilation, as DeepLab does, or
            that of the stage before, as the dilated networks of torchvision do.
        norm: makes a normalisation of some channels: ``nn.BatchNorm2d``, `FixedBatchNorm2d`,
            torchvision's ``FrozenBatchNorm2d``, `group_norm`.
        ceil_mode: whether the pooling rounds sizes up.
    """

    spare: ClassVar[tuple[str, ...]] = ("fc.", "classifier.", "aux_classifier.")
    """Tensors of a file of weights that have no place here and need none; see `pretrained`."""

    def __init__(
        self,
        blocks: Blocks = RESNET101,
        width: int = 64,
        in_channels: int = 3,
        strides: Blocks = (1, 2, 2, 2),
        dilations: Blocks = (1, 1, 1, 1),
        multi_grid: tuple[int, ...] = (1,),
        stride_in: Literal["1x1", "3x3"] = "3x3",
        dilate_first: bool = True,
        norm: Norm = nn.BatchNorm2d,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        if stride_in not in ("1x1", "3x3"):
            raise ValueError(f"stride_in must be '1x1' or '3x3', got {stride_in!r}")
        self.stride_in = stride_in
        self.channels = tuple(width * Bottleneck.expansion * 2**stage for stage in range(4))
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=ceil_mode)
        before = (width, *self.channels[:-1])
        earlier = (1, *dilations[:-1])
        for stage in range(4):
            grid = multi_grid if stage == 3 else (1,)
            rates = [dilations[stage] * grid[index % len(grid)] for index in range(blocks[stage])]
            if not dilate_first:
                rates[0] = earlier[stage]
            layer = _stage(before[stage], width * 2**stage, strides[stage], rates, stride_in, norm)
            self.add_module(f"layer{stage + 1}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the four stages.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            Four maps (N, `channels[i]`, h, w): a quarter of (H, W) for the first with stride 1, each
            divided by its stride from there; every halving rounds up.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
            maps.append(x)
        return maps

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights of torchvision under the names used here; its DeepLabs have a ``backbone.``."""
        return {key.removeprefix("backbone."): value for key, value in state.items()}

    @staticmethod
    def adapt_body(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the same for a network that has its ResNet at ``body.``."""
        own = ("conv1.", "bn1.", "layer")
        plain = ResNet.adapt(state)
        return {f"body.{key}" if key.startswith(own) else key: value for key, value in plain.items()}


class FixedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by its stored statistics, in training too; scale and shift can be trained.

    Unlike torchvision's ``FrozenBatchNorm2d`` it keeps the names of all tensors of ``nn.BatchNorm2d``
    and, under mixed precision, the type of its input.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)
        self.eval()

    def train(self, mode: bool = True) -> FixedBatchNorm2d:
        """Stay as in a test, whatever `mode` is."""
        super().train(mode=False)
        return self


def freeze_norms(module: ModuleT) -> ModuleT:
    """Make all batch normalisations of a network constant: statistics, scales and shifts stay as they are.

    Each is replaced by a `FixedBatchNorm2d` with the same parameters and buffers under the same names,
    so that ``train()`` does not bring batch statistics back. Group normalisation has none.

    Args:
        module: changed in place.

    Returns:
        `module`.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, nn.BatchNorm2d):
                continue
            if not isinstance(child, FixedBatchNorm2d):
                child = _fixed(child)
                parent.add_module(name, child)
            child.requires_grad_(requires_grad=False)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups (Wu and He, 2018), fewer where 32 does not divide `channels`."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


def repeat_stem(state: Mapping[str, Tensor], times: int) -> dict[str, Tensor]:
    """Return weights for `times` stacked frames: the first convolution's kernel repeated, not divided.

    Args:
        state: tensors of a ResNet, ``conv1.weight`` among them, (C, 3, 7, 7).
        times: number of frames; STCNN stacks four.

    Returns:
        The same with ``conv1.weight`` of shape (C, 3 * times, 7, 7).
    """
    return dict(state) | {"conv1.weight": torch.cat([state["conv1.weight"]] * times, dim=1)}


def _stage(
    inputs: int, planes: int, stride: int, dilations: list[int], stride_in: str, norm: Norm
) -> nn.Sequential:
    outputs = planes * Bottleneck.expansion
    blocks: list[nn.Module] = []
    for index, dilation in enumerate(dilations):
        first = index == 0
        step = stride if first else 1
        shortcut = (
            nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1, stride=step, bias=False), norm(outputs))
            if first
            else None
        )
        block = Bottleneck(
            inputs if first else outputs, planes, step, shortcut, dilation=dilation, norm_layer=norm
        )
        if stride_in == "1x1":
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
        blocks.append(block)
    return nn.Sequential(*blocks)


def _fixed(norm: nn.BatchNorm2d) -> FixedBatchNorm2d:
    result = FixedBatchNorm2d(norm.num_features, norm.eps)
    # the very tensors: an optimizer made before still updates them
    result.weight, result.bias = norm.weight, norm.bias
    result.running_mean, result.running_var = norm.running_mean, norm.running_var
    result.num_batches_tracked = norm.num_batches_tracked
    return result
