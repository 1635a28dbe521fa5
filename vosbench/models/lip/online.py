"""Online training of LIP on the first frame of a video (Lyu et al., section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import SGD
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]

from vosbench.data.loading.collate import detection_targets
from vosbench.models.layers.detection import Features
from vosbench.models.lip.adaptation import THRESHOLDS, EarlyStopping, IdTuning, id_labels, tune_ids
from vosbench.models.lip.heads import ONLINE, IdLoss, LIPHeads
from vosbench.models.lip.network import SAMPLED, LIPNet
from vosbench.models.lip.training import expanded
from vosbench.models.postprocessing.online import adapted

View = tuple[ImageList, Features, dict[str, Tensor]]
"""A picture as the network sees it, its features, and what is to be found in it."""


@dataclass(frozen=True)
class LIPOnlineSettings:
    """Settings of the online training of the heads.

    Attributes:
        heads: all of them learn; otherwise the last layer of ids alone, which is new for every video.
        iterations: at most.
        lr, momentum, weight_decay: of SGD; the latter two as offline.
        sides: one of these, by chance, is what the shorter side of the frame is resized to.
        id_loss: loss of ids.
        thresholds: of each loss, see `EarlyStopping`.
        seed: of the new layer and everything random in learning.
    """

    heads: bool = True
    iterations: int = 1000
    lr: float = 0.002
    momentum: float = 0.9
    weight_decay: float = 1e-4
    sides: tuple[int, ...] = (640,)
    id_loss: IdLoss = ONLINE
    thresholds: Mapping[str, float] = field(default_factory=lambda: dict(THRESHOLDS))
    seed: int = 0


class FirstFrame:
    """The first frame of a video, at any size; features of a size are computed once.

    The heads alone learn and the state before the first frame is zero, so that features stay what they are.

    Args:
        network: whose heads learn; only its other parts are used.
        picture: (3, H, W) normalised.
        labels: (H, W) uint8, 1..K the objects, 255 void.
    """

    def __init__(self, network: LIPNet, picture: Tensor, labels: Tensor) -> None:
        self._network = network
        self._picture = picture
        (target,) = detection_targets(labels.cpu()[None])
        target = expanded(target) | {"labels": target["ids"]}
        self._target = {name: value.to(picture.device) for name, value in target.items()}
        self._views: dict[int, View] = {}

    @property
    def objects(self) -> int:
        """Number of objects, K."""
        return len(self._target["labels"])

    @property
    def boxes(self) -> Tensor:
        """(K, 4) in pixels of the frame."""
        return self._target["boxes"]

    @torch.no_grad()
    def at(self, side: int) -> View:
        """Return the frame resized to a shorter side."""
        if side not in self._views:
            images, targets = self._network.prepare([self._picture], [self._target], side)
            assert targets is not None
            (levels,), _ = self._network.features(images.tensors[None])
            self._views[side] = images, levels, targets[0]
        return self._views[side]


def learn_video(network: LIPNet, first: FirstFrame, settings: LIPOnlineSettings, test_side: int) -> LIPHeads:
    """Return heads that know the objects of a video; the network stays as it is.

    Args:
        network: as trained offline.
        first: frame 0.
        settings: how.
        test_side: shorter side of the frames of the video.
    """
    heads = network.heads.specialise(first.objects, torch.Generator().manual_seed(settings.seed))
    heads.use_shortcut(network.shortcut)
    heads.sample_regions(SAMPLED["online"])

    def learn(copied: LIPHeads) -> None:
        if settings.heads:
            learn_heads(copied, first, settings)
        else:
            learn_ids(copied, first.at(test_side), settings)

    return adapted(heads, learn, seed=settings.seed)


def learn_heads(heads: LIPHeads, first: FirstFrame, settings: LIPOnlineSettings) -> EarlyStopping:
    """Train heads in place; return when and why it ended."""
    optimizer = SGD(
        heads.parameters(), settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    stopping = EarlyStopping(settings.thresholds)
    heads.train()
    for _ in range(settings.iterations):
        side = settings.sides[int(torch.randint(len(settings.sides), ()))]
        images, levels, target = first.at(side)
        active = stopping.active(heads.learn(images, levels, [target], settings.id_loss))
        if stopping.stopped:
            break
        if active:
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(list(active.values())).sum())
            optimizer.step()
    return stopping


def learn_ids(heads: LIPHeads, view: View, settings: LIPOnlineSettings) -> None:
    """Train the last layer of ids in place, on what the heads propose in the frame anyway."""
    images, levels, target = view
    with torch.no_grad():
        (regions,) = heads.find(images, levels)
    labels = id_labels(regions.proposals, target["boxes"], target["labels"])
    tuning = IdTuning(
        iterations=settings.iterations,
        threshold=settings.thresholds["loss_classifier"],
        lr=settings.lr,
        loss=settings.id_loss,
    )
    tune_ids(heads.roi_heads.box_predictor.cls_score, regions.vectors, labels, tuning)
