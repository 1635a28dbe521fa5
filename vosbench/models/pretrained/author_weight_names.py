"""Names of the tensors of the authors' released weights, there and here.

Read off the released network definitions: FusionSeg's Caffe deploy files, the fork of Detectron.pytorch
that Motion Mask R-CNN uses, STCNN's ``network/``. Residual networks have torchvision's names here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

RESNET50 = (3, 4, 6, 3)
RESNET101 = (3, 4, 23, 3)

NETWORK = "network."
"""Where a method's LightningModule has its network."""

_WEIGHT = ("weight",)
_AFFINE = ("weight", "bias")
_STATISTICS = ("running_mean", "running_var")
_COUNTER = "num_batches_tracked"
_NORM = (*_AFFINE, *_STATISTICS, _COUNTER)


class Constant(NamedTuple):
    """The value of a tensor that files leave out; `like` is the tensor whose shape it has, None a counter."""

    value: float
    like: str | None


@dataclass(frozen=True)
class Layout:
    """One kind of file of a method.

    Args:
        kind: e.g. ``"appearance"``.
        part: what the names here of all its tensors start with.
        names: name in the file -> name here, one to one.
        constants: name here -> the value it has unless the file says another one.
        factors: name in the file of a number -> names here of the statistics that are divided by it.
        spare: pattern for names in the file that have no place in a network, and need none.
    """

    kind: str
    part: str
    names: Mapping[str, str]
    constants: Mapping[str, Constant] = field(default_factory=dict)
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spare: str = r"(?!)"

    def is_spare(self, name: str) -> bool:
        """Return whether a name in the file is one of those that need no place."""
        return re.fullmatch(self.spare, name) is not None


class _Unit(NamedTuple):
    """A convolution of a ResNet and its norm, by their names in torchvision, which `prefix` completes."""

    conv: str
    norm: str
    stage: int
    block: int
    branch: str

    @property
    def prefix(self) -> str:
        return f"layer{self.stage - 1}.{self.block}." if self.branch else ""


def _resnet(blocks: Sequence[int]) -> Iterator[_Unit]:
    yield _Unit("conv1", "bn1", 1, 0, "")
    for stage, count in enumerate(blocks, start=2):
        for block in range(count):
            if block == 0:
                yield _Unit("downsample.0", "downsample.1", stage, block, "1")
            for index, letter in enumerate("abc", start=1):
                yield _Unit(f"conv{index}", f"bn{index}", stage, block, f"2{letter}")


def _renamed(theirs: str, ours: str, tensors: Sequence[str]) -> dict[str, str]:
    return {f"{theirs}.{tensor}": f"{ours}.{tensor}" for tensor in tensors}


@cache
def layouts(method: str) -> tuple[Layout, ...]:
    """Return the kinds of files that `method` was released in; ``KeyError`` when there are none."""
    return _METHODS[method]()


def _fusionseg() -> tuple[Layout, ...]:
    fusion = {"conv1": "both", "conva": "appearance", "convm": "motion", "conv2": "output"}
    names = {
        f"{theirs}/{index}": f"{NETWORK}fusion.{ours}.{tensor}"
        for theirs, ours in fusion.items()
        for index, tensor in enumerate(_AFFINE)
    }
    return (
        _caffe_stream("appearance", "", "fc1_binary_seg_c{}"),
        _caffe_stream("motion", "_motion", "fc1_binary_seg_flow_c{}_motion"),
        Layout("fusion", f"{NETWORK}fusion.", names),
    )


