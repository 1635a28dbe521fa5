"""Keys of STCNN: their choices, and their values for a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from vosbench.errors import InputError
from vosbench.models.layers.pretrained import RANDOM, refuse_torchvision
from vosbench.models.stcnn.blocks import TINY, STCNNWidths, StrideIn
from vosbench.models.stcnn.discriminator import OUTPUTS
from vosbench.models.stcnn.generator import DELTAS, STARTS
from vosbench.models.stcnn.lite import IMAGENET
from vosbench.models.stcnn.network import TCB_NORMS
from vosbench.models.stcnn.segmentation import TOPDOWNS
from vosbench.models.switches import (
    require_choices,
    require_count,
    require_number,
    require_share,
    values_for_size,
)

WIDTHS: Mapping[str, STCNNWidths | Literal["lite"]] = {"full": STCNNWidths(), "lite": "lite", "tiny": TINY}
OPTIMIZERS = ("sgd", "adamw")
TRAIN_PHASES = ("both", "offline_only", "online_only")
NORMS = ("frozen", "trained")

STRIDE = "model.stride_in=3x3, as its residual blocks have the stride"
"""Advice where weights of torchvision do not fit the strides."""

BY_SIZE: Mapping[str, dict[str, Any]] = {
    "full": {
        "norm": "frozen",
        "stride_in": "3x3",
        "encoder_weights": "ResNet101_Weights.IMAGENET1K_V1",
        "discriminator_weights": "Inception_V3_Weights.IMAGENET1K_V1",
        "temporal_size": (480, 854),
        "joint_generator_lr": 1e-8,
        "lucid": True,
        "online_iterations": 400,
        "online_images": 100,
        "online_lr": 1e-4,
        "adapt_steps": 0,
        "gate_reach": 80,
        "dice": 0.0,
    },
    "lite": {
        "norm": "frozen",
        "stride_in": "3x3",
        "encoder_weights": IMAGENET,
        "discriminator_weights": RANDOM,
        "temporal_size": None,
        "joint_generator_lr": 1e-4,
        "lucid": False,
        "online_iterations": 100,
        "online_images": 20,
        "online_lr": 2e-4,
        "adapt_steps": 2,
        "gate_reach": 160,
        "dice": 1.0,
    },
    "tiny": {
        "norm": "trained",
        "stride_in": "1x1",
        "encoder_weights": RANDOM,
        "discriminator_weights": RANDOM,
        "temporal_size": None,
        "joint_generator_lr": 1e-4,
        "lucid": True,
        "online_iterations": 40,
        "online_images": 20,
        "online_lr": 0.003,
        "adapt_steps": 0,
        "gate_reach": 80,
        "dice": 0.0,
    },
}
"""Values of keys that are None; those for ``tiny`` and ``lite`` are [ours]."""

_RESNET_ONLY: Mapping[str, Any] = {"topdown": "resize", "released": False, "stride_in": None}
"""Keys that lite has not, and the values that they must have there."""


def resolved(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Check all keys of STCNN, and return those that may be None with the value for the size.

    Raises:
        InputError: a value outside its choices.
    """
    _check(keys)
    values = values_for_size(keys, BY_SIZE)
    if keys["stride_in"] is None and keys["released"]:
        values["stride_in"] = "1x1"
    if keys["size"] == "lite":
        if keys["encoder_weights"] != IMAGENET:
            refuse_torchvision(
                "stcnn", {"encoder_weights": keys["encoder_weights"]}, f"model.encoder_weights={IMAGENET}"
            )
    elif values["stride_in"] == "1x1":
        refuse_torchvision("stcnn", {"encoder_weights": keys["encoder_weights"]}, STRIDE)
    if keys["norm"] is None and values["encoder_weights"] == RANDOM:
        values["norm"] = "trained"
    if values["temporal_size"] is not None:
        values["temporal_size"] = tuple(values["temporal_size"])
    return values


def _check(keys: Mapping[str, Any]) -> None:
    choices: Mapping[str, tuple[Any, ...]] = {
        "size": tuple(WIDTHS),
        "train_phase": TRAIN_PHASES,
        "delta": DELTAS,
        "start": STARTS,
        "topdown": TOPDOWNS,
        "d_outputs": OUTPUTS,
        "tcb_bn_test_mode": TCB_NORMS,
        "stride_in": (*get_args(StrideIn), None),
        "norm": (*NORMS, None),
        "lucid": (False, True, None),
        **dict.fromkeys(
            ("tcb", "attention", "detach_tcb", "d_remap", "spatial_gate", "released"), (False, True)
        ),
    }
    require_choices("stcnn", keys, choices)
    _check_size(keys)
    for key in ("threshold", "gate_threshold", "margin", "online_momentum", "encoder_lr"):
        require_share("stcnn", key, keys[key])
    counts = {
        "online_iterations": 1,
        "online_images": 1,
        "online_seed": 0,
        "gate_reach": 1,
        "gate_least": 0,
        "adapt_steps": 0,
    }
    for key, least in counts.items():
        if keys[key] is not None:
            require_count("stcnn", key, keys[key], least)
    for key in (
        *("adversarial", "discriminator_lr", "joint_generator_lr", "adversary_decay"),
        *("online_lr", "online_weight_decay", "adapt_lr", "dice"),
    ):
        if keys[key] is not None:
            require_number("stcnn", key, keys[key])
    size = keys["temporal_size"]
    if size is not None and not (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise InputError(f"stcnn: temporal_size is {size}: write temporal_size=[height,width] in pixels")


def _check_size(keys: Mapping[str, Any]) -> None:
    """Refuse keys that a size does not have."""
    if keys["size"] != "lite":
        if keys["appearance_weights"] is not None:
            raise InputError(f"stcnn: size={keys['size']} has no appearance_weights, leave it out")
        return
    for key, value in _RESNET_ONLY.items():
        if keys[key] != value:
            raise InputError(f"stcnn: size=lite has no {key}, leave it out")
