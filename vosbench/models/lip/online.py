"""Online training of LIP on the first frame of a video (Lyu et al., section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]

from vosbench.data.loading.collate import detection_targets
from vosbench.models.layers.detection import Features
from vosbench.models.lip.adaptation import THRESHOLDS, EarlyStopping, IdTuning, id_labels, tune_ids
from vosbench.models.lip.heads import ONLINE, IdLoss, LIPHeads
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.pyramid import State
from vosbench.models.lip.training import expanded
from vosbench.models.postprocessing.online import adapted

TURN, SCALE, SHEAR, SHIFT, LIGHT = 12.0, 1.25, 0.08, 0.15, 0.15
"""[ours] Largest changes of the first frame: degrees, factor, shares of its half sides and of its light."""

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
        views: [ours] so many random affine changes of the frame are learnt from, too, as if they came next.
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
    views: int = 0


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
        self._labels = labels.to(picture.device)
        self._target = _target(self._labels)
        self._views: dict[int, View] = {}
        self._changed: dict[tuple[int, int], View] = {}
        self._states: dict[int, State] = {}

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
            self._views[side], self._states[side] = self._seen(self._picture, self._target, side, None)
        return self._views[side]

    @torch.no_grad()
    def changed(self, number: int, side: int) -> View:
        """Return an affine change of the frame, as if it came after the frame itself.

        Args:
            number: of the change, which follows from it.
            side: shorter side that it is resized to.
        """
        if (number, side) not in self._changed:
            self.at(side)
            picture, labels = moved(self._picture, self._labels, torch.Generator().manual_seed(number))
            self._changed[number, side], _ = self._seen(picture, _target(labels), side, self._states[side])
        return self._changed[number, side]

    def _seen(
        self, picture: Tensor, target: dict[str, Tensor], side: int, state: State | None
    ) -> tuple[View, State]:
        images, targets = self._network.prepare([picture], [target], side)
        assert targets is not None
        (levels,), state = self._network.features(images.tensors[None], state)
        return (images, levels, targets[0]), state


def _target(labels: Tensor) -> dict[str, Tensor]:
    """Return what is to be found in (H, W) uint8 labels, on their device."""
    (target,) = detection_targets(labels.cpu()[None])
    target = expanded(target) | {"labels": target["ids"]}
    return {name: value.to(labels.device) for name, value in target.items()}


def moved(picture: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a picture and its labels after a random affine change; beyond the edges they are mirrored.

    Args:
        picture: (3, H, W).
        labels: (H, W) uint8.
        generator: of the change.
    """
    angle, shear, *rest = (2 * torch.rand(6, generator=generator) - 1).tolist()
    turn, scale = math.radians(TURN * angle), SCALE ** rest[0]
    ratio = labels.shape[0] / labels.shape[1]
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    matrix = [
        [cosine, -sine * ratio + SHEAR * shear, SHIFT * rest[1]],
        [sine / ratio, cosine, SHIFT * rest[2]],
    ]
    theta = torch.tensor([matrix], device=picture.device, dtype=picture.dtype)
    grid = F.affine_grid(theta, [1, 1, *labels.shape], align_corners=False)
    shown = F.grid_sample(picture[None], grid, padding_mode="reflection", align_corners=False)[0]
    drawn = F.grid_sample(
        labels[None, None].to(picture.dtype),
        grid,
        mode="nearest",
        padding_mode="reflection",
        align_corners=False,
    )
    return shown * (1 + LIGHT * rest[3]), drawn[0, 0].to(labels.dtype)


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
    heads.sample_regions(network.regions("online"))

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
        number = int(torch.randint(-1, settings.views, ())) if settings.views else -1
        images, levels, target = first.at(side) if number < 0 else first.changed(number, side)
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
