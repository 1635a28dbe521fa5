"""Two ResNet-FPN bodies, their merge, and Mask R-CNN's heads on it (Dave et al., section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.transform import GeneralizedRCNNTransform  # type: ignore[import-untyped]
from torchvision.ops import FrozenBatchNorm2d  # type: ignore[import-untyped]

from vosbench.models.layers.detection import Features, Found, ResNetPyramid, Targets
from vosbench.models.layers.lite_pyramid import WIDTH
from vosbench.models.layers.resnet import RESNET50, Blocks, Norm, group_norm
from vosbench.models.motion_maskrcnn.heads import OBJECT_CLASSES, DetectionHeads, HeadWidths
from vosbench.models.motion_maskrcnn.lite import LiteBody, LiteMotion, LiteTransform

Stream = Literal["appearance", "motion", "joint"]
Route = Literal["main", "appearance", "motion"]
Merge = Literal["3convs", "concat_conv", "average", "concat"]
MergeInit = Literal["random", "appearance", "motion"]
MaskInput = Literal["merged", "rgb"]
Part = Literal["appearance", "motion", "mask"]
StrideIn = Literal["1x1", "3x3"]

STREAMS: tuple[Stream, ...] = get_args(Stream)
MERGES: tuple[Merge, ...] = get_args(Merge)
MERGE_INITS: tuple[MergeInit, ...] = get_args(MergeInit)
MASK_INPUTS: tuple[MaskInput, ...] = get_args(MaskInput)
PARTS: tuple[Part, ...] = get_args(Part)

COCO_CLASSES = 81


@dataclass(frozen=True)
class MotionMaskRCNNWidths:
    """Size of the network, by default the published one.

    Attributes:
        width: channels of the first convolution of a ResNet.
        blocks: residual blocks of its four stages.
        pyramid: channels of the feature pyramid.
        norm: ``"frozen"``, batch normalisation that nothing changes, or ``"group"``, which learns from
            random weights.
        frozen_stages: the stem and so many stages less one keep their weights; 0: all are trained.
        heads: sizes of the heads.
        lite: EfficientNet-Lite0 and MP-Net in place of ResNets; `width`, `blocks`, `norm`, `frozen_stages`,
            `short_side` and `long_side` mean nothing then.
        short_side: pictures are resized to it, pixels, ...
        long_side: ... unless the longer side would be more than this.
    """

    width: int = 64
    blocks: Blocks = RESNET50
    pyramid: int = 256
    norm: Literal["frozen", "group"] = "frozen"
    frozen_stages: int = 2
    heads: HeadWidths = field(default_factory=HeadWidths)
    short_side: int = 800
    long_side: int = 1333
    lite: bool = False


TINY = MotionMaskRCNNWidths(
    width=16,
    blocks=(1, 1, 1, 1),
    pyramid=32,
    norm="group",
    frozen_stages=0,
    heads=HeadWidths(
        box=128,
        mask=32,
        anchors=(8, 16, 32, 64, 128),
        canonical=56,
        proposals=(200, 100, 200, 50),
        sampled=(128, 64),
    ),
    short_side=128,
    long_side=256,
)
"""[ours] The same topology for a CPU and small pictures; group norm, as no weights exist to start from."""

LITE = MotionMaskRCNNWidths(
    pyramid=WIDTH,
    heads=HeadWidths(
        box=96,
        mask=64,
        mask_layers=2,
        mask_pool=28,
        mask_levels=("0",),
        anchors=(16, 32, 64, 128, 224),
        canonical=96,
        proposals=(300, 150, 200, 60),
        sampled=(128, 48),
        detections=15,
        strides=(4, 8, 16, 32, 64),
    ),
    lite=True,
)
"""[ours] For a CPU and real video; masks of 56 x 56 from the finest level."""

Body = ResNetPyramid | LiteBody | LiteMotion
BODIES = (ResNetPyramid, LiteBody, LiteMotion)


def _pyramid(widths: MotionMaskRCNNWidths, stride_in: StrideIn, norm_eps: float, *, motion: bool) -> Body:
    if widths.lite:
        return LiteMotion() if motion else LiteBody()
    norm: Norm = group_norm if widths.norm == "group" else partial(FrozenBatchNorm2d, eps=norm_eps)
    return ResNetPyramid(
        widths.blocks,
        widths.width,
        widths.pyramid,
        norm,
        stride_in=stride_in,
        frozen_stages=widths.frozen_stages,
    )


class TwoStreams(nn.Module):
    """Both bodies, and the merge of their features, one for all levels.

    Args:
        widths: sizes.
        stride_in: ``"1x1"`` for weights from Caffe, ``"3x3"`` for torchvision's.
        norm_eps: of frozen batch normalisation; 0 where it is folded into weight and bias.
        merge: ``"3convs"``, ``"concat_conv"``, ``"average"`` or ``"concat"``.
        merge_init: whether ``"concat_conv"`` starts as a copy of one stream.
    """

    def __init__(
        self,
        widths: MotionMaskRCNNWidths,
        stride_in: StrideIn,
        norm_eps: float,
        merge: Merge,
        merge_init: MergeInit,
    ) -> None:
        super().__init__()
        self.appearance = _pyramid(widths, stride_in, norm_eps, motion=False)
        self.motion = _pyramid(widths, stride_in, norm_eps, motion=True)
        self.merge = _merge(merge, widths.pyramid)
        self.average = merge == "average"
        self.channels = 2 * widths.pyramid if merge == "concat" else widths.pyramid
        if merge_init != "random":
            select_stream(cast(nn.Conv2d, self.merge), ("appearance", "motion").index(merge_init))

    def forward(self, x: Tensor) -> tuple[Features, Features]:
        """Return the merged levels and those of the appearance body of (N, C, H, W), frames above flow."""
        # contiguous as a body alone would see it, so that its features are the same to the last bit
        appearance = self.appearance(x[:, :3].contiguous())
        return self.merged(appearance, self.motion(x[:, 3:].contiguous())), appearance

    def merged(self, appearance: Features, motion: Features) -> Features:
        """Return the merged levels of the levels of both bodies."""
        if self.average:
            return {level: (appearance[level] + motion[level]) / 2 for level in appearance}
        return {
            level: self.merge(torch.cat([appearance[level], motion[level]], dim=1)) for level in appearance
        }


class MotionMaskRCNNNet(DetectionHeads):
    """Mask R-CNN on what is seen, on how it moves, or on both.

    Proposals and boxes come from the features of the one body or from the merged ones, masks from the
    same or from those of the appearance body. The static branch is a second set of heads, on the features
    of the appearance body alone: those of the detector of any object that this body was trained in.

    Args:
        stream: ``"appearance"``, ``"motion"`` or ``"joint"``.
        classes: of the heads, with background.
        static_classes: of the static branch of ``"joint"``, None for no such branch.
        merge: see `TwoStreams`.
        merge_init: see `TwoStreams`.
        mask_input: ``"merged"``, or ``"rgb"`` for the appearance body's features.
        widths: sizes.
        stride_in: see `TwoStreams`.
        norm_eps: see `TwoStreams`.
    """

    def __init__(
        self,
        stream: Stream = "joint",
        classes: int = OBJECT_CLASSES,
        static_classes: int | None = None,
        merge: Merge = "3convs",
        merge_init: MergeInit = "random",
        mask_input: MaskInput = "rgb",
        widths: MotionMaskRCNNWidths | None = None,
        stride_in: StrideIn = "1x1",
        norm_eps: float = 0.0,
    ) -> None:
        if merge_init != "random" and merge != "concat_conv":
            raise ValueError(f"merge {merge!r} cannot start as a copy of a stream")
        widths = widths or MotionMaskRCNNWidths()
        joint = stream == "joint"
        channels = widths.pyramid * (2 if joint and merge == "concat" else 1)
        merged_masks = joint and mask_input == "merged"
        super().__init__(channels, channels if merged_masks else widths.pyramid, classes, widths.heads)
        self.stream = stream
        self._merged_masks = merged_masks
        self.backbone: Body | TwoStreams = (
            TwoStreams(widths, stride_in, norm_eps, merge, merge_init)
            if joint
            else _pyramid(widths, stride_in, norm_eps, motion=stream == "motion")
        )
        self.static = (
            DetectionHeads(widths.pyramid, widths.pyramid, static_classes, widths.heads)
            if joint and static_classes is not None
            else None
        )
        self.transform = (
            LiteTransform()
            if widths.lite
            else GeneralizedRCNNTransform(widths.short_side, widths.long_side, [0.0], [1.0])
        )
        self.train_route("main")

    def train_route(self, route: Route, freeze: Iterable[Part] = ()) -> None:
        """Let gradients reach what a stage trains and nothing else.

        Args:
            route: ``"main"``, the detector itself; of a joint one also ``"appearance"``, its appearance
                body with the static branch, and ``"motion"``, its motion body with the heads.
            freeze: of ``"main"`` of a joint detector: bodies and mask head that keep their weights.
        """
        self.route = route
        frozen = set(freeze)
        self.requires_grad_(requires_grad=False)
        heads = self.heads(route)
        heads.rpn.requires_grad_(requires_grad=True)
        heads.roi_heads.requires_grad_(requires_grad=True)
        if isinstance(self.backbone, BODIES):
            self.backbone.train_all(trained=True)
            return
        bodies = {"appearance": self.backbone.appearance, "motion": self.backbone.motion}
        for name, body in bodies.items():
            body.train_all(name not in frozen if route == "main" else name == route)
        self.backbone.merge.requires_grad_(route == "main")
        if route == "main" and "mask" in frozen:
            self.roi_heads.mask_head.requires_grad_(requires_grad=False)
            self.roi_heads.mask_predictor.requires_grad_(requires_grad=False)

    def heads(self, route: Route) -> DetectionHeads:
        """Return the heads of a route."""
        if route != "appearance" or self.stream == "appearance":
            return self
        if self.static is None:
            raise ValueError("this network has no static branch")
        return self.static

    def prepare(
        self, pictures: Sequence[Tensor], targets: Targets | None = None
    ) -> tuple[ImageList, Targets | None]:
        """Return the pictures resized and padded to one size, with their targets.

        Args:
            pictures: (C, H, W) each: normalised frame, code of flow, or frame above code, 6 channels, 5 when
                lite.
            targets: ``boxes``, ``labels`` and ``masks`` of each.
        """
        images, resized = self.transform([picture[:3] for picture in pictures], targets)
        if pictures[0].shape[0] > 3:
            # apart from the frames, whose pixels then are the same to the last bit as without flow
            codes, _ = self.transform([picture[3:] for picture in pictures])
            images.tensors = torch.cat([images.tensors, codes.tensors], dim=1)
        return images, resized

    def features(self, x: Tensor, route: Route) -> tuple[Features, Features]:
        """Return the features of a route for boxes, and those for masks.

        Args:
            x: (N, C, H, W) prepared pictures: frame above code of a joint detector on its main route, else
                one of them.
            route: which.
        """
        if isinstance(self.backbone, BODIES):
            own = self.backbone(x)
            return own, own
        if route != "main":
            body = self.backbone.appearance if route == "appearance" else self.backbone.motion
            own = body(x)
            return own, own
        merged, seen = self.backbone(x)
        return merged, merged if self._merged_masks else seen

    def losses(self, pictures: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        """Return the losses of the route that is trained, by name."""
        images, resized = self.prepare(pictures, targets)
        assert resized is not None
        return self.heads(self.route).learn(images, *self.features(images.tensors, self.route), resized)

    def forward(
        self, pictures: Sequence[Tensor], route: Route = "main", least_score: float = 0.0
    ) -> list[Found]:
        """Return the detections of each picture, at its own size; call it in a test.

        Args:
            pictures: as `prepare` takes them.
            route: which heads look at which features.
            least_score: see `DetectionHeads.find`.

        Returns:
            ``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) descending, ``masks`` (N, 1, H, W)
            probabilities, in pixels of the pictures.
        """
        images, _ = self.prepare(pictures)
        found = self.heads(route).find(images, *self.features(images.tensors, route), least_score)
        return self._placed(found, images, pictures)

    def both(self, pictures: Sequence[Tensor], least_score: float = 0.0) -> tuple[list[Found], list[Found]]:
        """Return the detections of a joint detector and those of its static branch; the bodies run once."""
        if self.static is None or not isinstance(self.backbone, TwoStreams):
            raise ValueError("this network has no static branch")
        images, _ = self.prepare(pictures)
        merged, seen = self.backbone(images.tensors)
        moving = self.find(images, merged, merged if self._merged_masks else seen, least_score)
        static = self.static.find(images, seen, seen, least_score)
        return self._placed(moving, images, pictures), self._placed(static, images, pictures)

    def start_from_static(self) -> None:
        """Copy the static branch into the heads, but for tensors of another shape."""
        if self.static is None:
            raise ValueError("this network has no static branch")
        for own, other in ((self.rpn, self.static.rpn), (self.roi_heads, self.static.roi_heads)):
            shapes = {name: value.shape for name, value in own.state_dict().items()}
            state = other.state_dict()
            own.load_state_dict({k: v for k, v in state.items() if v.shape == shapes[k]}, strict=False)

    def _placed(self, found: list[Found], images: ImageList, pictures: Sequence[Tensor]) -> list[Found]:
        sizes = [tuple(picture.shape[-2:]) for picture in pictures]
        placed: list[Found] = self.transform.postprocess(found, images.image_sizes, sizes)
        return placed


def select_stream(merge: nn.Conv2d, stream: int) -> None:
    """Make a merging convolution return the features of one stream unchanged."""
    with torch.no_grad():
        nn.init.zeros_(merge.weight)
        assert merge.bias is not None
        nn.init.zeros_(merge.bias)
        channels = torch.arange(merge.out_channels)
        merge.weight[channels, stream * merge.out_channels + channels, 1, 1] = 1


def _merge(name: Merge, channels: int) -> nn.Module:
    if name in ("average", "concat"):
        return nn.Identity()
    convolutions = [
        nn.Conv2d(inputs, channels, kernel_size=3, padding=1)
        for inputs in ((2 * channels, channels, channels) if name == "3convs" else (2 * channels,))
    ]
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
    if name == "concat_conv":
        return convolutions[0]
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [convolution, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
