"""Online training of the spatial branch of STCNN on the first frame of a video (Xu et al., section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD

from vosbench.data.lucid.dream import Dreamer
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.data.transforms.clip_transforms import Clip
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.pixelwise import enlarge
from vosbench.models.postprocessing.online import adapted, draws
from vosbench.models.stcnn.generator import scale_past
from vosbench.models.stcnn.losses import segmentation_loss
from vosbench.models.stcnn.network import STCNNNet
from vosbench.models.stcnn.segmentation import SpatialBranch
from vosbench.video import Frame, IdMap

CHANGES = ClipTransform(rotate=30, zoom=(0.75, 1.25), mirror=0.5)
"""Random changes of every picture, those of the joint stage."""


@dataclass(frozen=True)
class STCNNOnlineSettings:
    """Settings of the online training of the spatial branch on an object.

    Attributes:
        iterations: pictures that it sees, one at a time.
        images: lucid dreams that they are taken from.
        lucid: dream; otherwise the first frame itself is all there is.
        lr, momentum, weight_decay: of SGD.
        seed: of dreams, their order and the changes.
    """

    iterations: int = 400
    images: int = 100
    lucid: bool = True
    lr: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0


class TrainingPictures:
    """Training pictures of an object: a first frame and its mask, or dreams of them, each made when needed.

    Args:
        frame: (H, W, 3) uint8.
        mask: (H, W) uint8, 1 the object, 255 void.
        settings: of the online training.
    """

    def __init__(self, frame: Frame, mask: IdMap, settings: STCNNOnlineSettings) -> None:
        self._length = settings.images if settings.lucid else 1
        self._dreamer = Dreamer(frame, mask, seed=settings.seed) if settings.lucid else None
        self._made = {} if settings.lucid else {0: _still(frame, mask)}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Clip:
        """Return a clip of one frame with its mask."""
        if index not in self._made:
            assert self._dreamer is not None
            dream = self._dreamer.clip(1, index)
            self._made[index] = _still(dream.frames[0], dream.masks[0])
        return self._made[index]


def learn_object(
    network: STCNNNet, frame: Frame, mask: IdMap, settings: STCNNOnlineSettings
) -> SpatialBranch:
    """Return a copy of the spatial branch that has learned an object; the network stays as it is.

    The past of a picture is the picture itself, standing still, as in the released code. Batch
    normalisation keeps its statistics.

    Args:
        network: in test mode.
        frame: (H, W, 3) uint8, the first one.
        mask: (H, W) uint8, 1 the object, 255 void.
        settings: how.
    """
    pictures = TrainingPictures(frame, mask, settings)

    def learn(branch: SpatialBranch) -> None:
        optimizer = SGD(
            branch.parameters(), settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        device = next(branch.parameters()).device
        for index in draws(len(pictures), settings.iterations, settings.seed):
            clip = CHANGES(pictures[index])
            loss = _loss(network, branch, clip.frames.to(device), clip.masks.to(device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    return adapted(network.segmentation, learn, seed=settings.seed)


def object_seed(seed: int, number: int) -> int:
    """Return the seed of an object of a video."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _loss(network: STCNNNet, branch: SpatialBranch, frames: Tensor, masks: Tensor) -> Tensor:
    """(1, 3, H, W) and (1, H, W) uint8 -> the loss of the fused map."""
    features: tuple[Tensor, ...] = ()
    if network.generator is not None:
        with torch.no_grad():
            features = network.predict(scale_past(frames).repeat(1, network.generator.delta, 1, 1)).features
    logits = branch(normalise(frames, "torchvision"), features)[-1]
    return segmentation_loss([enlarge(logits, masks.shape[-2:])], masks, side=0)


def _still(frame: Frame, mask: IdMap) -> Clip:
    pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None]
    return Clip(pixels, torch.from_numpy(np.array(mask))[None])
