"""Online training of the spatial branch of STCNN on the first frame of a video (Xu et al., section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vosbench.data.lucid.dream import Dreamer
from vosbench.data.lucid.settings import LucidSettings
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.data.transforms.clip_transforms import Clip
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.pixelwise import shrink_masks
from vosbench.models.postprocessing.online import adapted, draws
from vosbench.models.stcnn.generator import scale_past
from vosbench.models.stcnn.losses import segmentation_loss
from vosbench.models.stcnn.network import AnySpatialBranch, STCNNNet
from vosbench.pipeline import Reader
from vosbench.video import Frame, IdMap, LazySequence

CHANGES = ClipTransform(rotate=30, zoom=(0.75, 1.25), mirror=0.5)
"""Random changes of every picture, those of the joint stage."""


@dataclass(frozen=True)
class STCNNOnlineSettings:
    """Settings of the online training of the spatial branch on an object, by default the published ones.

    Attributes:
        iterations: steps.
        images: lucid dreams that pictures are taken from.
        lucid: dream; otherwise the first frame itself is all there is.
        lr, momentum, weight_decay: of the optimiser.
        seed: of dreams, their order and the changes.
        optimizer: ``"sgd"`` or ``"adamw"``, whose rate then falls to 0.
        decoder_lr: factor on the learning rate of all but the encoder.
        batch: pictures of a step.
        dreams: share of dreams among the pictures; the others are the first frame itself.
        dreaming: what may change in dreams.
        changes: of every picture, at random.
        view: share of either side of a picture that is seen; the past is then seen through the same window, a
            little to the side, or is that of a dream that moves. None: whole pictures that stand still.
        dice: weight of the soft Dice loss beside the cross entropy.
        kept: parts of the decoder that do not learn.
    """

    iterations: int = 400
    images: int = 100
    lucid: bool = True
    lr: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    optimizer: str = "sgd"
    decoder_lr: float = 1.0
    batch: int = 1
    dreams: float = 1.0
    dreaming: LucidSettings = field(default_factory=LucidSettings)
    changes: ClipTransform = CHANGES
    view: float | None = None
    dice: float = 0.0
    kept: tuple[str, ...] = ()


LITE_ONLINE = STCNNOnlineSettings(
    optimizer="adamw",
    decoder_lr=5.0,
    batch=2,
    dreams=0.5,
    changes=ClipTransform(rotate=20, zoom=(0.8, 1.25), mirror=0.5, colour=0.2),
    view=0.75,
    dice=1.0,
    # one picture does not tell what motion looks like, and these parts are large
    kept=("joins", "attentions"),
)
"""[ours] Settings of size lite that keys of the method do not give."""


class TrainingPictures:
    """Training pictures of an object: a first frame and its mask, or dreams of them, each made when needed.

    Args:
        frame: (H, W, 3) uint8.
        mask: (H, W) uint8, 1 the object, 255 void.
        settings: of the online training.
        length: frames of a picture; more than one: dreams move.
    """

    def __init__(self, frame: Frame, mask: IdMap, settings: STCNNOnlineSettings, length: int = 1) -> None:
        self._frames = length
        self._length = settings.images if settings.lucid else 1
        self._dreamer = Dreamer(frame, mask, settings.dreaming, settings.seed) if settings.lucid else None
        self._made = {} if settings.lucid else {0: still(frame, mask)}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Clip:
        """Return a clip of one frame, or of a dream that moves, with its masks."""
        if index not in self._made:
            assert self._dreamer is not None
            dream = self._dreamer.clip(self._frames, index)
            frames = torch.from_numpy(dream.frames).permute(0, 3, 1, 2)
            self._made[index] = Clip(frames, torch.from_numpy(dream.masks))
        return self._made[index]


def learn_object(
    network: STCNNNet, frame: Frame, mask: IdMap, settings: STCNNOnlineSettings
) -> AnySpatialBranch:
    """Return a copy of the spatial branch that has learned an object; the network stays as it is.

    The past of a picture is the picture itself, standing still, as in the released code, but see
    `STCNNOnlineSettings.view`. Batch normalisation keeps its statistics. Pictures are made, and dreamt, in a
    thread while the network learns.

    Args:
        network: in test mode.
        frame: (H, W, 3) uint8, the first one.
        mask: (H, W) uint8, 1 the object, 255 void.
        settings: how.
    """
    frame, mask = seen_first(network, frame, mask)

    def learn(branch: AnySpatialBranch) -> None:
        lessons = Lessons(network, branch, settings)
        schedule = LambdaLR(lessons.optimizer, lambda step: _rate(step, settings))
        batches = _batches(network, frame, mask, settings)
        # a step draws nothing, so that pictures made beside it are those made before it
        with Reader() as reader:
            for clips in reader.ahead(LazySequence(lambda _: next(batches), settings.iterations)):
                lessons.step(clips)
                schedule.step()

    return adapted(network.segmentation, learn, seed=settings.seed)


class Lessons:
    """Steps of learning of a spatial branch, whose batch normalisation keeps its statistics.

    Args:
        network: the branch sees the past through its temporal branch.
        branch: learns in place.
        settings: of the optimiser and the loss.
    """

    def __init__(self, network: STCNNNet, branch: AnySpatialBranch, settings: STCNNOnlineSettings) -> None:
        self.optimizer = _optimizer(branch, settings)
        self._network = network
        self._branch = branch
        self._dice = settings.dice

    def step(self, clips: Sequence[Clip]) -> None:
        """Learn from clips of one size, each of one frame or of the past and the present."""
        device = next(self._branch.parameters()).device
        frames = torch.stack([clip.frames for clip in clips]).to(device)
        masks = torch.stack([clip.masks[-1] for clip in clips]).to(device)
        loss = _loss(self._network, self._branch, frames, masks, self._dice)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()


def seen_first(network: STCNNNet, frame: Frame, mask: IdMap) -> tuple[Frame, IdMap]:
    """Return a frame and its mask at the size that the network looks at; no object vanishes."""
    pixels = network.seen(still(frame, mask).frames)[0].permute(1, 2, 0)
    given = torch.from_numpy(np.array(mask))[None]
    labels = shrink_masks(given, pixels.shape[:2])[0]
    if not (labels == 1).any():
        labels = F.adaptive_max_pool2d((given == 1).float(), pixels.shape[:2])[0].to(torch.uint8)
    return np.ascontiguousarray(pixels.numpy()), np.ascontiguousarray(labels.numpy())


def _batches(
    network: STCNNNet, frame: Frame, mask: IdMap, settings: STCNNOnlineSettings
) -> Iterator[list[Clip]]:
    """Yield the pictures of every step, changed at random, of the present alone or with their past."""
    dreams = TrainingPictures(frame, mask, settings, _past(network, settings) + 1)
    first = still(frame, mask)
    numbers = draws(len(dreams), settings.iterations * settings.batch, settings.seed)
    for _ in range(settings.iterations):
        clips = []
        for number in islice(numbers, settings.batch):
            dreamt = settings.dreams >= 1 or bool(torch.rand(()) < settings.dreams)
            clips.append(changed(network, dreams[number] if dreamt else first, settings))
        yield clips


def changed(network: STCNNNet, clip: Clip, settings: STCNNOnlineSettings) -> Clip:
    """Return a clip changed at random, of the present alone or with its past."""
    clip = settings.changes(clip)
    return clip if settings.view is None else pan(clip, settings.view, _past(network, settings) + 1)


def _past(network: STCNNNet, settings: STCNNOnlineSettings) -> int:
    """Return how many frames of the past are seen."""
    return 0 if network.generator is None or settings.view is None else network.generator.delta


PAN = 0.02
"""Most that the window of `pan` moves from frame to frame, a share of the side of the picture."""


def pan(clip: Clip, view: float, frames: int) -> Clip:
    """See a clip through a window at a random place.

    Args:
        clip: of `frames` frames, or of one, over which the window then moves evenly.
        view: share of either side of the picture that is seen.
        frames: of the result.
    """
    moving = len(clip.frames) == 1
    windows = []
    for side in clip.size:
        length = max(1, round(side * view))
        last = float(torch.rand(()) * (side - length))
        step = float(torch.rand(()) * 2 - 1) * PAN * side * moving
        starts = [round(min(max(last - step * back, 0), side - length)) for back in reversed(range(frames))]
        windows.append([slice(start, start + length) for start in starts])
    numbers = [0] * frames if moving else range(frames)
    cuts = list(zip(numbers, *windows, strict=True))
    return Clip(
        torch.stack([clip.frames[number, :, rows, columns] for number, rows, columns in cuts]),
        torch.stack([clip.masks[number, rows, columns] for number, rows, columns in cuts]),
    )


def _optimizer(branch: AnySpatialBranch, settings: STCNNOnlineSettings) -> Optimizer:
    for name, part in branch.decoder.named_children():
        part.requires_grad_(name not in settings.kept)
    decoder = [parameter for parameter in branch.decoder.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": list(branch.encoder.parameters())},
        {"params": decoder, "lr": settings.lr * settings.decoder_lr},
    ]
    if settings.optimizer == "adamw":
        return AdamW(groups, settings.lr, weight_decay=settings.weight_decay)
    return SGD(groups, settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _rate(step: int, settings: STCNNOnlineSettings) -> float:
    if settings.optimizer == "sgd":
        return 1.0
    return float((1 - step / settings.iterations) ** 0.9)


def object_seed(seed: int, number: int) -> int:
    """Return the seed of an object of a video."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _loss(network: STCNNNet, branch: AnySpatialBranch, frames: Tensor, masks: Tensor, dice: float) -> Tensor:
    """(B, T, 3, H, W) and (B, H, W) uint8 -> the loss of the fused map of the last frames.

    Of a single frame the past is the frame itself.
    """
    features: tuple[Tensor, ...] = ()
    if network.generator is not None:
        delta = network.generator.delta
        past = frames[:, :-1] if frames.shape[1] > 1 else frames.expand(-1, delta, -1, -1, -1)
        with torch.no_grad():
            features = network.predict(scale_past(past.flatten(1, 2))).features
    logits = branch(normalise(frames[:, -1], "torchvision"), features)[-1]
    return segmentation_loss([network.enlarge(logits, masks.shape[-2:])], masks, side=0, dice=dice)


def still(frame: Frame, mask: IdMap) -> Clip:
    """Return a clip of one frame, (H, W, 3) uint8, and its mask, (H, W) uint8."""
    pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None]
    return Clip(pixels, torch.from_numpy(np.array(mask))[None])
