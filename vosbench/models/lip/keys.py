"""Keys of LIP: their choices, and their values for a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vosbench.errors import InputError
from vosbench.models.lip.pyramid import MEMORIES
from vosbench.models.lip.rules import ORDERS
from vosbench.models.lip.widths import LITE, TINY, LIPWidths
from vosbench.models.switches import (
    require_choices,
    require_count,
    require_number,
    require_share,
    values_for_size,
)

NAME = "lip"
WIDTHS = {"full": LIPWidths(), "lite": LITE, "tiny": TINY}
CONVENTIONS = ("detectron", "torchvision")
SWITCHES = (
    *("bottom_up", "shortcut", "mask_deconv"),
    *("online", "one_maximum", "location_continuity", "inference_id_tuning"),
)

_COUNTS: Mapping[str, tuple[int, str]] = {
    "ids": (1, ""),
    "vos_ids": (1, ""),
    "test_side": (1, "pixel"),
    "recurrence": (1, "frame"),
    "candidates": (1, ""),
    "online_iterations": (1, ""),
    "online_seed": (0, ""),
    "online_views": (0, ""),
    "mask_growths": (0, ""),
    "id_tuning_iterations": (1, ""),
}
"""Key -> least value, and what is counted."""

BY_SIZE: Mapping[str, dict[str, Any]] = {
    "full": {
        "convention": "detectron",
        "gru_on_p6": True,
        "ids": 80,
        "vos_ids": 144,
        "train_sides": tuple(range(320, 641, 32)),
        "test_side": 640,
        "online_iterations": 1000,
        "online_lr": 0.002,
        "id_tuning_lr": 0.002,
        "id_threshold": 0.02,
        "id_tuning_iterations": 500,
        "online_views": 0,
        "overlap_weight": 0.0,
        "mask_margin": 0.0,
        "mask_growths": 0,
        "follow": False,
    },
    "lite": {
        "convention": "torchvision",
        "gru_on_p6": False,
        "ids": 1,
        "vos_ids": 60,
        "train_sides": (225, 257),
        "test_side": 257,
        "online_iterations": 80,
        "online_lr": 0.02,
        "id_tuning_lr": 0.01,
        "id_threshold": 0.002,
        "id_tuning_iterations": 50,
        "online_views": 24,
        "overlap_weight": 0.3,
        "mask_margin": 0.15,
        "mask_growths": 3,
        "follow": True,
    },
    "tiny": {
        "convention": "detectron",
        "gru_on_p6": True,
        "ids": 80,
        "vos_ids": 200,
        "train_sides": (112, 128, 144),
        "test_side": 128,
        "online_iterations": 100,
        "online_lr": 0.02,
        "id_tuning_lr": 0.01,
        "id_threshold": 0.002,
        "id_tuning_iterations": 500,
        "online_views": 0,
        "overlap_weight": 0.0,
        "mask_margin": 0.0,
        "mask_growths": 0,
        "follow": False,
    },
}
"""Values of keys that are None; those for ``lite`` and ``tiny`` are [ours]."""


def resolved(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Check all keys of LIP, and return those that may be None with the value for the size.

    Raises:
        InputError: a value outside its choices.
    """
    _check(keys)
    values = values_for_size(keys, BY_SIZE)
    values["train_sides"] = tuple(values["train_sides"])
    return values


def _check(keys: Mapping[str, Any]) -> None:
    choices: Mapping[str, tuple[Any, ...]] = {
        "size": tuple(WIDTHS),
        "memory": MEMORIES,
        "convention": (*CONVENTIONS, None),
        "rule_order": ORDERS,
        **dict.fromkeys(("follow", "gru_on_p6"), (False, True, None)),
        **dict.fromkeys(SWITCHES, (False, True)),
    }
    require_choices(NAME, keys, choices)
    for key in (
        "least_score",
        "trusted_score",
        "least_iou",
        "id_tuning_score",
        "focal_alpha",
        "overlap_weight",
    ):
        if keys[key] is not None:
            require_share(NAME, key, keys[key])
    for key, (least, unit) in _COUNTS.items():
        if keys[key] is not None:
            require_count(NAME, key, keys[key], least, unit)
    for key in ("online_lr", "id_tuning_lr", "id_threshold", "focal_gamma", "mask_margin"):
        if keys[key] is not None:
            require_number(NAME, key, keys[key])
    if keys["size"] == "lite":
        _check_lite(keys)
    elif keys["appearance_weights"] is not None:
        raise InputError(f"{NAME}: size={keys['size']} has no appearance_weights, write body_weights")
    if keys["train_sides"] is not None:
        _check_sides(keys["train_sides"])


def _check_lite(keys: Mapping[str, Any]) -> None:
    if keys["convention"] not in (None, "torchvision"):
        raise InputError(f"{NAME}: size=lite has convention=torchvision, not {keys['convention']}")
    if keys["body_weights"] is not None:
        raise InputError(f"{NAME}: size=lite has no body_weights, write appearance_weights")


def _check_sides(sides: Sequence[Any]) -> None:
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InputError(f"{NAME}: train_sides is {list(sides)}: write train_sides=[320,640], in pixels")
