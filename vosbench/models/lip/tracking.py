"""Tracking of objects with LIP (Lyu et al., section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes  # type: ignore[import-untyped]

from vosbench.models.layers.detection import Found, pixels
from vosbench.models.layers.preprocessing import Scaling, frame_tensor, normalise
from vosbench.models.lip.adaptation import IdTuning, id_labels, tune_ids
from vosbench.models.lip.heads import LIPHeads
from vosbench.models.lip.network import FrameResult, LIPNet
from vosbench.models.lip.online import FirstFrame, LIPOnlineSettings, learn_video
from vosbench.models.lip.pyramid import State
from vosbench.models.lip.rules import DetectionRules, best_of_each, id_map, select
from vosbench.models.lip.training import EXPANSION, grown
from vosbench.models.postprocessing.object_tracker import ObjectTracker, object_ids
from vosbench.video import VOID, Frame, IdMap, Video

IGNORED = -1
"""Label of regions that the tuning leaves out."""


@dataclass(frozen=True)
class LIPTrackingSettings:
    """Settings of the tracking of objects.

    Attributes:
        online: training on the first frame.
        tuning: of the last layer of ids between frames; None: it stays as it is.
        rules: selection of detections.
        side: shorter side that frames are resized to.
        convention: of pixels.
        margin: [ours] share of width and height that boxes gain before their masks are drawn; the last box of
            an id is then that of its mask.
        growths: [ours] how often a box may grow where it cuts its mask off; the last box of an id is then
            that of its mask, too.
    """

    online: LIPOnlineSettings = field(default_factory=LIPOnlineSettings)
    tuning: IdTuning | None = field(default_factory=IdTuning)
    rules: DetectionRules = field(default_factory=DetectionRules)
    side: int = 640
    convention: Scaling = "detectron"
    margin: float = 0.0
    growths: int = 0


class LIPTracker(ObjectTracker):
    """Tracker of the objects of a first mask, with heads that learn the objects of each video.

    Args:
        network: switched to test mode when an iteration begins.
        settings: of the tracking.
    """

    def __init__(self, network: LIPNet, settings: LIPTrackingSettings) -> None:
        super().__init__(network)
        self._network = network
        self._settings = settings

    def _later_masks(self, video: Video, first_mask: IdMap) -> Iterator[IdMap]:
        numbers = np.append(np.uint8(0), object_ids(first_mask))
        first, heads = self._learnt(video.frames[0], first_mask, numbers)
        previous, state = _as_detected(first), self._remembered(video.frames[0])
        for index in range(1, len(video)):
            result = self._look(video.frames[index], state, previous, heads)
            state, best = result.state, _best(result.found)
            if self._settings.margin or self._settings.growths:
                best["boxes"] = boxes_of_masks(best)
            if self._settings.tuning is not None:
                tune(heads, result, best, self._settings.tuning)
            previous = _carried(best, previous) if self._settings.rules.follow else best
            yield numbers[id_map(result.found).cpu().numpy()]

    def _learnt(self, frame: Frame, first_mask: IdMap, numbers: IdMap) -> tuple[FirstFrame, LIPHeads]:
        """Return the first frame, and heads for its objects, labelled 1, 2, ... by ascending ids."""
        labels = np.searchsorted(numbers, first_mask).astype(np.uint8)
        labels[first_mask == VOID] = VOID
        settings = self._settings
        # tensors made in inference mode could not be learnt from
        with torch.inference_mode(mode=False):
            first = FirstFrame(self._network, self._picture(frame), torch.from_numpy(labels))
            heads = learn_video(self._network, first, settings.online, settings.side)
        heads.roi_heads.box_predictor.cls_score.requires_grad_(requires_grad=True)
        return first, heads

    @torch.inference_mode()
    def _remembered(self, frame: Frame) -> State:
        images, _ = self._network.prepare([self._picture(frame)], None, self._settings.side)
        _, state = self._network.features(images.tensors[None])
        return state

    @torch.inference_mode()
    def _look(self, frame: Frame, state: State, previous: Found, heads: LIPHeads) -> FrameResult:
        choose = partial(select, previous=previous, rules=self._settings.rules)
        result: FrameResult = self._network(
            self._picture(frame),
            state,
            choose=choose,
            known=previous["boxes"] if self._settings.rules.follow else None,
            margin=self._settings.margin,
            growths=self._settings.growths,
            short_side=self._settings.side,
            heads=heads,
        )
        return result

    def _picture(self, frame: Frame) -> Tensor:
        """(H, W, 3) uint8 -> (3, H, W) normalised."""
        pixels = frame_tensor(frame, self._device)[0]
        return normalise(pixels, self._settings.convention)


def tune(heads: LIPHeads, result: FrameResult, believed: Found, settings: IdTuning) -> None:
    """Train the last layer of ids of a video's heads on a frame; boxes with high scores are the truth.

    Objects that are found with lower scores are neither truth nor background: regions that overlap them
    are left out, [ours].

    Args:
        heads: of the video; only this layer changes.
        result: of the frame.
        believed: its best detection of each id.
        settings: how.
    """
    labels = id_labels(result.proposals, believed["boxes"], believed["labels"])
    unsure = believed["labels"][believed["scores"] <= settings.least_score]
    labels[torch.isin(labels, unsure)] = IGNORED
    tune_ids(heads.roi_heads.box_predictor.cls_score, result.vectors, labels, settings)


def _as_detected(first: FirstFrame) -> Found:
    """Return the objects of frame 0 as if they were detected, beyond doubt."""
    labels = torch.arange(1, first.objects + 1, device=first.boxes.device)
    return {"boxes": first.boxes, "labels": labels, "scores": torch.ones_like(labels, dtype=torch.float32)}


def _best(found: Found) -> Found:
    best = best_of_each(found["labels"])
    return {name: found[name][best] for name in ("boxes", "labels", "scores", "masks")}


def boxes_of_masks(found: Found) -> Tensor:
    """Return (N, 4) boxes around the masks of detections, grown as in training; theirs without a mask."""
    masks = pixels(found)
    shown = masks.flatten(1).any(dim=1)
    boxes = found["boxes"].clone()
    spans = masks_to_boxes(masks[shown]) + boxes.new_tensor([0, 0, 1, 1])
    boxes[shown] = grown(spans, EXPANSION, (masks.shape[1], masks.shape[2]))
    return boxes


def _carried(best: Found, previous: Found) -> Found:
    """Return the detections of a frame, and with a score of 0 those before it of ids that are lost."""
    lost = ~torch.isin(previous["labels"], best["labels"])
    kept = {name: previous[name][lost] for name in ("boxes", "labels")}
    kept["scores"] = torch.zeros_like(previous["scores"][lost])
    return {name: torch.cat([best[name], values]) for name, values in kept.items()}
