"""Adaptation of LIP to a video: early stopping, tuning of the last layer of ids (sections 3.3 and 5.1)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou  # type: ignore[import-untyped]

from vosbench.models.layers.precision import at_least_float32
from vosbench.models.lip.heads import FOCAL, REGIONS, IdLoss

THRESHOLDS: dict[str, float] = {
    "loss_classifier": 0.02,
    "loss_box_reg": 0.01,
    "loss_mask": 0.1,
    "loss_objectness": 0.01,
    "loss_rpn_box_reg": 0.01,
}
"""[ours] Loss -> what is low enough; the paper's "empirically chosen" values are in its supplement."""


class EarlyStopping:
    """Early stopping by loss: the losses that are still worth a step.

    Args:
        thresholds: of each loss; one below it is ignored, in that step.

    Attributes:
        steps: how many were looked at.
        ignored: loss -> in how many steps it was ignored.
        stopped: whether all losses were ignored in some step.
    """

    def __init__(self, thresholds: Mapping[str, float] = THRESHOLDS) -> None:
        self.thresholds = dict(thresholds)
        self.steps = 0
        self.ignored: Counter[str] = Counter()
        self.stopped = False

    def active(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a step that are not ignored; none at all is the end.

        Args:
            losses: name -> () tensor, all of them with a threshold.
        """
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        low = {name for name, value in zip(losses, values, strict=True) if value < self.thresholds[name]}
        self.steps += 1
        self.ignored.update(low)
        self.stopped = self.stopped or len(low) == len(losses)
        return {name: loss for name, loss in losses.items() if name not in low}


@dataclass(frozen=True)
class IdTuning:
    """Settings of the tuning of the last layer of ids between frames.

    Attributes:
        iterations: at most.
        threshold: of the loss, below which it stops; [ours] as online.
        lr: of SGD with momentum 0.9; [ours] as online.
        loss: of ids; [ours] as online.
        least_score: detections with a higher score become truth; the paper says "high enough".
        regions: that are learnt from, at most a quarter of them objects.
    """

    iterations: int = 500
    threshold: float = THRESHOLDS["loss_classifier"]
    lr: float = 0.002
    loss: IdLoss = FOCAL
    least_score: float = 0.4
    regions: int = REGIONS


class Tuned(NamedTuple):
    """Result of `tune_ids`: steps taken, and the loss before the first and after the last."""

    steps: int
    before: float
    after: float


def id_labels(proposals: Tensor, boxes: Tensor, ids: Tensor) -> Tensor:
    """Return the ids of regions, (P,) int64, 0 for background, from the boxes of objects.

    A region has the id of the object that it overlaps most, if their intersection over union is 0.5 or more;
    the region that overlaps an object most has the id of the object anyhow.

    Args:
        proposals: (P, 4), at least one.
        boxes: (N, 4) objects.
        ids: (N,) of the objects.
    """
    labels = torch.zeros(len(proposals), dtype=torch.int64, device=proposals.device)
    if len(boxes) == 0:
        return labels
    overlap = box_iou(proposals, boxes)
    most, number = overlap.max(dim=1)
    labels = torch.where(most >= 0.5, ids[number], labels)
    labels[overlap.argmax(dim=0)] = ids
    return labels


def balanced(labels: Tensor, count: int = REGIONS) -> Tensor:
    """Return the numbers of at most `count` regions, (M,) int64: objects up to a quarter, then background.

    Regions come in the order of their scores, and the first ones are taken: no chance is in it.
    """
    objects = (labels > 0).nonzero()[:, 0][: int(count * 0.25)]
    background = (labels == 0).nonzero()[:, 0][: count - len(objects)]
    return torch.cat([objects, background])


def tune_ids(layer: nn.Linear, vectors: Tensor, labels: Tensor, settings: IdTuning | None = None) -> Tuned:
    """Train the last layer of ids on vectors that were kept, in float32; nothing else is needed, or changed.

    Args:
        layer: trained in place, whatever its weights are otherwise.
        vectors: (P, inputs) of a frame, or of several.
        labels: (P,) ids of them, see `id_labels`.
        settings: how.

    Returns:
        Steps and losses; without any object there is nothing to learn, and losses are nan.
    """
    settings = settings or IdTuning()
    if not (labels > 0).any():
        return Tuned(0, math.nan, math.nan)
    sampled = balanced(labels, settings.regions)
    # results of a test may be unfit for gradients; copies made outside of it are fit
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(vectors.device.type, enabled=False),
    ):
        seen, wanted = at_least_float32(vectors[sampled]), labels[sampled].clone()
        optimizer = torch.optim.SGD(layer.parameters(), lr=settings.lr, momentum=0.9)
        steps, first = 0, None
        while True:
            loss = settings.loss(layer(seen), wanted)
            value = loss.item()
            first = value if first is None else first
            if value < settings.threshold or steps == settings.iterations:
                # an autocast around this would go on with its copy of the weights as they were
                torch.clear_autocast_cache()
                return Tuned(steps, first, value)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            steps += 1
