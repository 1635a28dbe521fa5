"""Inputs of FusionSeg's streams: pictures of flow, their size, and weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.data.transforms.clip_transforms import resize_flow
from vosbench.errors import InputError
from vosbench.flow.encodings import colour_wheel
from vosbench.method import Size
from vosbench.models.fusionseg.backbones import LiteStream, MpnetStream
from vosbench.models.fusionseg.network import AnyStream, StreamName
from vosbench.models.layers.efficientnet_lite import imagenet_weights
from vosbench.models.layers.preprocessing import Convention
from vosbench.models.layers.pretrained import RANDOM, load_pretrained
from vosbench.models.mpnet.module import SIZE_INSIDE, MPNet
from vosbench.models.pretrained.lite_appearance import ZOO
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method, packaged
from vosbench.tensor_files import is_file, read_tensors
from vosbench.video import FlowField, Video

LEAST = (289, 513)
"""Height and width that pictures are padded to, as in the released code: a grid of 37 x 65."""

LastFlow = Literal["negated", "repeated"]
LAST_FLOWS: tuple[LastFlow, ...] = ("negated", "repeated")


def every_field(flow: Tensor, frames: int, last: LastFlow) -> Tensor:
    """Return a field for every frame, (B, T, 2, H, W), of (B, T-1 or T, 2, H, W).

    Args:
        flow: pixels.
        frames: T.
        last: what the last frame is given where it has none: the field before it, ``"negated"`` or
            ``"repeated"``.

    Raises:
        InputError: a clip of one frame without flow.
    """
    missing = frames - flow.shape[1]
    if not missing:
        return flow
    if not flow.shape[1]:
        raise InputError("fusionseg: clips of one frame need the flow to the next: set clip.flow_beyond=true")
    final = flow[:, -1:] if last == "repeated" else -flow[:, -1:]
    return torch.cat([flow, *[final] * missing], dim=1)


def field_of(video: Video, index: int, last: LastFlow) -> FlowField:
    """Return the flow of one frame, (2, H, W) pixels.

    The released code takes the flow to the frame before for the last one. A video of T frames that
    comes with T fields has it; most come with T-1, see `every_field`.
    """
    assert video.flow is not None
    if index < len(video.flow):
        return video.flow[index]
    before = np.asarray(video.flow[index - 1])
    return before if last == "repeated" else -before


def flow_picture(flow: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Resize flow and paint it with the colour wheel, full saturation at the largest vector of a frame.

    Args:
        flow: (N, 2, H, W) pixels.
        size: height and width of the result; None keeps them.

    Returns:
        (N, 3, H, W) uint8 RGB.
    """
    if size is not None and size != tuple(flow.shape[-2:]):
        flow = resize_flow(flow, *size)
    return colour_wheel(flow)


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, 3, H, W) frames bilinearly without aliasing; floating point unless nothing changes."""
    if size == tuple(frames.shape[-2:]):
        return frames
    return F.interpolate(frames.float(), size, mode="bilinear", antialias=True)


def fitted_size(height: int, width: int, longest: int | None) -> tuple[int, int]:
    """Return height and width made smaller until the longer is at most `longest`; None keeps them."""
    scale = 1.0 if longest is None else min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def padded(frames: Tensor, least: tuple[int, int]) -> Tensor:
    """Add black at the bottom and at the right of (N, 3, H, W) until it is at least as large as `least`."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, max(0, least[1] - width), 0, max(0, least[0] - height)))


def stream_file(weights: str | None, size: Size) -> str | None:
    """Return the file that ``"zoo"`` stands for, the fusionseg of a size that comes with the package.

    Args:
        weights: see `load_stream`; other values are returned as they are.
        size: of the network.

    Raises:
        InputError: the package has none of this size.
    """
    if weights != ZOO:
        return weights
    path = packaged("fusionseg", size)
    if not path.is_file():
        raise InputError(f"fusionseg: no weights of size {size} come with the package, name a file")
    return str(path)


def load_stream(
    stream: AnyStream,
    name: StreamName,
    weights: str | None,
    size: Size,
    convention: Convention,
    *,
    fresh: bool = False,
) -> None:
    """Load what a stream starts from.

    Args:
        stream: changed in place.
        name: which one it is.
        weights: a name of torchvision; a file with a ResNet or a stream; weights of fusionseg, of which
            the stream of the same name is taken; ``"random"``, nothing. None is random for a ResNet and
            ImageNet for EfficientNet-Lite0; for MP-Net it is the one of this size that comes with the
            package, else its weights may also be a file of mpnet.
        size: of the network.
        convention: of the network.
        fresh: the stream is about to be trained; only then is ImageNet what None means.

    Raises:
        InputError: there are no such weights, or they are of something else.
    """
    if weights == RANDOM:
        return
    of_method = _method(weights)
    if isinstance(stream, MpnetStream) and of_method in (None, "mpnet"):
        _load_mpnet(stream, weights, size)
        return
    if weights is None:
        if isinstance(stream, LiteStream) and fresh:
            load_pretrained(stream, imagenet_weights())
        return
    if of_method is None:
        load_pretrained(stream, weights, key=f"model.{name}_weights")
        return
    path = Path(weights)
    state, described = read_state(path)
    wanted = {"name": "fusionseg", "size": size, "convention": convention}
    found = {**wanted, **described, **described.get("variant", {})}
    for key, value in wanted.items():
        if found[key] != value:
            raise InputError(f"{path}: weights with {key}={found[key]}, fusionseg needs {key}={value}")
    part = f"network.{name}."
    own = {key.removeprefix(part): value for key, value in state.items() if key.startswith(part)}
    if not own:
        raise InputError(f"{path}: has no {name} stream; train it with stage={name}")
    try:
        stream.load_state_dict(own)
    except RuntimeError:
        switch = {"appearance": "backbone", "motion": "motion_network"}[name]
        raise InputError(
            f"{path}: not weights of such a {name} stream (size {size}); has it another {switch}?"
        ) from None


def _method(weights: str | None) -> str | None:
    """Return the method of ours that a file of weights is of, None where there is none."""
    if weights is None or not is_file(weights):
        return None
    path = Path(weights)
    if not any(key.startswith("network.") for key in read_tensors(path)):
        return None
    return str(read_state(path)[1].get("name", "fusionseg"))


def _load_mpnet(stream: MpnetStream, weights: str | None, size: Size) -> None:
    """Copy an MP-Net, a file's or that of the zoo, which must see and decide as `MpnetStream` does."""
    loaded, described = load_method("mpnet", SIZE_INSIDE[size], None if weights is None else Path(weights))
    for key, value in {"input": "angle_field", "angle": "unsigned", "decoder_units": 4}.items():
        found = described["variant"].get(key, value)
        if found != value:
            raise InputError(f"{weights}: mpnet with {key}={found}, fusionseg needs {key}={value}")
    assert isinstance(loaded, MPNet)
    stream.network.load_state_dict(loaded.network.state_dict())
