"""Implementations of the ConvGRU that `memory.py` compares, all with the same weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor, nn

from vosbench.models.layers import fast_convolution
from vosbench.models.layers.recurrent import ConvGRU

OURS, DIRECT, NAIVE, FUSED = "vosbench", "direct", "naive", "fused"
PROGRAMS = (OURS, DIRECT, FUSED, NAIVE)


def part(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """Convolution with a copy of given weights."""
    rows, columns, kernel, _ = weight.shape
    layer = nn.Conv2d(columns, rows, kernel, padding=kernel // 2, bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)
    return layer


def _bias(memory: ConvGRU) -> Tensor:
    assert memory.inputs.bias is not None
    return memory.inputs.bias


class Naive(nn.Module):
    """ConvGRU by its formula."""

    def __init__(self, memory: ConvGRU) -> None:
        super().__init__()
        inputs, hidden, bias = memory.inputs, memory.hidden, _bias(memory)
        rows = [memory.rows(gate) for gate in ("update", "reset", "candidate")]
        self.inputs = nn.ModuleList(part(inputs.weight[some], bias[some]) for some in rows)
        self.hidden = nn.ModuleList(part(hidden.weight[some]) for some in rows)
        self.channels = memory.channels

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:])
        states = []
        for frame in x.unbind(1):
            z = torch.sigmoid(self.inputs[0](frame) + self.hidden[0](h))
            r = torch.sigmoid(self.inputs[1](frame) + self.hidden[1](h))
            c = torch.tanh(self.inputs[2](frame) + self.hidden[2](r * h))
            h = (1 - z) * h + z * c
            states.append(h)
        return torch.stack(states, dim=1)


class Fused(nn.Module):
    """ConvGRU of two convolutions per step, over input and state concatenated."""

    def __init__(self, memory: ConvGRU) -> None:
        super().__init__()
        weight = torch.cat([memory.inputs.weight, memory.hidden.weight], dim=1)
        split, bias = 2 * memory.channels, _bias(memory)
        self.gates = part(weight[:split], bias[:split])
        self.candidate = part(weight[split:], bias[split:])
        self.channels = memory.channels
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(1, 0, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        h = torch.zeros_like(x[0, :, : self.channels])
        states = []
        for frame in x:
            r, z = self.gates(torch.cat([frame, h], dim=1)).sigmoid().chunk(2, dim=1)
            c = self.candidate(torch.cat([frame, r * h], dim=1)).tanh()
            h = (1 - z) * h + z * c
            states.append(h)
        return torch.stack(states, dim=1)


@contextmanager
def library_only() -> Iterator[None]:
    """Disable fast convolutions."""
    with mock.patch.object(fast_convolution, "pays", return_value=False):
        yield


def module_of(program: str, memory: ConvGRU) -> nn.Module:
    """Module of a program."""
    if program in (OURS, DIRECT):
        return memory
    return {NAIVE: Naive, FUSED: Fused}[program](memory)
