"""Initial weights of a detector: of ImageNet for a body, whole detectors for a stream."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from vosbench.models.layers.detection import ResNetPyramid
from vosbench.models.layers.pretrained import Loaded, load_pretrained
from vosbench.models.lvo.streams import load_motion as load_mpnet
from vosbench.models.motion_maskrcnn.heads import CLASS_DEPENDENT
from vosbench.models.motion_maskrcnn.lite import LiteBody, LiteMotion
from vosbench.models.motion_maskrcnn.network import COCO_CLASSES, Body, MotionMaskRCNNNet, TwoStreams
from vosbench.models.pretrained.lite_appearance import load_lite_appearance
from vosbench.models.pretrained.weight_files import read_state
from vosbench.tensor_files import is_file

State = Mapping[str, Tensor]

NAME = "motion_maskrcnn"
NETWORK = "network."

_OLD_NAMES = (
    (r"((?:inner|layer)_blocks\.\d+)\.(weight|bias)", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
)
COCO_IDS = 91
"""Classes of torchvision's weights of COCO, which counts by category ids, with background."""

_GAPS = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
"""Ids without a category."""

_OLD_MASK = re.compile(r"(roi_heads\.mask_head\.)mask_fcn(\d)\.(weight|bias)")


class AppearanceDetector(nn.Module):
    """The parts of a network that an appearance detector fills: its body and heads.

    In a joint network these are the heads of its static branch, or its only ones where there is none.
    """

    classes: ClassVar[tuple[str, ...]] = CLASS_DEPENDENT
    spare: tuple[str, ...] = ()

    def __init__(self, network: MotionMaskRCNNNet) -> None:
        super().__init__()
        self.backbone = _body(network, "appearance")
        heads = network if network.static is None else network.static
        if heads.channels != self.backbone.channels:
            # heads of concatenated features have other shapes
            self.spare = MotionBody.spare
            return
        self.rpn = heads.rpn
        self.roi_heads = heads.roi_heads

    def adapt(self, state: State) -> dict[str, Tensor]:
        """Return the detector that a file holds, or the one within a joint detector: its static branch.

        Of heads with a row per category id of COCO, as torchvision's, those of the 80 classes are taken where
        the network has these.
        """
        own = self.state_dict()
        return {
            name: _without_gaps(value)
            if name.startswith(self.classes)
            and name in own
            and len(value) * COCO_CLASSES == len(own[name]) * COCO_IDS
            else value
            for name, value in _single(state, "appearance").items()
        }


class MotionBody(nn.Module):
    """The part of a network that a motion detector fills: its body without heads."""

    spare: ClassVar[tuple[str, ...]] = ("rpn.", "roi_heads.")

    def __init__(self, network: MotionMaskRCNNNet) -> None:
        super().__init__()
        self.backbone = _body(network, "motion")

    @staticmethod
    def adapt(state: State) -> dict[str, Tensor]:
        """Return the detector that a file holds, or the motion body within a joint detector."""
        return _single(state, "motion")


def load_appearance(network: MotionMaskRCNNNet, weights: str | Path) -> Loaded | None:
    """Fill the appearance body and heads, see `AppearanceDetector`.

    When lite, the body alone may come from FusionSeg lite, see `load_lite_appearance`; None is returned then.

    Args:
        network: with an appearance body.
        weights: a checkpoint of this method, a file of torchvision's Mask R-CNN, or a name of its
            weights, ``"MaskRCNN_ResNet50_FPN_Weights.COCO_V1"``. Tensors that depend on the number of
            classes stay as they are when it is another one, and are listed in `Loaded.fresh`.

    Raises:
        InputError: no such weights, or of something else.
    """
    body = _body(network, "appearance")
    if isinstance(body, LiteBody) and not _of_method(weights):
        load_lite_appearance(body, str(weights), NAME)
        return None
    return load_pretrained(AppearanceDetector(network), weights)


def load_motion(network: MotionMaskRCNNNet, weights: str | Path) -> Loaded | None:
    """Fill the motion body from a checkpoint of this method with stream motion, or a joint one.

    When lite, MP-Net may come from weights of that method, too: a file or ``"zoo"``, those of the package;
    None is returned then.

    Raises:
        InputError: no such weights, or of something else.
    """
    body = _body(network, "motion")
    if isinstance(body, LiteMotion) and not _of_method(weights):
        load_mpnet(body.network, str(weights), "lite", "unsigned", NAME)
        return None
    return load_pretrained(MotionBody(network), weights)


def _of_method(weights: str | Path) -> bool:
    return is_file(weights) and read_state(Path(weights))[1].get("name") == NAME


def load_static(network: MotionMaskRCNNNet, weights: str | Path) -> str:
    """Fill the static branch, and the appearance body as it was trained with that.

    Args:
        network: a joint one with a static branch.
        weights: as for `load_appearance`.

    Returns:
        The `body_hash` of the appearance body, which has to stay as it is.

    Raises:
        InputError: no such weights, or of something else.
    """
    load_appearance(network, weights)
    return body_hash(network)


def body_hash(network: MotionMaskRCNNNet) -> str:
    """Return the hash of all numbers of the appearance body."""
    digest = hashlib.sha256()
    for value in _body(network, "appearance").state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()


def load_bodies(network: MotionMaskRCNNNet, weights: str | Path) -> list[Loaded]:
    """Fill the ResNet of each body with weights of classification, such as torchvision's for ImageNet.

    Raises:
        InputError: no such weights, or of something else.
    """
    backbone = network.backbone
    bodies = (backbone.appearance, backbone.motion) if isinstance(backbone, TwoStreams) else (backbone,)
    return [load_pretrained(body.body, weights) for body in bodies if isinstance(body, ResNetPyramid)]


def _body(network: MotionMaskRCNNNet, name: str) -> Body:
    if not isinstance(network.backbone, TwoStreams):
        return network.backbone
    return network.backbone.appearance if name == "appearance" else network.backbone.motion


def _single(state: State, stream: str) -> dict[str, Tensor]:
    """Return the tensors of one stream under the names of a detector of its own."""
    named = {_present_name(key.removeprefix(NETWORK)): value for key, value in state.items()}
    if not any(key.startswith("backbone.motion.") for key in named):
        return named
    body = f"backbone.{stream}."
    own = {key.replace(body, "backbone.", 1): value for key, value in named.items() if key.startswith(body)}
    if stream == "motion":
        return own
    heads = {key.removeprefix("static."): value for key, value in named.items() if key.startswith("static.")}
    return own | heads


def _without_gaps(values: Tensor) -> Tensor:
    """Return the rows of background and of the 80 classes, of a row or several for every category id."""
    kept = torch.tensor([number for number in range(COCO_IDS) if number not in _GAPS])
    return values.reshape(COCO_IDS, -1, *values.shape[1:])[kept].flatten(0, 1)


def _present_name(name: str) -> str:
    """Return the name of today's torchvision for one of 2019, which its published files have."""
    for old, new in _OLD_NAMES:
        name = re.sub(old + "$", new, name)
    return _OLD_MASK.sub(lambda old: f"{old[1]}{int(old[2]) - 1}.0.{old[3]}", name)
