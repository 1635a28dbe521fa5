"""Adaptation of the spatial branch of STCNN to what it finds in a video.

[ours], after online adaptation of Voigtlaender and Leibe (BMVC 2017): what is surely object or background in
a new frame is learnt from, and the first frame beside it, so that a branch which has seen an object from one
side recognises the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vosbench.data.transforms.clip_transforms import Clip
from vosbench.models.postprocessing.online import learning
from vosbench.models.stcnn.network import AnySpatialBranch, STCNNNet
from vosbench.models.stcnn.online import (
    Lessons,
    STCNNOnlineSettings,
    changed,
    object_seed,
    seen_first,
    still,
)
from vosbench.video import VOID, Frame, IdMap


@dataclass(frozen=True)
class STCNNAdaptationSettings:
    """Settings of the adaptation.

    Attributes:
        steps: at a time.
        lr: learning rate of the optimiser of online training, which begins anew and has no schedule.
        every: frames from one time to the next.
        first: pictures of the first frame, beside one of a later frame, that a step learns from.
        recent: so many of the frames last learnt from still are, the last one at every other step.
        background, object: a probability below the first is surely background, above the second object.
        least: fewest pixels that are surely object, of a frame as the network sees it.
        sure: shares of the pixels that are object rather than background: where less than the first are
            surely so, the object is hidden or something else taken for it; less than the second are enough
            while the object does not grow fast.
        growth: factor on the size of the object when last learnt from, which is fast.
    """

    steps: int = 2
    lr: float = 1e-4
    every: int = 2
    first: int = 2
    recent: int = 3
    background: float = 0.01
    object: float = 0.99
    least: int = 50
    sure: tuple[float, float] = (0.25, 0.5)
    growth: float = 1.5


class STCNNAdaptation:
    """Learning of a branch from frame to frame.

    Args:
        network: the branch is seen with its temporal branch.
        branch: has learnt the object, and learns on in place.
        frame: (H, W, 3) uint8, the first one.
        mask: (H, W) uint8, 1 the object, 255 void.
        online: settings of the training on it; optimiser, loss and changes of pictures are the same.
        settings: of the adaptation.
    """

    def __init__(
        self,
        network: STCNNNet,
        branch: AnySpatialBranch,
        frame: Frame,
        mask: IdMap,
        online: STCNNOnlineSettings,
        settings: STCNNAdaptationSettings,
    ) -> None:
        self._network = network
        self._branch = branch
        self._online = replace(online, lr=settings.lr)
        self._settings = settings
        self._first = still(*seen_first(network, frame, mask))
        self._size: float = inf
        self._recent: deque[Clip] = deque(maxlen=settings.recent)
        with torch.inference_mode(mode=False):
            branch.requires_grad_(requires_grad=True)
            self._lessons = Lessons(network, branch, self._online)

    def learn(self, index: int, frame: Tensor, probability: NDArray[np.floating]) -> None:
        """Learn from a frame, if it is one of `every`.

        Args:
            index: of the frame in its video.
            frame: (1, 3, h, w) in 0..255, as the network sees it.
            probability: (H, W) of the object, at any size.
        """
        if index % self._settings.every:
            return
        shown = _shown(probability, (frame.shape[-2], frame.shape[-1]))
        if not self._is_sure(shown):
            return
        pixels = frame.round().clamp(0, 255).to(torch.uint8).cpu()
        # tensors that are made in inference mode could not be learnt from
        with torch.inference_mode(mode=False):
            self._recent.append(Clip(pixels.clone(), self._labels(shown)))
        with learning(self._branch, object_seed(self._online.seed, index)):
            for step in range(self._settings.steps):
                clips = [self._chosen(step), *[self._first] * self._settings.first]
                self._lessons.step([changed(self._network, clip, self._online) for clip in clips])

    def _is_sure(self, shown: Tensor) -> bool:
        """Return whether the object is seen for sure, and note its size."""
        settings = self._settings
        surely, size = int((shown > settings.object).sum()), int((shown > 0.5).sum())
        least, enough = settings.sure
        slow = size < settings.growth * self._size
        if surely <= settings.least or surely <= (least if slow else enough) * size:
            return False
        self._size = size
        return True

    def _labels(self, shown: Tensor) -> Tensor:
        """(1, h, w) probabilities -> (1, h, w) uint8, 1 object, 0 background, 255 neither surely."""
        labels = torch.full(shown.shape, VOID, dtype=torch.uint8)
        labels[shown < self._settings.background] = 0
        labels[shown > self._settings.object] = 1
        return labels

    def _chosen(self, step: int) -> Clip:
        last = step % 2 == 0
        return self._recent[-1 if last else int(torch.randint(len(self._recent), ()))]


def _shown(probability: NDArray[np.floating], size: tuple[int, int]) -> Tensor:
    """Return probabilities, (H, W), as means of areas, (1, h, w) float32."""
    given = torch.from_numpy(np.asarray(probability, np.float32))[None, None]
    return F.interpolate(given, size, mode="area")[0]
