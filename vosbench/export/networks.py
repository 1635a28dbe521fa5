"""Network of each method for one frame or pair of frames, with the contract of its inputs and its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vosbench.errors import InputError
from vosbench.models.fusionseg.inputs import fitted_size
from vosbench.models.fusionseg.module import FusionSeg
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.mpnet.module import MPNet
from vosbench.models.pixelwise import enlarge
from vosbench.models.stcnn.generator import scale_past
from vosbench.models.stcnn.module import STCNN

FRAME_SIZE = (480, 854)
"""Height and width of the frames that a network is exported for where no size is given: DAVIS at 480p."""

_RGB = "RGB, 0 to 255, not normalised"
_FLOW = "optical flow to the next frame, x above y, in pixels of this height and width"

_NOT_TRACED: Mapping[str, str] = {
    "lip": "how many regions it draws depends on what it sees, which torch.export cannot trace",
    "lvo": "its memory sees all frames of a window together: it has no network of one frame or pair",
    "motion_maskrcnn": "how many regions it draws depends on what it sees, which torch.export cannot trace",
}


@dataclass(frozen=True)
class TensorContract:
    """Contract of a tensor.

    Attributes:
        name: of the input or output.
        shape: of the tensor; the size of an axis of `dynamic` is an example.
        meaning: what the values are, with unit and range.
        dynamic: axis -> (smallest, largest) size; every other axis is fixed.
        dtype: of the values.
    """

    name: str
    shape: tuple[int, ...]
    meaning: str
    dynamic: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    dtype: str = "float32"

    def text(self) -> str:
        """Return the contract in one line."""
        sizes = (
            "{}..{}".format(*self.dynamic[axis]) if axis in self.dynamic else str(size)
            for axis, size in enumerate(self.shape)
        )
        return f"{self.name} ({', '.join(sizes)}) {self.dtype}: {self.meaning}"


@dataclass(frozen=True)
class ExportedNetwork:
    """Network to export.

    Attributes:
        graph: from tensors, in the order of `inputs`, to the probability.
        inputs: contracts.
        output: contract.
        notes: what a method does around its network, for readers.
    """

    graph: nn.Module
    inputs: tuple[TensorContract, ...]
    output: TensorContract
    notes: tuple[str, ...]


def network_of(
    method: Any, height: int | None = None, width: int | None = None, name: str | None = None
) -> ExportedNetwork:
    """Return the network of a method that segments one frame or pair of frames.

    Args:
        method: from `vosbench.models.pretrained.zoo.load_method`.
        height: of the inputs, pixels; None for that at which the method sees a frame of `FRAME_SIZE`.
        width: the same.
        name: of the method; None: its own.

    Raises:
        InputError: the method has no such network, or none that can be traced.
    """
    name = name or str(method.name)
    if name in _NOT_TRACED:
        raise InputError(f"{name} cannot be exported: {_NOT_TRACED[name]}; choose from {', '.join(_MAKERS)}")
    if name not in _MAKERS:
        raise InputError(f"{name} has no network to export: choose from {', '.join(_MAKERS)}")
    if (height is None) != (width is None):
        raise InputError("export: give height and width, or none of the two")
    size = None if height is None or width is None else (height, width)
    return _MAKERS[name](method.eval(), size)


class _MPNetGraph(nn.Module):
    def __init__(self, method: MPNet) -> None:
        super().__init__()
        self.network = method.network
        self._encode = method.encode
        self._sees = method.input

    def forward(self, *inputs: Tensor) -> Tensor:
        frames = [values for values in inputs if values.shape[1] == 3]
        flow = next((values for values in inputs if values.shape[1] == 2), None)
        pairs = torch.stack([frames[0], frames[-1]], dim=1) if frames else None
        logits = self.network(self._encode(pairs, flow))
        return enlarge(logits.sigmoid(), inputs[0].shape[-2:])


def _mpnet(method: MPNet, size: tuple[int, int] | None) -> ExportedNetwork:
    scale = method.test_short_side / min(FRAME_SIZE)
    size = size or (round(FRAME_SIZE[0] * scale), round(FRAME_SIZE[1] * scale))
    shown = ["frame"] if method.input in ("rgb", "rgb_pair", "rgb_angle") else []
    shown += ["following"] if method.input == "rgb_pair" else []
    inputs = [TensorContract(name, (1, 3, *size), _RGB) for name in shown]
    inputs += [TensorContract("flow", (1, 2, *size), _FLOW)] if method.needs_flow else []
    notes = (
        f"vosbench resizes to a shorter side of {method.test_short_side} pixels (flow bilinearly, "
        "its vectors with it) and the probability back",
    )
    output = TensorContract("probability", (1, 1, *size), "that a pixel moves on its own, 0 to 1")
    return ExportedNetwork(_MPNetGraph(method), tuple(inputs), output, (*notes, _threshold(method)))


class _FusionSegGraph(nn.Module):
    def __init__(self, method: FusionSeg) -> None:
        super().__init__()
        self.network = method.network
        self._logits = method.forward

    def forward(self, *inputs: Tensor) -> Tensor:
        flow = next((values[:, None] for values in inputs if values.shape[1] == 2), None)
        frame = next((values for values in inputs if values.shape[1] == 3), None)
        if frame is None:
            # a motion stream alone looks at the size of the frame only
            frame = inputs[0].new_zeros(1, 3, *inputs[0].shape[-2:])
        return self._logits(frame[:, None], flow)[:, 0].softmax(dim=1)[:, 1:]


def _fusionseg(method: FusionSeg, size: tuple[int, int] | None) -> ExportedNetwork:
    size = size or fitted_size(*FRAME_SIZE, method.longest_side)
    # the sizes inside of lite are rounded in a way that cannot be traced
    dynamic = {} if method.hparams["size"] == "lite" else {2: (64, 4096), 3: (64, 4096)}
    inputs = []
    if "appearance" in method.network.streams:
        inputs.append(TensorContract("frame", (1, 3, *size), _RGB, dynamic))
    if "motion" in method.network.streams:
        inputs.append(TensorContract("flow", (1, 2, *size), _FLOW, dynamic))
    notes = [f"the flow of the last frame is the field before it, {method.last_flow}"]
    if method.longest_side is not None:
        notes.append(
            "vosbench makes frames and flow smaller, until the longer side is at most "
            f"{method.longest_side} pixels, and enlarges the probability"
        )
    if method.pad:
        notes.append("vosbench pads smaller frames with black at the right and at the bottom to 289 x 513")
    output = TensorContract("probability", (1, 1, *size), "of the foreground, 0 to 1", dynamic)
    return ExportedNetwork(_FusionSegGraph(method), tuple(inputs), output, (*notes, _threshold(method)))


class _STCNNGraph(nn.Module):
    def __init__(self, method: STCNN) -> None:
        super().__init__()
        self.network = method.network

    def forward(self, *inputs: Tensor) -> Tensor:
        network, frame = self.network, inputs[-1]
        past = scale_past(network.seen(inputs[0])) if len(inputs) > 1 else None
        found = network(past, normalise(network.seen(frame), "torchvision"))
        return network.enlarge(found.logits[-1], frame.shape[-2:]).sigmoid()


def _stcnn(method: STCNN, size: tuple[int, int] | None) -> ExportedNetwork:
    size = size or FRAME_SIZE
    delta = method.hparams["delta"]
    inputs = [TensorContract("frame", (1, 3, *size), _RGB)]
    if method.network.generator is not None:
        past = f"the {delta} frames before, the oldest first, {_RGB}"
        inputs.insert(0, TensorContract("past", (1, 3 * delta, *size), past))
    notes = (
        "vosbench trains the network on the first frame of every video for each object, and looks near the "
        "last place of the object: this is the network before, for any object",
    )
    output = TensorContract("probability", (1, 1, *size), "of the object, 0 to 1")
    return ExportedNetwork(_STCNNGraph(method), tuple(inputs), output, (*notes, _threshold(method)))


def _threshold(method: Any) -> str:
    return f"a pixel above {method.threshold} is foreground"


_MAKERS: Mapping[str, Callable[[Any, tuple[int, int] | None], ExportedNetwork]] = {
    "fusionseg": _fusionseg,
    "mpnet": _mpnet,
    "stcnn": _stcnn,
}
