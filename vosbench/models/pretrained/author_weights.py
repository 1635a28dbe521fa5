"""Weights that the authors of a method published, under the names used here.

What the networks then expect is what the authors' networks expect, and it is not
what torchvision's weights expect:

* FusionSeg: frames and pictures of flow in BGR, 0..255, minus DeepLab's mean (104.008, 116.669, 122.675);
* Motion Mask R-CNN: frames in BGR, 0..255, minus (102.9801, 115.9465, 122.7717), flow encoded as in its
  specification, mean 0; norms are folded into weight and bias, so their epsilon must be 0, as torchvision
  sets it for its own weights of COCO;
* STCNN: RGB, 0..1, ImageNet's mean and deviation; the past frames -1..1.

The first two stride in the first 1x1 convolution of a block, and so does STCNN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vosbench.errors import InputError, unknown_name
from vosbench.models.pretrained.author_weight_names import NETWORK, RELEASED, Layout, layouts

_NAMED = 5
"""Tensors that an error names; the accounting names them all."""


class Conflict(NamedTuple):
    """A tensor of another shape than the network has."""

    name: str
    released: tuple[int, ...]
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Accounting:
    """Account of every tensor of released weights, and of every tensor of the network.

    Args:
        method: e.g. ``"fusionseg"``.
        kind: of the file, e.g. ``"appearance"``.
        part: what the names of the tensors it fills start with, e.g. ``"network.appearance."``.
        used: name in the file -> name here, of tensors that are in the state.
        numbers: how many numbers the tensors of `used` hold, counters of batches left out.
        factors: names in the file of factors that statistics were divided by.
        constants: names here that files of this kind leave out, and that have a fixed value.
        spare: names in the file that are known to need no place.
        missing: names here that the file should fill and does not.
        unexpected: names in the file that have no place.
        conflicts: tensors whose shape is not the network's.
    """

    method: str
    kind: str
    part: str
    used: Mapping[str, str]
    numbers: int
    factors: tuple[str, ...]
    constants: tuple[str, ...]
    spare: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """Tensors of `used` with another name within the network here."""
        return {key: ours for key, ours in self.used.items() if ours.removeprefix(NETWORK) != key}

    @property
    def complete(self) -> bool:
        """True if every tensor of the file has a place, and every place a tensor."""
        return not (self.missing or self.unexpected or self.conflicts)

    def lines(self) -> Iterator[str]:
        """Yield the account for a reader: a summary, then each tensor that is out of order."""
        yield f"{self.method}, {self.kind}: {len(self.used)} tensors used, {self.numbers} numbers"
        yield f"{len(self.renamed)} of them under another name, at {self.part}"
        for count, what in (
            (len(self.factors), "factors of statistics applied"),
            (len(self.constants), "tensors that such files leave out, set to their fixed values"),
            (len(self.spare), "tensors left out, which no network needs"),
        ):
            if count:
                yield f"{count} {what}"
        yield from (f"missing: {name}" for name in self.missing)
        yield from (f"unexpected: {name}" for name in self.unexpected)
        for name, released, wanted in self.conflicts:
            yield f"another shape: {name} is {released} in the file, {wanted} in the network"

    def summary(self) -> str:
        """Return one line on the tensors that are out of order, for an error."""
        parts = [
            f"{len(names)} {what} ({_some(names)})"
            for what, names in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", [conflict.name for conflict in self.conflicts]),
            )
            if names
        ]
        return f"weights of {self.method} ({self.kind}): " + ("; ".join(parts) or "all tensors have a place")


def import_state(name: str, released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put released weights under the names of the network that `vosbench.models.build` makes.

    Which kind of file they are from (a stream, a fusion, a joint network) is seen from their names. A part
    of a network gives the tensors of that part; parts of one network can be merged with ``|``.

    Args:
        name: a method, e.g. ``"stcnn"``.
        released: name -> tensor, as `vosbench.models.pretrained.released_files.read_released` gives them.

    Returns:
        Name here -> tensor, float32 (counters of batches int64), sharing memory where nothing changes.

    Raises:
        InputError: the method has no released weights, these are of another network, or a tensor lacks or
            is left over; `translate` names them all.
    """
    state, accounting = translate(name, released)
    if not accounting.complete:
        raise InputError(accounting.summary())
    return state


