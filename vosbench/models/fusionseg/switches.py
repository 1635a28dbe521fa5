"""Switches of FusionSeg: their choices, and the combinations that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vosbench.errors import InputError
from vosbench.models.fusionseg.backbones import BACKBONES, MOTION_NETWORKS
from vosbench.models.fusionseg.inputs import LAST_FLOWS
from vosbench.models.fusionseg.network import FUSIONS, TINY, VARIANTS, FusionSegWidths
from vosbench.models.layers.preprocessing import CONVENTIONS
from vosbench.models.layers.pretrained import refuse_torchvision
from vosbench.models.switches import require_choices, require_count, require_number, require_share

WIDTHS = {"full": FusionSegWidths(), "lite": TINY, "tiny": TINY}
"""Of a ResNet; size lite has none."""

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "size": tuple(WIDTHS),
    "stream": VARIANTS,
    "fusion": FUSIONS,
    "convention": CONVENTIONS,
    "last_flow": LAST_FLOWS,
    "backbone": (*BACKBONES, None),
    "motion_network": (*MOTION_NETWORKS, None),
    "norm": ("frozen", "trained", None),
    "fusion_start": ("random", "identity", None),
    "pad": (False, True, None),
}
_FACTORS = ("head_lr", "fusion_lr", "fusion_bias_lr", "dice")
_BY_SIZE = ("head_lr", "dice")
"""Factors that are None where the size decides."""


def check_switches(switches: Mapping[str, Any]) -> None:
    """Refuse what FusionSeg cannot be built with.

    Args:
        switches: all of them, by name.

    Raises:
        InputError: a value outside its choices, or two that exclude each other.
    """
    require_choices("fusionseg", switches, _CHOICES)
    require_share("fusionseg", "threshold", switches["threshold"])
    if switches["longest_side"] is not None:
        require_count("fusionseg", "longest_side", switches["longest_side"], 32, "pixels")
    for key in _FACTORS:
        if not (key in _BY_SIZE and switches[key] is None):
            require_number("fusionseg", key, switches[key])
    if switches["fusion_start"] == "identity" and switches["fusion"] != "paper":
        raise InputError(f"fusionseg: fusion={switches['fusion']} has no identity, leave fusion_start out")
    if switches["convention"] == "caffe":
        files = {key: switches[key] for key in ("appearance_weights", "motion_weights")}
        refuse_torchvision("fusionseg", files, "convention=torchvision")
    _check_networks(switches)


def _check_networks(switches: Mapping[str, Any]) -> None:
    lite = switches["size"] == "lite"
    wrong = "resnet" if lite else "efficientnet_lite0"
    for key in ("backbone", "motion_network"):
        if switches[key] == wrong:
            raise InputError(f"fusionseg: size={switches['size']} has no {key}={wrong}, leave {key} out")
    if lite and switches["convention"] != "torchvision":
        raise InputError("fusionseg: size=lite has convention=torchvision, leave convention out")
