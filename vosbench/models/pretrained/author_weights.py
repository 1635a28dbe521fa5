"""Weights that the authors of a method published, read safely and put under the names used here.

Nothing in a file is run. What the networks then expect is what the authors' networks expect, and it is not
what torchvision's weights expect:

* FusionSeg: frames and pictures of flow in BGR, 0..255, minus DeepLab's mean (104.008, 116.669, 122.675);
* Motion Mask R-CNN: frames in BGR, 0..255, minus (102.9801, 115.9465, 122.7717), flow encoded as in its
  specification, mean 0; norms are folded into weight and bias, so their epsilon must be 0, as torchvision
  sets it for its own weights of COCO;
* STCNN: RGB, 0..1, ImageNet's mean and deviation; the past frames -1..1.

The first two stride in the first 1x1 convolution of a block, and so does STCNN.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vosbench.errors import InputError, unknown_name
from vosbench.formats.caffemodel import read_caffemodel
from vosbench.formats.detectron_pickle import read_blobs
from vosbench.models.pretrained.author_weight_names import NETWORK, RELEASED, Layout, layouts

_ZIP = b"PK\x03\x04"
_OLD_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""The number that files from before PyTorch 1.6 open with, after two bytes of the pickle's protocol."""

_PICKLE = b"\x80"
_STATES = ("model", "state_dict")
"""Entries of a checkpoint that hold the weights, where it holds more."""

_PARALLEL = "module."
_NAMED = 5
"""Tensors that an error names; the accounting names them all."""

_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What torch raises for damaged files."""


class Conflict(NamedTuple):
    """A tensor of another shape than the network has."""

    name: str
    released: tuple[int, ...]
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Accounting:
    """What became of every tensor of released weights, and where every tensor of the network came from.

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
        """Those of `used` whose name is another one within the network here."""
        return {key: ours for key, ours in self.used.items() if ours.removeprefix(NETWORK) != key}

    @property
    def complete(self) -> bool:
        """Whether every tensor of the file has its place, and every place its tensor."""
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
        """Return one line that says what is out of order, for an error."""
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
        released: name -> tensor, as `read_released` gives them.

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


def read_released(path: Path) -> dict[str, Tensor]:
    """Read a file of weights as its authors published it; its kind is seen from its content.

    Args:
        path: a Caffe model (``.caffemodel``), a pickle of Detectron (``.pkl``), a checkpoint or state dict
            of PyTorch of any version (``.pth``; the weights may be the entry ``model`` of more), or
            ``.safetensors``.

    Returns:
        Name -> tensor, as named in the file, without the ``module.`` of parallel training. Blobs of a
        Caffe model are named ``LAYER/INDEX``.

    Raises:
        InputError: missing, none of these, damaged, it holds more than data, or numbers that are not
            finite.
    """
    tensors = _read(path)
    if all(key.startswith(_PARALLEL) for key in tensors):
        tensors = {key.removeprefix(_PARALLEL): value for key, value in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{path}: {key} holds numbers that are not finite; download it again")
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if head.startswith(_ZIP) or head[2:].startswith(_OLD_TORCH):
        return _read_torch(path)
    if head.startswith(_PICKLE):
        return _tensors(path, read_blobs(path))
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return _read_safetensors(path)
    # a Caffe model has no signature; most open with the name of the network
    if path.suffix == ".caffemodel" or head[:1] == b"\n":
        return _tensors(path, read_caffemodel(path))
    raise InputError(f"{path}: no weights that can be read (.caffemodel, .pkl, .pth or .safetensors)")


def _tensors(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Tensor]:
    try:
        return {key: torch.from_numpy(array) for key, array in arrays.items()}
    except TypeError as error:
        raise InputError(f"{path}: numbers of a kind that weights do not have ({error})") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: damaged or truncated ({error}); download it again") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with _numpy_scalars():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: damaged, or it holds more than data, which is never run ({_first(error)})"
        ) from None
    except _DAMAGE as error:
        raise InputError(f"{path}: damaged or truncated ({_first(error)}); download it again") from None
    return _weights(path, content)


def _weights(path: Path, content: Any) -> dict[str, Tensor]:
    for entry in _STATES:
        if isinstance(content, dict) and isinstance(content.get(entry), dict):
            content = content[entry]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: no state dict, nor one under {' or '.join(_STATES)}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise InputError(f"{path}: entry {key!r:.60} is no tensor, so this is no state dict")
    return {key: value.detach() for key, value in content.items()}


@contextmanager
def _numpy_scalars() -> Iterator[None]:
    """Let torch rebuild single numbers of NumPy, which checkpoints of Detectron.pytorch can hold."""
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(code)) for code in ("b1", "i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8")]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([np.dtype, *kinds, *named]):
        yield


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


def _first(error: BaseException) -> str:
    return " ".join(f"{error}".split(". ")[0].split())[:160] or type(error).__name__
