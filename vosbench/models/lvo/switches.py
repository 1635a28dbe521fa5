"""Switches of LVO: their choices, and the combinations that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from vosbench.errors import InputError
from vosbench.flow.encodings import Angle
from vosbench.models.layers.preprocessing import Convention
from vosbench.models.layers.pretrained import refuse_torchvision
from vosbench.models.lvo.network import (
    APPEARANCES,
    DEEPLABS,
    LITE,
    LITE_WIDTHS,
    MEMORY_NAMES,
    MOTIONS,
    TINY,
    USED,
    LVOWidths,
)
from vosbench.models.mpnet.network import SMALLEST_SIDE
from vosbench.models.switches import require_choices, require_count, require_share

WIDTHS = {"full": LVOWidths(), "lite": LITE_WIDTHS, "tiny": TINY}
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "size": tuple(WIDTHS),
    "appearance": APPEARANCES,
    "appearance_pretrain": ("voc", "imagenet"),
    "convention": get_args(Convention),
    "motion": MOTIONS,
    "angle": get_args(Angle),
    "memory": MEMORY_NAMES,
    "bidirectional": (False, True),
    "appearance_norm": ("frozen", "trained", None),
    "cache_features": (False, True),
}


def check(switches: Mapping[str, Any]) -> None:
    """Check the switches, the appearance of the size among them.

    Args:
        switches: of `vosbench.models.lvo.module.LVO`.

    Raises:
        InputError: a value outside its choices, or neither of the two streams.
    """
    require_choices("lvo", switches, _CHOICES)
    _check_size(switches)
    appearance, weights = switches["appearance"], switches["appearance_weights"]
    if weights is not None and appearance not in USED:
        raise InputError(f"lvo: appearance={appearance} has no weights to load, leave appearance_weights")
    if appearance == switches["motion"] == "none":
        raise InputError("lvo: appearance and motion are both none, the memory would see nothing")
    if switches["convention"] == "caffe":
        refuse_torchvision("lvo", {"appearance_weights": weights}, "convention=torchvision")
    for key in ("threshold", "map_crop"):
        require_share("lvo", key, switches[key])
    if switches["motion_short_side"] is not None:
        require_count("lvo", "motion_short_side", switches["motion_short_side"], SMALLEST_SIDE, "pixels")
    for key in ("window", "step"):
        require_count("lvo", key, switches[key])
    window, step = switches["window"], switches["step"]
    if step > window:
        raise InputError(f"lvo: step is {step}, at most the window of {window}, or frames are left out")
    if switches["shortest_clip"] is not None:
        require_count("lvo", "shortest_clip", switches["shortest_clip"])


def _check_size(switches: Mapping[str, Any]) -> None:
    """Refuse switches that a size does not have."""
    size, appearance = switches["size"], switches["appearance"]
    if appearance in (DEEPLABS if size == "lite" else (LITE,)):
        raise InputError(f"lvo: size={size} has no appearance={appearance}, leave appearance out")
    only_lite = {"map_crop": 1.0, "shortest_clip": None}
    for key, value in only_lite.items():
        if size != "lite" and switches[key] != value:
            raise InputError(f"lvo: size={size} has no {key}, leave it out")
