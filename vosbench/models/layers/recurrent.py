"""Convolutional recurrent layers: the visual memory of LVO (Tokmakov et al., section 3.3) and its rivals.

All of them convolve the inputs of many frames in one call; only what depends on the state goes step by
step, with the gates of a step in one convolution. Gates are rows of these fused weights, in the order of
the class attribute `gates`. Large kernels on a CPU: see `vosbench.models.layers.fast_convolution`. A memory
can be compiled (`torch.compile`); it then uses the library's convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from vosbench.models.layers.fast_convolution import Convolution, convolve, prepare

Watch = Callable[[int, Mapping[str, Tensor]], None]
"""Called in every step with its number and the gates, each (B, channels, H, W)."""

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], tuple[State, dict[str, Tensor]]]
"""From the projected inputs of a frame and the state to the next state and the gates."""

PROJECTED_BYTES = 32 * 2**20
"""Most memory for projected inputs without gradients; at least those of one frame are held."""


class ConvMemory(nn.Module, ABC):
    """Base of the convolutional recurrent layers.

    Input convolutions carry the bias, convolutions of the state have none: one bias per gate. Weights
    start uniform in +-1/sqrt(fan in) (torch's default), biases at 0.

    Args:
        in_channels: channels of the input.
        channels: channels of the state.
        kernel: side of all kernels, odd.
        bias: whether gates have one.
        norm: makes the normalisation of a gate from its number of channels, applied to the sum of its
            two convolutions; none by default.
    """

    gates: ClassVar[tuple[str, ...]]
    states: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        channels: int = 64,
        kernel: int = 7,
        *,
        bias: bool = True,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.channels = channels
        rows = len(self.gates) * channels
        self.inputs = nn.Conv2d(in_channels, rows, kernel, padding=kernel // 2, bias=bias)
        self.hidden = nn.Conv2d(channels, rows, kernel, padding=kernel // 2, bias=False)
        self.norms = nn.ModuleList([norm(channels) for _ in self.gates] if norm else [])
        if self.inputs.bias is not None:
            nn.init.zeros_(self.inputs.bias)

    def rows(self, gate: str) -> slice:
        """Return the slice of a gate among the output channels of `inputs` and `hidden`."""
        start = self.gates.index(gate) * self.channels
        return slice(start, start + self.channels)

    def forward(
        self, x: Tensor, state: Tensor | State | None = None, *, watch: Watch | None = None
    ) -> tuple[Tensor, Tensor | State]:
        """Run over all frames.

        Args:
            x: (B, T, in_channels, H, W), T at least 1.
            state: what an earlier call returned, to go on from there; zeros when None.
            watch: called in every step with its number and the gates.

        Returns:
            (B, T, channels, H, W) the state after every step, and the last state: (B, channels, H, W),
            for `ConvLSTM` a pair of these (output, cell).
        """
        hidden, last = self.recur(self.project_in_parts(x), state, watch)
        return hidden, last if self.states > 1 else last[0]

    def project(self, x: Tensor) -> Tensor:
        """Convolve the inputs of all frames: (B, T, in_channels, H, W) to (B, T, gates * channels, H, W)."""
        gates = convolve(x.flatten(0, 1), self.inputs.weight, self.inputs.bias)
        return gates.reshape(*x.shape[:2], *gates.shape[1:])

    def project_in_parts(self, x: Tensor) -> Iterator[Tensor]:
        """Yield `project` frame by frame; without gradients only some frames exist at a time."""
        count = x.shape[1]
        if not torch.is_grad_enabled():
            frame = len(x) * len(self.inputs.weight) * x.shape[3] * x.shape[4] * x.element_size()
            count = min(count, max(1, PROJECTED_BYTES // frame))
        convolution: Convolution | None = None
        for part in x.split(count, dim=1):  # type: ignore[no-untyped-call]
            images = part.flatten(0, 1)
            convolution = convolution or prepare(images, self.inputs.weight, self.inputs.bias)
            gates = convolution(images)
            yield from gates.reshape(*part.shape[:2], *gates.shape[1:]).unbind(1)

    def recur(
        self, inputs: Iterable[Tensor], state: Tensor | State | None = None, watch: Watch | None = None
    ) -> tuple[Tensor, State]:
        """Run over projected inputs, one (B, gates * channels, H, W) per step; return as `forward`."""
        if isinstance(state, Tensor):
            state = (state,)
        outputs = []
        step: Step | None = None
        for t, projected in enumerate(inputs):
            if state is None:
                # like: in the inputs' order of values in memory
                like, dtype = projected[:, : self.channels], self.hidden.weight.dtype
                state = tuple(torch.zeros_like(like, dtype=dtype) for _ in range(self.states))
            if step is None:
                step = self._stepper(state[0])
            state, gates = step(projected, state)
            outputs.append(state[0])
            if watch is not None:
                watch(t, gates)
        if state is None:
            raise ValueError("a memory needs at least one frame")
        return _stack(outputs), state

    @abstractmethod
    def _stepper(self, h: Tensor) -> Step:
        """Return a function that makes a step; kernels are prepared here, once, for states like h."""

    def _normed(self, values: Tensor, *gates: str) -> Tensor:
        """Normalise the sums of neighbouring gates, (B, len(gates) * channels, H, W), each on its own."""
        if not self.norms:
            return values
        parts = values.chunk(len(gates), dim=1)
        return torch.cat(
            [self.norms[self.gates.index(gate)](part) for gate, part in zip(gates, parts, strict=True)], dim=1
        )


class ConvGRU(ConvMemory):
    """Gated recurrent unit, h' = (1 - z) h + z c as in the paper (the release swaps z and 1 - z).

    z = sigmoid(Wxz x + Whz h + bz), r = sigmoid(Wxr x + Whr h + br), c = tanh(Wxc x + Whc (r h) + bc).
    """

    gates = ("reset", "update", "candidate")

    def _stepper(self, h: Tensor) -> Step:
        split = 2 * self.channels
        for_both = prepare(h, self.hidden.weight[:split])
        for_candidate = prepare(h, self.hidden.weight[split:])

        def step(projected: Tensor, state: State) -> tuple[State, dict[str, Tensor]]:
            (h,) = state
            # in place is safe for gradients: neither the convolution nor the sum needs its result
            both = for_both(h).add_(projected[:, :split])
            reset, update = self._normed(both, "reset", "update").sigmoid_().chunk(2, dim=1)
            candidate = for_candidate(reset * h).add_(projected[:, split:])
            candidate = self._normed(candidate, "candidate").tanh_()
            h = torch.lerp(h, candidate.to(h.dtype), update.to(h.dtype))
            return (h,), {"reset": reset, "update": update}

        return step


class ConvLSTM(ConvMemory):
    """Long short-term memory without peepholes: cell' = f cell + i tanh(c), h' = o tanh(cell')."""

    gates = ("input", "forget", "output", "candidate")
    states = 2

    def _stepper(self, h: Tensor) -> Step:
        convolution = prepare(h, self.hidden.weight)

        def step(projected: Tensor, state: State) -> tuple[State, dict[str, Tensor]]:
            h, cell = state
            values = self._normed(convolution(h).add_(projected), *self.gates)
            *opened, candidate = values.chunk(4, dim=1)
            gates = {gate: value.sigmoid() for gate, value in zip(self.gates, opened, strict=False)}
            cell = gates["forget"] * cell + gates["input"] * candidate.tanh()
            return (gates["output"] * cell.tanh(), cell), gates

        return step


class ConvRNN(ConvMemory):
    """Plain recurrence, h' = tanh(Wx x + Wh h + b); it has no gates to watch."""

    gates = ("candidate",)

    def _stepper(self, h: Tensor) -> Step:
        convolution = prepare(h, self.hidden.weight)

        def step(projected: Tensor, state: State) -> tuple[State, dict[str, Tensor]]:
            value = convolution(state[0]).add_(projected)
            return (self._normed(value, "candidate").tanh().to(state[0].dtype),), {}

        return step


def _stack(frames: list[Tensor]) -> Tensor:
    """(B, C, H, W) each to (B, T, C, H, W) without changing the order of values in memory."""
    if frames[0].is_contiguous():
        return torch.stack(frames, dim=1)
    return torch.stack([frame.permute(0, 2, 3, 1) for frame in frames], dim=1).permute(0, 1, 4, 2, 3)


def both_directions(memory: ConvMemory, x: Tensor, *, watch: Watch | None = None) -> Tensor:
    """Run a memory forward and backward in time with the same weights, both in one batch.

    Args:
        memory: the layer; both directions start from zeros.
        x: (B, T, in_channels, H, W).
        watch: called in every step with its number and the gates of the forward direction.

    Returns:
        (B, T, 2 * channels, H, W), forward channels first; at frame t the backward ones know the frames
        from t on.
    """
    batch, length = x.shape[:2]
    waiting = dict(enumerate(memory.project_in_parts(x)))

    def pairs() -> Iterator[Tensor]:
        for t in range(length):
            other = length - 1 - t
            yield torch.cat([waiting[t], waiting[other]])
            if t >= other:
                # both directions have seen these two frames
                del waiting[t]
                waiting.pop(other, None)

    def forward_only(t: int, gates: Mapping[str, Tensor]) -> None:
        if watch is not None:
            watch(t, {gate: value[:batch] for gate, value in gates.items()})

    hidden, _ = memory.recur(pairs(), watch=forward_only)
    return torch.cat([hidden[:batch], hidden[batch:].flip(1)], dim=2)


MEMORIES: dict[str, type[ConvMemory]] = {"convgru": ConvGRU, "convlstm": ConvLSTM, "convrnn": ConvRNN}
"""By the name they have in configurations."""
