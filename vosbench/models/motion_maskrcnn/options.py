"""Switches of Motion Mask R-CNN: their choices, and the network of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vosbench.errors import InputError, unknown_name
from vosbench.models.layers.pretrained import RANDOM, of_torchvision, refuse_torchvision
from vosbench.models.motion_maskrcnn.encoding import ORDERS, RANGES
from vosbench.models.motion_maskrcnn.heads import OBJECT_CLASSES
from vosbench.models.motion_maskrcnn.network import (
    COCO_CLASSES,
    LITE,
    MASK_INPUTS,
    MERGE_INITS,
    MERGES,
    PARTS,
    STREAMS,
    TINY,
    MotionMaskRCNNNet,
    MotionMaskRCNNWidths,
)
from vosbench.models.motion_maskrcnn.weights import NAME
from vosbench.models.pretrained.lite_appearance import ZOO
from vosbench.models.switches import require_choices, require_count, require_number, require_share

WIDTHS = {"full": MotionMaskRCNNWidths(), "lite": LITE, "tiny": TINY}
WARMUP = {"full": 500, "lite": 20, "tiny": 20}
STAGES = ("A", "M1", "M2", "J1", "J2")
STREAM_STAGES: Mapping[str, tuple[str, ...]] = {
    "appearance": ("A",),
    "motion": ("M1", "M2"),
    "joint": STAGES,
}
"""Stream -> the stages that train something of it; a joint network can go through all."""

COCO_CHOICES = ("objectness", "class_specific")
CONVENTIONS = ("torchvision", "detectron")
OUTPUTS = ("tracks", "union")
FILES = ("body_weights", "appearance_weights", "motion_weights", "static_weights")
"""Keys that say where weights come from; a checkpoint holds all weights and needs none of them."""

_NORM_EPS = {"torchvision": 1e-5, "detectron": 0.0}


class Options(dict[str, Any]):
    """The arguments of the method by name."""

    @property
    def joint(self) -> bool:
        """True if both streams are there."""
        return bool(self["stream"] == "joint")

    @property
    def lite(self) -> bool:
        """True if EfficientNet-Lite0 and MP-Net stand for the ResNets."""
        return bool(self["size"] == "lite")

    @property
    def coco_classes(self) -> int:
        """Classes of stage A and of the static branch, with background."""
        return COCO_CLASSES if self["coco_classes"] == "class_specific" else OBJECT_CLASSES

    def check_stage(self, name: str) -> None:
        """Refuse a stage that the variant has nothing to train in, or that would spoil it.

        Raises:
            InputError: what to write instead.
        """
        stages = STREAM_STAGES[self["stream"]]
        if name not in stages:
            raise InputError(
                f"{NAME}: stream={self['stream']} has nothing to train in stage {name}, "
                f"write stage={' or stage='.join(stages)}"
            )
        if not self.joint:
            return
        if name in ("A", "M1", "M2") and not self["static_objects"]:
            raise InputError(
                f"{NAME}: without static_objects a joint network has no place for the heads of stage A: "
                "train stream=appearance and stream=motion by themselves"
            )
        classes = self["static_objects"] and self["coco_classes"] == "class_specific"
        if name in ("J1", "J2") and classes and "mask" in self["freeze"]:
            raise InputError(
                f"{NAME}: a mask head of 80 classes cannot be kept for moving objects: write "
                "freeze=[appearance,motion] or coco_classes=objectness"
            )
        if name in ("J1", "J2") and self["static_objects"] and "appearance" not in self["freeze"]:
            raise InputError(
                f"{NAME}: the static branch needs the appearance body as it is: write "
                "static_objects=false, or let freeze contain appearance"
            )


def kept_parts(options: Options, network: MotionMaskRCNNNet, stage: str) -> dict[str, str]:
    """Return the parts that a stage uses and does not train: prefix of their weights -> how to fill them."""
    joint, frozen = options.joint, set(options["freeze"])
    last = stage in ("J1", "J2")
    used = ("appearance", "motion") if last else ("appearance" if stage == "A" else "motion",)
    kept = {}
    for name in used:
        if options.lite and options[f"{name}_weights"] == RANDOM:
            continue
        body = f"network.backbone.{name}." if joint else "network.backbone."
        if last and name in frozen:
            kept[body] = f"write model.{name}_weights=CHECKPOINT of that stream, or init=CHECKPOINT"
        elif options.lite:
            encoder = {"appearance": "body.", "motion": "network."}[name]
            kept[f"{body}{encoder}"] = (
                f"write model.{name}_weights=zoo, a CHECKPOINT or {RANDOM}, or init=CHECKPOINT"
            )
        elif WIDTHS[options["size"]].norm == "frozen":
            kept[f"{body}body."] = (
                "write model.body_weights=ResNet50_Weights.IMAGENET1K_V1, or init=CHECKPOINT"
            )
    if last and network.static is not None:
        kept["network.static."] = (
            "write model.appearance_weights=CHECKPOINT of stage A with these classes (weights of COCO have "
            "more), or model.static_objects=false with freeze=[appearance,motion]"
        )
    elif last and "mask" in frozen:
        kept["network.roi_heads.mask_"] = (
            "write model.appearance_weights=CHECKPOINT of stage A, or model.freeze=[appearance,motion]"
        )
    return kept


def check(options: Options) -> None:
    """Refuse values outside their choices.

    Raises:
        InputError: which key, and what it takes.
    """
    choices: dict[str, tuple[Any, ...]] = {
        "size": tuple(WIDTHS),
        "stream": STREAMS,
        "coco_classes": COCO_CHOICES,
        "merge": MERGES,
        "merge_init": MERGE_INITS,
        "mask_input": MASK_INPUTS,
        "convention": CONVENTIONS,
        "static_objects": (False, True),
        "channel_order": ORDERS,
        "flow_range": RANGES,
        "quantise_8bit": (False, True),
        "output": OUTPUTS,
    }
    require_choices(NAME, options, choices)
    for part in options["freeze"]:
        if part not in PARTS:
            raise unknown_name(f"part of {NAME} to freeze", str(part), PARTS)
    require_share(NAME, "score_threshold", options["score_threshold"])
    if options["warmup"] is not None:
        require_count(NAME, "warmup", options["warmup"], 0, "iterations")
    for key in ("low_magnitude_threshold", "norm_eps"):
        if options[key] is not None:
            require_number(NAME, key, options[key])
    if options["merge_init"] != "random" and options["merge"] != "concat_conv":
        raise InputError(f"{NAME}: only merge=concat_conv can start as a copy, leave merge_init")
    if options.lite:
        _check_lite(options)
    _check_weights(options)


def _check_lite(options: Options) -> None:
    defaults = {"body_weights": None, "convention": "torchvision", "norm_eps": None}
    for key, value in defaults.items():
        if options[key] != value:
            raise InputError(f"{NAME}: size=lite has no {key}={options[key]}, leave {key} out")


def _check_weights(options: Options) -> None:
    files = {key: options[key] for key in FILES}
    if options["convention"] == "detectron":
        refuse_torchvision(NAME, files, "convention=torchvision")
    for key in ("appearance_weights", "static_weights"):
        coco = (
            files[key] not in (RANDOM, ZOO)
            and of_torchvision(files[key])
            and "coco" in str(files[key]).lower()
        )
        if coco and _eps(options):
            raise InputError(f"{NAME}: {key}={files[key]} was trained with norm_eps=0, write that")
    branch = options.joint and options["static_objects"]
    if options["static_weights"] is not None and not branch:
        raise InputError(f"{NAME}: static_weights need stream=joint and static_objects=true")


def build_network(options: Options) -> MotionMaskRCNNNet:
    """Return the network of these switches, with random weights."""
    torchvision = options["convention"] == "torchvision"
    appearance = options["stream"] == "appearance"
    return MotionMaskRCNNNet(
        options["stream"],
        classes=options.coco_classes if appearance else OBJECT_CLASSES,
        static_classes=options.coco_classes if options["static_objects"] else None,
        merge=options["merge"],
        merge_init=options["merge_init"],
        mask_input=options["mask_input"],
        widths=WIDTHS[options["size"]],
        stride_in="3x3" if torchvision else "1x1",
        norm_eps=_eps(options),
    )


def _eps(options: Options) -> float:
    eps: float | None = options["norm_eps"]
    return _NORM_EPS[options["convention"]] if eps is None else eps
