"""What the spatial branch of STCNN lite starts from."""

from __future__ import annotations

from pathlib import Path

from vosbench.errors import InputError
from vosbench.models.layers.pretrained import RANDOM
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.stcnn.lite import LiteSpatialBranch

ZOO = "zoo"
_APPEARANCE = "network.appearance."


def load_appearance(branch: LiteSpatialBranch, weights: str) -> None:
    """Start a spatial branch from the appearance stream of FusionSeg lite.

    Args:
        branch: changed in place.
        weights: a checkpoint of FusionSeg lite; ``"zoo"``, the one that comes with the package; ``"random"``,
            none.

    Raises:
        InputError: there are no such weights, or they are of something else.
    """
    if weights == RANDOM:
        return
    path = packaged("fusionseg", "lite") if weights == ZOO else Path(weights)
    if weights == ZOO and not path.is_file():
        raise InputError(
            "stcnn: no fusionseg of size lite comes with the package: train one (vosbench fit "
            "model=fusionseg size=lite recipe=fusionseg_lite) and write model.appearance_weights=CHECKPOINT"
        )
    state = read_state(path)[0].items()
    own = {key.removeprefix(_APPEARANCE): value for key, value in state if key.startswith(_APPEARANCE)}
    try:
        branch.load_stream(own)
    except RuntimeError:
        raise InputError(f"{path}: not weights of fusionseg of size lite") from None