def _caffe_stream(kind: str, suffix: str, head: str) -> Layout:
    """DeepLab-v2's ResNet-101: Caffe normalises in one layer, and scales and shifts in the next."""
    part = f"{NETWORK}{kind}."
    names: dict[str, str] = {}
    constants: dict[str, Constant] = {}
    factors: dict[str, tuple[str, ...]] = {}
    for unit in _resnet(RESNET101):
        conv, tag = _caffe_name(unit)
        body = f"{part}body.{unit.prefix}"
        norm = body + unit.norm
        names[f"{conv}{suffix}/0"] = f"{body}{unit.conv}.weight"
        for layer, tensors in (("bn", _STATISTICS), ("scale", _AFFINE)):
            for index, tensor in enumerate(tensors):
                names[f"{layer}{tag}{suffix}/{index}"] = f"{norm}.{tensor}"
        factors[f"bn{tag}{suffix}/2"] = tuple(f"{norm}.{tensor}" for tensor in _STATISTICS)
        constants[f"{norm}.{_COUNTER}"] = Constant(0, None)
    for branch in range(4):
        for index, tensor in enumerate(_AFFINE):
            names[f"{head.format(branch)}/{index}"] = f"{part}head.{branch}.{tensor}"
    return Layout(kind, part, names, constants, factors)


def _caffe_name(unit: _Unit) -> tuple[str, str]:
    """Return the name of a convolution, and how those of its norm go on: blocks are a, b, c or a, b1, b2."""
    if not unit.branch:
        return unit.conv, f"_{unit.conv}"
    long = RESNET101[unit.stage - 2] > 3
    block = "a" if unit.block == 0 else f"b{unit.block}" if long else "abc"[unit.block]
    tag = f"{unit.stage}{block}_branch{unit.branch}"
    return f"res{tag}", tag


_DETECTRON_HEADS = {
    "RPN.FPN_RPN_conv": "rpn.head.conv.0.0",
    "RPN.FPN_RPN_cls_score": "rpn.head.cls_logits",
    "RPN.FPN_RPN_bbox_pred": "rpn.head.bbox_pred",
    "Box_Head.fc1": "roi_heads.box_head.fc6",
    "Box_Head.fc2": "roi_heads.box_head.fc7",
    "Box_Outs.cls_score": "roi_heads.box_predictor.cls_score",
    "Box_Outs.bbox_pred": "roi_heads.box_predictor.bbox_pred",
    "Mask_Head.conv_fcn.0": "roi_heads.mask_head.0.0",
    "Mask_Head.conv_fcn.2": "roi_heads.mask_head.1.0",
    "Mask_Head.conv_fcn.4": "roi_heads.mask_head.2.0",
    "Mask_Head.conv_fcn.6": "roi_heads.mask_head.3.0",
    "Mask_Head.upconv": "roi_heads.mask_predictor.conv5_mask",
    "Mask_Outs.classify": "roi_heads.mask_predictor.mask_fcn_logits",
}

_DETECTRON_PYRAMID = {
    # from the coarsest level to the finest, where torchvision counts from the finest
    "conv_top": "inner_blocks.3.0",
    **{f"topdown_lateral_modules.{index}.conv_lateral": f"inner_blocks.{2 - index}.0" for index in range(3)},
    **{f"posthoc_modules.{index}": f"layer_blocks.{3 - index}.0" for index in range(4)},
}

_CAFFE2 = {
    "conv_rpn_fpn2": "rpn.head.conv.0.0",
    "rpn_cls_logits_fpn2": "rpn.head.cls_logits",
    "rpn_bbox_pred_fpn2": "rpn.head.bbox_pred",
    "fc6": "roi_heads.box_head.fc6",
    "fc7": "roi_heads.box_head.fc7",
    "cls_score": "roi_heads.box_predictor.cls_score",
    "bbox_pred": "roi_heads.box_predictor.bbox_pred",
    **{f"_[mask]_fcn{index + 1}": f"roi_heads.mask_head.{index}.0" for index in range(4)},
    "conv5_mask": "roi_heads.mask_predictor.conv5_mask",
    "mask_fcn_logits": "roi_heads.mask_predictor.mask_fcn_logits",
    "fpn_inner_res5_2_sum": "backbone.fpn.inner_blocks.3.0",
    "fpn_inner_res4_5_sum_lateral": "backbone.fpn.inner_blocks.2.0",
    "fpn_inner_res3_3_sum_lateral": "backbone.fpn.inner_blocks.1.0",
    "fpn_inner_res2_2_sum_lateral": "backbone.fpn.inner_blocks.0.0",
    "fpn_res5_2_sum": "backbone.fpn.layer_blocks.3.0",
    "fpn_res4_5_sum": "backbone.fpn.layer_blocks.2.0",
    "fpn_res3_3_sum": "backbone.fpn.layer_blocks.1.0",
    "fpn_res2_2_sum": "backbone.fpn.layer_blocks.0.0",
}
"""Names of Caffe2's Detectron -> names here, for what is not a ResNet."""

