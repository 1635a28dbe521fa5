"""Inputs of LVO's two streams: weights of other networks, and encoded flow."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vosbench.data.transforms.clip_transforms import resize_flow
from vosbench.errors import InputError
from vosbench.flow.encodings import Angle, angle_field
from vosbench.method import Size
from vosbench.models.layers.pretrained import RANDOM, load_pretrained
from vosbench.models.lvo.lite import LiteAppearance
from vosbench.models.mpnet.module import SIZE_INSIDE
from vosbench.models.mpnet.network import MotionPatternNet
from vosbench.models.pretrained.lite_appearance import ZOO, load_lite_appearance
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import packaged
from vosbench.tensor_files import is_file, read_tensors

_APPEARANCE = "network.appearance."


def motion_code(flow: Tensor, short_side: int, angle: Angle) -> Tensor:
    """Resize flow, vectors included, and encode it as MP-Net's angle field.

    Args:
        flow: (N, 2, H, W) pixels.
        short_side: of the result.
        angle: see `vosbench.flow.encodings.angle_field`.

    Returns:
        (N, 2, h, w), the shorter of h and w is `short_side`.
    """
    height, width = flow.shape[-2:]
    scale = short_side / min(height, width)
    return angle_field(resize_flow(flow, round(height * scale), round(width * scale)), angle)


def field_of_every_frame(flow: Tensor, frames: int) -> Tensor:
    """Return (B, T, 2, H, W) of (B, T-1 or T, 2, H, W): the last frame keeps the field before it ([ours])."""
    missing = frames - flow.shape[1]
    return torch.cat([flow, *[flow[:, -1:]] * missing], dim=1)


def load_appearance(network: nn.Module, weights: str) -> None:
    """Load weights of a DeepLab: published ones, or those that a run of stage ``appearance`` left.

    Args:
        network: what they are for.
        weights: a checkpoint of LVO, or what `load_pretrained` takes; for `LiteAppearance` a checkpoint of
            FusionSeg or LVO, size lite, or ``"zoo"``, the FusionSeg that comes with the package.

    Raises:
        InputError: there are no such weights, or they are of something else.
    """
    if isinstance(network, LiteAppearance):
        load_lite_appearance(network, weights, "lvo")
        return
    own = {}
    if is_file(weights):
        tensors = read_tensors(Path(weights)).items()
        own = {key.removeprefix(_APPEARANCE): value for key, value in tensors if key.startswith(_APPEARANCE)}
    if not own:
        load_pretrained(network, weights, key="model.appearance_weights")
        return
    try:
        network.load_state_dict(own)
    except RuntimeError:
        raise InputError(f"{weights}: its lvo has another appearance network or size") from None


def load_motion(
    network: MotionPatternNet, weights: str, size: Size, angle: Angle, method: str = "lvo"
) -> None:
    """Load the weights of an MP-Net.

    Args:
        network: what they are for.
        weights: ``"zoo"``, those that come with the package; ``"random"``, none; or a checkpoint.
        size: of the method.
        angle: encoding the weights must have been trained with.
        method: for messages.

    Raises:
        InputError: there are no such weights, or they are of something else.
    """
    if weights == RANDOM:
        return
    size = SIZE_INSIDE[size]
    path = packaged("mpnet", size) if weights == ZOO else Path(weights)
    if weights == ZOO and not path.is_file():
        raise InputError(
            f"{method}: no mpnet of size {size} comes with the package: train one (vosbench fit model=mpnet) "
            f"and write model.motion_weights=CHECKPOINT, or model.motion_weights={RANDOM}"
        )
    state, described = read_state(path)
    wanted = {"name": "mpnet", "size": size, "input": "angle_field", "decoder_units": 4, "angle": angle}
    found = {**wanted, **described, **described.get("variant", {})}
    for key, value in wanted.items():
        if found[key] != value:
            raise InputError(f"{path}: motion weights with {key}={found[key]}, {method} needs {key}={value}")
    own = {key.removeprefix("network."): value for key, value in state.items()}
    try:
        network.load_state_dict(own)
    except RuntimeError:
        raise InputError(f"{path}: not weights of mpnet (size {size})") from None
