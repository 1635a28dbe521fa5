"""Tracking of objects with STCNN (Xu et al., section 3.3, and the released code)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vosbench.models.layers.preprocessing import frame_tensor, normalise
from vosbench.models.postprocessing.object_tracker import ObjectTracker, object_ids
from vosbench.models.stcnn.gate import GateSettings, SpatialGate
from vosbench.models.stcnn.generator import past_indices, scale_past
from vosbench.models.stcnn.network import AnySpatialBranch, STCNNNet
from vosbench.models.stcnn.online import STCNNOnlineSettings, learn_object, object_seed
from vosbench.models.stcnn.segmentation import LEVELS
from vosbench.video import VOID, Frame, IdMap, Video

Show = Callable[[int, str, str, NDArray[np.float32]], None]
"""Takes the index of a frame, the name of a map, its title and the map, (h, w)."""


@dataclass(frozen=True)
class STCNNTrackingSettings:
    """Settings of the tracking of objects.

    Attributes:
        online: training on each object; None: no training.
        gate: area in which an object may be; None: anywhere.
        start: see `past_indices`.
        threshold: probability above which a pixel belongs to an object.
    """

    online: STCNNOnlineSettings | None = field(default_factory=STCNNOnlineSettings)
    gate: GateSettings | None = field(default_factory=GateSettings)
    start: str = "paper"
    threshold: float = 0.5


class _Object(NamedTuple):
    number: int
    branch: AnySpatialBranch
    gate: SpatialGate | None


class STCNNTracker(ObjectTracker):
    """Tracker of the objects of a first mask, with a spatial branch per object if objects are learned.

    Args:
        network: switched to test mode when an iteration begins.
        settings: of the tracking.
        show: takes maps inside.
    """

    def __init__(self, network: STCNNNet, settings: STCNNTrackingSettings, show: Show) -> None:
        super().__init__(network)
        self._network = network
        self._settings = settings
        self._show = show

    def _later_masks(self, video: Video, first_mask: IdMap) -> Iterator[IdMap]:
        first: Frame = np.array(video.frames[0])
        objects = self._learned(first, first_mask)
        frames = {0: self._pixels(first)}
        for index in range(1, len(video)):
            numbers = self._past(index)
            frames = {
                number: frames[number] if number in frames else self._pixels(video.frames[number])
                for number in {*numbers, index}
            }
            size = first_mask.shape
            found = self._probabilities(index, frames, numbers, objects, (size[0], size[1]))
            yield merge(found, self._settings.threshold)

    def _learned(self, frame: Frame, first_mask: IdMap) -> list[_Object]:
        settings = self._settings
        objects = []
        for number in object_ids(first_mask).tolist():
            branch = self._network.segmentation
            mask = np.where(first_mask == VOID, first_mask, (first_mask == number).astype(np.uint8))
            if settings.online is not None:
                online = replace(settings.online, seed=object_seed(settings.online.seed, number))
                branch = learn_object(self._network, frame, mask, online)
            gate = None if settings.gate is None else SpatialGate(mask == 1, settings.gate)
            objects.append(_Object(number, branch, gate))
        return objects

    def _past(self, index: int) -> list[int]:
        generator = self._network.generator
        return [] if generator is None else past_indices(index, generator.delta, self._settings.start)

    @torch.inference_mode()
    def _probabilities(
        self,
        index: int,
        frames: Mapping[int, Tensor],
        numbers: Sequence[int],
        objects: Sequence[_Object],
        size: tuple[int, int],
    ) -> dict[int, NDArray[np.float32]]:
        """Return for every object its probability at every pixel, `size`."""
        features: Sequence[Tensor] = ()
        if numbers:
            past = torch.cat([frames[number] for number in numbers], dim=1)
            prediction = self._network.predict(scale_past(past))
            features = prediction.features
            # tanh, -1..1
            grey = prediction.frame[0].mean(dim=0).add(1).div(2)
            self._show(index, "predicted", "predicted", grey.cpu().numpy())
        frame = normalise(frames[index], "torchvision")
        probabilities: dict[int, NDArray[np.float32]] = {}
        # objects that were not learned share the branch, which then need not look twice
        branch: AnySpatialBranch | None = None
        logits: tuple[Tensor, ...] = ()
        for item in objects:
            if item.branch is not branch:
                branch, logits = item.branch, item.branch(frame, features)
            self._show_attention(index, item.number, logits)
            raw: NDArray[np.float32] = self._network.enlarge(logits[-1], size).sigmoid()[0, 0].cpu().numpy()
            probabilities[item.number] = raw if item.gate is None else item.gate.step(raw)
        return probabilities

    def _show_attention(self, index: int, number: int, logits: Sequence[Tensor]) -> None:
        for level in range(LEVELS):
            values = logits[level].sigmoid()[0, 0].cpu().numpy()
            self._show(index, "attention", f"attention {level + 1} of object {number}", values)

    def _pixels(self, frame: Frame) -> Tensor:
        return self._network.seen(frame_tensor(frame, self._device))


def merge(probabilities: Mapping[int, NDArray[np.floating]], threshold: float) -> IdMap:
    """Give every pixel to its most probable object, if that is above a threshold.

    Args:
        probabilities: id -> (H, W), of objects that were looked for one by one; of two that are as
            probable the first has the pixel.
        threshold: probability.

    Returns:
        (H, W) uint8 ids.
    """
    numbers = np.array(list(probabilities), np.uint8)
    stacked = np.stack(list(probabilities.values()))
    return np.where(stacked.max(axis=0) > threshold, numbers[stacked.argmax(axis=0)], np.uint8(0))