_CAFFE2_SPARE = r".*_momentum|lr|conv1_b|res\d_\d+_branch(1|2[abc])_b|(fc1000|pred)_[wb]"
"""The state of the optimiser, biases that a norm follows, and classes of ImageNet."""


def _motion_maskrcnn() -> tuple[Layout, ...]:
    heads: dict[str, str] = {}
    for theirs, ours in _DETECTRON_HEADS.items():
        heads |= _renamed(theirs, NETWORK + ours, _AFFINE)
    backbone = f"{NETWORK}backbone."
    single = _detectron_body("Conv_Body.", backbone)
    bodies = _detectron_body("Conv_Body.bodies.0.", f"{backbone}appearance.")
    bodies |= _detectron_body("Conv_Body.bodies.1.", f"{backbone}motion.")
    merge: dict[str, str] = {}
    for index in (0, 2, 4):
        merge |= _renamed(f"Conv_Body.adaptor.{index}", f"{backbone}merge.{index}", _AFFINE)
    return (
        Layout("single stream", NETWORK, single | heads, _folded(single)),
        Layout("joint", NETWORK, bodies | merge | heads, _folded(bodies)),
        Layout("single stream of Caffe2", NETWORK, _caffe2(), _folded(single), spare=_CAFFE2_SPARE),
    )


def _detectron_body(theirs: str, ours: str) -> dict[str, str]:
    """ResNet-50, whose norms have weight and bias only, and its pyramid."""
    names: dict[str, str] = {}
    for module, own in _DETECTRON_PYRAMID.items():
        names |= _renamed(theirs + module, f"{ours}fpn.{own}", _AFFINE)
    for unit in _resnet(RESNET50):
        block = f"res{unit.stage}.{unit.block}." if unit.branch else "res1."
        for module, tensors in ((unit.conv, _WEIGHT), (unit.norm, _AFFINE)):
            own = f"{ours}body.{unit.prefix}{module}"
            names |= _renamed(f"{theirs}conv_body.{block}{module}", own, tensors)
    return names


def _caffe2() -> dict[str, str]:
    names: dict[str, str] = {}
    for theirs, ours in _CAFFE2.items():
        for letter, tensor in zip("wb", _AFFINE, strict=True):
            names[f"{theirs}_{letter}"] = f"{NETWORK}{ours}.{tensor}"
    for unit in _resnet(RESNET50):
        at = f"res{unit.stage}_{unit.block}_branch{unit.branch}" if unit.branch else "conv1"
        body = f"{NETWORK}backbone.body.{unit.prefix}"
        names[f"{at}_w"] = f"{body}{unit.conv}.weight"
        for letter, tensor in zip("sb", _AFFINE, strict=True):
            names[f"{at if unit.branch else 'res_conv1'}_bn_{letter}"] = f"{body}{unit.norm}.{tensor}"
    return names


def _folded(body: Mapping[str, str]) -> dict[str, Constant]:
    """Return the statistics of norms that have been folded into weight and bias: mean 0, variance 1."""
    constants: dict[str, Constant] = {}
    for name in body.values():
        norm, _, tensor = name.rpartition(".")
        if tensor == "bias" and ".body." in norm:
            constants[f"{norm}.running_mean"] = Constant(0, name)
            constants[f"{norm}.running_var"] = Constant(1, name)
    return constants


