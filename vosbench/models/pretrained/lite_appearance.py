"""Appearance stream of FusionSeg lite, from which networks of size lite start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from vosbench.errors import InputError
from vosbench.models.layers.pretrained import RANDOM
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import ZOO as ZOO
from vosbench.models.pretrained.zoo import packaged

_STREAM = "network.appearance."


class TakesStream(Protocol):
    """Network that holds an appearance stream."""

    def load_stream(self, state: Mapping[str, Tensor]) -> None:
        """Copy the stream; RuntimeError where tensors are missing or left over."""


def load_lite_appearance(network: TakesStream, weights: str, method: str) -> None:
    """Copy the appearance stream of FusionSeg lite, or of a method of size lite that holds it.

    Args:
        network: changed in place.
        weights: a checkpoint; ``"zoo"``, FusionSeg of the package; ``"random"``, none.
        method: for messages.

    Raises:
        InputError: there are no such weights, or they are of something else.
    """
    if weights == RANDOM:
        return
    path = packaged("fusionseg", "lite") if weights == ZOO else Path(weights)
    if weights == ZOO and not path.is_file():
        raise InputError(
            f"{method}: no fusionseg of size lite comes with the package: train one (vosbench fit "
            "model=fusionseg size=lite recipe=fusionseg_lite) and write model.appearance_weights=CHECKPOINT"
        )
    state = read_state(path)[0].items()
    own = {key.removeprefix(_STREAM): value for key, value in state if key.startswith(_STREAM)}
    try:
        network.load_stream(own)
    except RuntimeError:
        raise InputError(f"{path}: not weights of fusionseg or lvo of size lite") from None
