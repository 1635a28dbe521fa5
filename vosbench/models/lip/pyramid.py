"""Features of LIP: a memory per level of a feature pyramid, and the path from fine to coarse levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.recurrent import ConvGRU
from vosbench.models.lip.widths import LIPWidths

Memory = Literal["dynamic", "zero"]
MEMORIES: tuple[Memory, ...] = get_args(Memory)
RECURRENCE = 4
KERNEL = 3

State = list[Tensor]
"""Per memory, from P2 on: (B, C, h, w)."""


class PyramidMemory(nn.Module):
    """A convolutional gated recurrent unit for each level, and the bottom-up path over what they return.

    Gates are group-normalised sums of two convolutions without bias (equation 1).

    Args:
        widths: sizes.
        memory: ``"dynamic"``, or ``"zero"``: the state before every frame is zero.
        bottom_up: whether finer levels are added to coarser ones.
        on_p6: whether the coarsest level has a memory, too; without, it is subsampled from what the path
            makes of P5. The paper says "all 5 layers" of the proposal network only.
    """

    def __init__(
        self, widths: LIPWidths, memory: Memory = "dynamic", *, bottom_up: bool = True, on_p6: bool = True
    ) -> None:
        super().__init__()
        if memory not in MEMORIES:
            raise ValueError(f"memory must be 'dynamic' or 'zero', got {memory!r}")
        self.dynamic = memory == "dynamic"
        self.bottom_up = bottom_up
        self.units = nn.ModuleList(
            ConvGRU(widths.channels, widths.channels, KERNEL, bias=False, norm=widths.norm)
            for _ in range(5 if on_p6 else 4)
        )
        self.gains = nn.ParameterList(
            nn.Parameter(torch.zeros(widths.channels)) for _ in self.units if widths.gain
        )

    def forward(
        self, levels: Sequence[Tensor], state: State | None = None, recurrence: int | None = RECURRENCE
    ) -> tuple[list[Tensor], State]:
        """Run over all frames.

        Args:
            levels: P2 to P6, (B, T, C, h, w) each.
            state: what an earlier call returned, to go on from there; zeros when None. Not looked at by
                ``"zero"``.
            recurrence: no gradient passes from a frame to one before its group of so many frames; None: it
                passes always.

        Returns:
            N2 to N6, of the same shapes, and the last state; an empty one of ``"zero"``.
        """
        hidden, last = [], []
        for index, unit in enumerate(self.units):
            if self.dynamic:
                values, after = _recur(unit, levels[index], state[index] if state else None, recurrence)
                last.append(after)
            else:
                # every frame as the first of a video of its own
                alone, _ = unit(levels[index].flatten(0, 1)[:, None])
                values = alone.reshape(levels[index].shape)
            hidden.append(self._gained(values, index, levels[index]))
        return self._path(hidden, levels), last

    def _gained(self, values: Tensor, index: int, level: Tensor) -> Tensor:
        """Return the output of the memory of a level, or the level with its share of it."""
        if not self.gains:
            return values
        return torch.addcmul(level, values, self.gains[index][:, None, None])

    def _path(self, hidden: list[Tensor], levels: Sequence[Tensor]) -> list[Tensor]:
        path: list[Tensor] = []
        for index, level in enumerate(levels):
            size = (level.shape[-2], level.shape[-1])
            finer = down(path[-1].flatten(0, 1), size).reshape(level.shape) if path else None
            if index == len(hidden):
                assert finer is not None
                path.append(finer)
            elif self.bottom_up and finer is not None:
                path.append(hidden[index] + finer)
            else:
                path.append(hidden[index])
        return path


def down(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Take every second row and column of (N, C, H, W); nearest ones where that does not make `size`.

    The paper says "down-sampling"; the figure shows no convolution.
    """
    halved = F.max_pool2d(x, kernel_size=1, stride=2)
    return halved if halved.shape[-2:] == size else F.interpolate(halved, size)


def _recur(unit: nn.Module, x: Tensor, state: Tensor | None, recurrence: int | None) -> tuple[Tensor, Tensor]:
    frames = []
    groups: tuple[Tensor, ...] = x.split(recurrence or x.shape[1], dim=1)  # type: ignore[no-untyped-call]
    for index, group in enumerate(groups):
        if index and state is not None:
            state = state.detach()
        hidden, state = unit(group, state)
        frames.append(hidden)
    assert state is not None
    return torch.cat(frames, dim=1), state