def translate(
    name: str, released: Mapping[str, Tensor], expected: Mapping[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], Accounting]:
    """Do the same as `import_state`, and account for every tensor instead of refusing any.

    Args:
        name: a method.
        released: name -> tensor.
        expected: the state dict of the network that is to be filled; without it shapes are not checked.

    Returns:
        The state, without tensors that conflict, and the account.

    Raises:
        InputError: the method has no released weights, or none of these tensors is of it.
    """
    layout = _layout(name, released)
    state, used = _renamed(layout, released)
    factors = _divide(layout, released, state)
    constants = _complete(layout, state)
    wanted = set(layout.names.values()) | set(constants)
    if expected is not None:
        wanted = {key for key in expected if key.startswith(layout.part)}
    conflicts = [] if expected is None else _conflicts(state, expected)
    wrong = {conflict.name for conflict in conflicts}
    state = {key: value for key, value in state.items() if key in wanted and key not in wrong}
    placed = {theirs: ours for theirs, ours in used.items() if ours in state}
    spare = tuple(key for key in released if layout.is_spare(key))
    settled = {*factors, *spare, *(key for key, ours in used.items() if ours in wanted)}
    accounting = Accounting(
        method=name,
        kind=layout.kind,
        part=layout.part,
        used=placed,
        numbers=sum(state[ours].numel() for ours in placed.values() if state[ours].is_floating_point()),
        factors=factors,
        constants=tuple(key for key in constants if key in wanted),
        spare=spare,
        missing=tuple(sorted(wanted - set(state) - wrong)),
        unexpected=tuple(key for key in released if key not in settled),
        conflicts=tuple(conflicts),
    )
    return state, accounting


def _layout(name: str, released: Mapping[str, Tensor]) -> Layout:
    """Return the kind of file that has the most of these names, the smallest one of several."""
    if name not in RELEASED:
        raise unknown_name("method with released weights", name, RELEASED)

    def fit(layout: Layout) -> tuple[int, int]:
        return len(layout.names.keys() & released.keys()), -len(layout.names)

    best = max(layouts(name), key=fit)
    if not best.names.keys() & released.keys():
        raise InputError(f"none of these {len(released)} tensors ({_some(released)}) is of {name}")
    return best


def _conflicts(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[Conflict]:
    return [
        Conflict(key, tuple(value.shape), tuple(expected[key].shape))
        for key, value in state.items()
        if key in expected and value.shape != expected[key].shape
    ]


def _renamed(layout: Layout, released: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    state: dict[str, Tensor] = {}
    used: dict[str, str] = {}
    for theirs, ours in layout.names.items():
        if theirs in released:
            state[ours] = _plain(released[theirs])
            used[theirs] = ours
    return state, used


def _plain(value: Tensor) -> Tensor:
    """Return float32, and a vector where Caffe stored one as (1, 1, 1, N)."""
    if value.is_floating_point():
        value = value.float()
    return value.flatten() if value.ndim == 4 and value.shape[:3] == (1, 1, 1) else value


def _divide(layout: Layout, released: Mapping[str, Tensor], state: dict[str, Tensor]) -> tuple[str, ...]:
    """Divide statistics that Caffe keeps as weighted sums by the sum of weights."""
    factors = tuple(key for key in layout.factors if key in released)
    for key in factors:
        factor = released[key]
        if factor.numel() != 1 or not factor.item() > 0:
            raise InputError(f"{key} is no factor of statistics: a positive number was expected")
        for target in layout.factors[key]:
            if target in state:
                state[target] = state[target] / factor.item()
    return factors


def _complete(layout: Layout, state: dict[str, Tensor]) -> list[str]:
    """Add what such files leave out; return its names."""
    added = []
    for key, (value, like) in layout.constants.items():
        if key in state:
            continue
        if like is None:
            state[key] = torch.tensor(int(value))
        elif like in state:
            state[key] = torch.full_like(state[like], value)
        added.append(key)
    return [key for key in added if key in state]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