_GENERATOR = {
    **{f"convC_{index + 1}": (f"reduce.{index}", _AFFINE) for index in range(3)},
    **{f"de_layer{index + 1}.0": (f"stages.{index}.conv", _AFFINE) for index in range(3)},
    **{f"de_layer{index + 1}.1": (f"stages.{index}.norm", _NORM) for index in range(3)},
    **{f"de_layer{index + 1}.2": (f"stages.{index}.deconv", _WEIGHT) for index in range(3)},
    "de_layer3.3": ("predict", _AFFINE),
}
"""Module of the decoder of the temporal branch -> module here and its tensors; from coarse to fine."""


def _conv_norm(theirs: str, ours: str) -> dict[str, tuple[str, Sequence[str]]]:
    return {f"{theirs}.0": (f"{ours}.0", _WEIGHT), f"{theirs}.1": (f"{ours}.1", _NORM)}


def _segmentation(joins: str) -> dict[str, tuple[str, Sequence[str]]]:
    """The same for the spatial branch; levels from fine (res2) to coarse, poolings from coarse to fine."""
    modules = _conv_norm("ppm_last_conv", "pyramid_last") | _conv_norm("conv_last.0", "fuse.0")
    modules["conv_last.1"] = ("fuse.1", _AFFINE)
    for index in range(4):
        modules |= _conv_norm(f"ppm_conv.{index}", f"pyramid.{index}")
        modules |= _conv_norm(f"score_out.{index}.0", f"scores.{index}.0")
        modules[f"score_out.{index}.1"] = (f"scores.{index}.1", _AFFINE)
    for index in range(3):
        modules |= _conv_norm(f"fpn_in.{index}", f"laterals.{index}")
        modules |= _conv_norm(f"{joins}.{index}.0", f"joins.{index}")
        modules[f"upscale.{index}"] = (f"enlarge.{index}", _WEIGHT)
        for step in (1, 2):
            block = f"att_out.{index}.rgConv_list.0."
            modules[f"{block}bn{step}"] = (f"attentions.{index}.bn{step}", _NORM)
            modules[f"{block}conv{step}"] = (f"attentions.{index}.conv{step}", _AFFINE)
    return modules


def _stcnn() -> tuple[Layout, ...]:
    generator, segmentation = f"{NETWORK}generator.", f"{NETWORK}segmentation."
    temporal = _branch("pred_encoder.", "pred_decoder.", generator, _GENERATOR)
    spatial = _branch("seg_encoder.", "seg_decoder.", segmentation, _segmentation("joint_fpn_out"))
    alone = _branch("encoder.", "decoder.", segmentation, _segmentation("fpn_out"))
    return (
        Layout("joint", NETWORK, temporal | spatial, _counters(temporal | spatial)),
        Layout("temporal branch", generator, temporal, _counters(temporal)),
        Layout("spatial branch", segmentation, alone, _counters(alone)),
    )


def _branch(
    encoder: str, decoder: str, ours: str, modules: Mapping[str, tuple[str, Sequence[str]]]
) -> dict[str, str]:
    names: dict[str, str] = {}
    for unit in _resnet(RESNET101):
        for module, tensors in ((unit.conv, _WEIGHT), (unit.norm, _NORM)):
            names |= _renamed(
                f"{encoder}{unit.prefix}{module}", f"{ours}encoder.{unit.prefix}{module}", tensors
            )
    for theirs, (own, held) in modules.items():
        names |= _renamed(decoder + theirs, f"{ours}decoder.{own}", held)
    return names


def _counters(names: Mapping[str, str]) -> dict[str, Constant]:
    """Return the counters of norms, which files from before PyTorch 0.4.1 lack."""
    return {name: Constant(0, None) for name in names.values() if name.endswith(_COUNTER)}


_METHODS: Mapping[str, Callable[[], tuple[Layout, ...]]] = {
    "fusionseg": _fusionseg,
    "motion_maskrcnn": _motion_maskrcnn,
    "stcnn": _stcnn,
}
RELEASED = tuple(_METHODS)
"""Methods whose authors released weights."""
