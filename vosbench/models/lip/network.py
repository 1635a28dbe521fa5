"""Network of LIP: backbone, memory and heads (Lyu et al., section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.transform import (  # type: ignore[import-untyped]
    GeneralizedRCNNTransform,
    resize_boxes,
)

from vosbench.models.layers.detection import Features, Found, ResNetPyramid, Targets
from vosbench.models.lip.heads import PLAIN, IdLoss, LIPHeads
from vosbench.models.lip.lite import LiteBackbone, placed, prepare_fitted
from vosbench.models.lip.pyramid import RECURRENCE, Memory, PyramidMemory, State
from vosbench.models.lip.training import grown
from vosbench.models.lip.whole_masks import draw_whole
from vosbench.models.lip.widths import LIPWidths

Stage = Literal["coco", "vos", "online"]
STAGES: tuple[Stage, ...] = get_args(Stage)
TRAINED: dict[Stage, tuple[str, ...]] = {
    "coco": ("backbone", "memory", "heads"),
    "vos": ("memory", "heads"),
    "online": ("heads",),
}
"""Stage of training -> parts that it trains."""

SAMPLED: dict[Stage, int] = {"coco": 512, "vos": 128, "online": 128}
"""Stage -> regions of a picture that losses are taken over."""

COCO_IDS = 80
STRIDE = 64
LEVELS = ("0", "1", "2", "3", "pool")

Choose = Callable[[Found], Tensor]
"""From ``boxes``, ``labels`` and ``scores`` to the numbers of those to keep, (M,) int64."""


class FrameResult(NamedTuple):
    """Result of the network for a frame; all boxes in pixels of the frame.

    Attributes:
        found: ``boxes`` (N, 4), ``labels`` (N,) from 1, ``scores`` (N,) and ``masks`` (N, 1, H, W)
            probabilities, in the order chosen.
        state: of the memories after the frame.
        proposals: (P, 4) regions that were looked at, ...
        vectors: ... and (P, hidden) what the last layer of ids saw of them.
    """

    found: Found
    state: State
    proposals: Tensor
    vectors: Tensor


class LIPNet(nn.Module):
    """Objects of a video by their ids, with boxes and masks.

    State is given and returned, never kept: nothing goes from one video to another.

    Args:
        ids: number of ids (classes, on COCO), without background.
        memory: ``"dynamic"`` or ``"zero"``, see `PyramidMemory`.
        bottom_up: see `PyramidMemory`.
        shortcut: see `LIPHeads`; the paper has it from fine-tuning on videos on, lite from the beginning.
        gru_on_p6: whether the coarsest level has a memory, see `PyramidMemory`.
        mask_deconv: see `LIPHeads`.
        widths: sizes.
    """

    def __init__(
        self,
        ids: int = COCO_IDS,
        *,
        memory: Memory = "dynamic",
        bottom_up: bool = True,
        shortcut: bool = True,
        gru_on_p6: bool = True,
        mask_deconv: bool = True,
        widths: LIPWidths | None = None,
    ) -> None:
        super().__init__()
        self.widths = widths = widths or LIPWidths()
        self.shortcut = shortcut
        self.backbone = _backbone(widths)
        self.memory = PyramidMemory(widths, memory, bottom_up=bottom_up, on_p6=gru_on_p6)
        self.heads = LIPHeads(ids, widths, shortcut=shortcut, mask_deconv=mask_deconv)

    def train_stage(self, stage: Stage) -> None:
        """Let gradients reach what `stage` trains and nothing else; set the shortcut and the regions of it.

        Heads of one video are trained in place of these: `LIPHeads.specialise`, after this.
        """
        for name, part in self.named_children():
            part.requires_grad_(name in TRAINED[stage])
        if stage == "coco":
            self.backbone.train_all(trained=True)
        self.heads.use_shortcut(self.shortcut and (stage != "coco" or self.widths.lite))
        self.heads.sample_regions(self.regions(stage))

    def regions(self, stage: Stage) -> int:
        """Return over how many regions of a picture the losses of a stage are taken."""
        return self.widths.regions or SAMPLED[stage]

    def prepare(
        self, pictures: Sequence[Tensor], targets: Targets | None = None, short_side: int | None = None
    ) -> tuple[ImageList, Targets | None]:
        """Return pictures resized and padded to one size, a multiple of 64, with their targets.

        When lite, they are resized to one size, see `prepare_fitted`.

        Args:
            pictures: (3, H, W) normalised each.
            targets: ``boxes``, ``labels`` and ``masks`` of each.
            short_side: their shorter side is resized to it, or to that of `LIPWidths`.
        """
        if self.widths.lite:
            return prepare_fitted(pictures, targets, short_side or self.widths.short_side)
        prepared: tuple[ImageList, Targets | None] = self._transform(short_side)(list(pictures), targets)
        return prepared

    def features(
        self, x: Tensor, state: State | None = None, recurrence: int | None = RECURRENCE
    ) -> tuple[list[Features], State]:
        """Return the features of each frame for the heads, and the state after the last.

        Args:
            x: (B, T, 3, H, W) prepared frames.
            state: of an earlier call, to go on from there; zeros when None.
            recurrence: frames that a gradient passes together, see `PyramidMemory`.

        Returns:
            T times N2 to N6, (B, C, h, w) each.
        """
        maps = self.backbone(x.flatten(0, 1)).values()
        levels, state = self.memory([m.reshape(*x.shape[:2], *m.shape[1:]) for m in maps], state, recurrence)
        frames = zip(*(level.unbind(1) for level in levels), strict=True)
        return [dict(zip(LEVELS, frame, strict=True)) for frame in frames], state

    def losses(
        self,
        clips: Sequence[Tensor],
        targets: Sequence[Targets],
        *,
        short_side: int | None = None,
        id_loss: IdLoss = PLAIN,
        recurrence: int | None = RECURRENCE,
        heads: LIPHeads | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of each frame by name; the state before the first is zero.

        Args:
            clips: (T, 3, H, W) normalised frames each, sizes may differ; a tensor (B, T, 3, H, W) will do.
            targets: of each clip T times ``boxes``, ``labels`` and ``masks``. Frames with ``labelled``
                False are remembered, but nothing is learnt of them.
            short_side: frames are resized to it.
            id_loss: loss of ids.
            recurrence: as for `features`.
            heads: in place of those of the network.

        Returns:
            Name -> (T',), one value for each of the T' time steps of which something is known, over all
            clips. No name at all when T' is 0.
        """
        pictures = [frame for clip in clips for frame in clip]
        flat = [target for clip in targets for target in clip]
        images, resized = self.prepare(pictures, flat, short_side)
        assert resized is not None
        batch, length = len(clips), len(clips[0])
        frames, _ = self.features(
            images.tensors.reshape(batch, length, *images.tensors.shape[1:]), None, recurrence
        )
        steps = []
        for t, levels in enumerate(frames):
            known = [b for b in range(batch) if resized[b * length + t].get("labelled", True)]
            if not known:
                continue
            numbers = [b * length + t for b in known]
            own = ImageList(images.tensors[numbers], [images.image_sizes[number] for number in numbers])
            seen = {name: level[known] for name, level in levels.items()}
            steps.append(
                (heads or self.heads).learn(own, seen, [resized[number] for number in numbers], id_loss)
            )
        return {name: torch.stack([step[name] for step in steps]) for name in (steps[0] if steps else ())}

    def forward(
        self,
        picture: Tensor,
        state: State | None = None,
        *,
        choose: Choose | None = None,
        known: Tensor | None = None,
        margin: float = 0.0,
        growths: int = 0,
        short_side: int | None = None,
        heads: LIPHeads | None = None,
    ) -> FrameResult:
        """Look at the next frame of a video; call it in a test.

        Args:
            picture: (3, H, W) normalised frame.
            state: of the frame before, None for the first.
            choose: which detections are worth a mask; all by default.
            known: (M, 4) boxes in pixels of the frame that are looked at beside the proposals.
            margin: share of width and height that boxes gain before their masks are drawn.
            growths: how often boxes may grow where they cut their masks off, see `draw_whole`.
            short_side: the frame is resized to it.
            heads: in place of those of the network.
        """
        heads = heads or self.heads
        images, _ = self.prepare([picture], None, short_side)
        (levels,), state = self.features(images.tensors[None], state)
        size, inside = list(picture.shape[-2:]), list(images.image_sizes[0])
        (regions,) = heads.find(
            images, levels, None if known is None else [resize_boxes(known, size, inside)]
        )
        found = regions.found
        if choose is not None:
            kept = choose(found | {"boxes": resize_boxes(found["boxes"], inside, size)})
            found = {name: values[kept] for name, values in found.items()}
        if margin:
            found = found | {"boxes": grown(found["boxes"], margin, images.image_sizes[0])}
        drawn = draw_whole(
            lambda found: heads.draw(images, levels, [found])[0], found, images.image_sizes[0], growths
        )
        shown = self._placed(drawn, images, picture, short_side)
        return FrameResult(shown, state, resize_boxes(regions.proposals, inside, size), regions.vectors)

    def _placed(self, drawn: Found, images: ImageList, picture: Tensor, short_side: int | None) -> Found:
        """Return the detections of one frame in pixels of it."""
        size = (picture.shape[-2], picture.shape[-1])
        if self.widths.lite:
            return placed(drawn, images.image_sizes[0], size)
        (found,) = self._transform(short_side).postprocess([drawn], images.image_sizes, [size])
        result: Found = found
        return result

    def _transform(self, short_side: int | None) -> GeneralizedRCNNTransform:
        short, long = short_side or self.widths.short_side, self.widths.long_side
        return GeneralizedRCNNTransform(short, long, [0.0], [1.0], STRIDE).eval()


def _backbone(widths: LIPWidths) -> ResNetPyramid | LiteBackbone:
    if widths.lite:
        return LiteBackbone()
    return ResNetPyramid(
        widths.blocks,
        widths.width,
        widths.channels,
        widths.norm,
        pyramid_norm=widths.norm,
        frozen_stages=widths.frozen_stages,
    )
