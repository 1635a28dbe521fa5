"""Tracking of objects with STCNN (Xu et al., section 3.3, and the released code)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vosbench.models.layers.preprocessing import frame_tensor, normalise
from vosbench.models.postprocessing.object_tracker import ObjectTracker, object_ids
from vosbench.models.stcnn.adaptation import STCNNAdaptation, STCNNAdaptationSettings
from vosbench.models.stcnn.gate import GateSettings, SpatialGate
from vosbench.models.stcnn.generator import past_indices, scale_past
from vosbench.models.stcnn.network import AnySpatialBranch, STCNNNet
from vosbench.models.stcnn.online import LITE_ONLINE, STCNNOnlineSettings, learn_object, object_seed
from vosbench.models.stcnn.segmentation import LEVELS
from vosbench.video import VOID, Frame, IdMap, Video

Show = Callable[[int, str, str, Tensor], None]
"""Takes the index of a frame, the name of a map, its title and the map, (h, w), wherever it was computed."""


@dataclass(frozen=True)
class STCNNTrackingSettings:
    """Settings of the tracking of objects.

    Attributes:
        online: training on each object; None: no training.
        adaptation: learning from frame to frame of objects that were trained on; None: they stay as they are.
        gate: area in which an object may be; None: anywhere.
        start: see `past_indices`.
        threshold: probability above which a pixel belongs to an object.
    """

    online: STCNNOnlineSettings | None = field(default_factory=STCNNOnlineSettings)
    adaptation: STCNNAdaptationSettings | None = None
    gate: GateSettings | None = field(default_factory=GateSettings)
    start: str = "paper"
    threshold: float = 0.5


GATE_SHORT_SIDE = 480
"""Shorter side of the frames in whose pixels the gate of lite is given: that of DAVIS at 480p."""


def tracking_settings(keys: Mapping[str, Any]) -> STCNNTrackingSettings:
    """Return the settings that keys of the method stand for, those left out at their values for the size."""
    lite = keys["size"] == "lite"
    online = replace(
        LITE_ONLINE if lite else STCNNOnlineSettings(),
        iterations=keys["online_iterations"],
        images=keys["online_images"],
        lucid=keys["lucid"],
        lr=keys["online_lr"],
        momentum=keys["online_momentum"],
        weight_decay=keys["online_weight_decay"],
        seed=keys["online_seed"],
    )
    gate = GateSettings(
        keys["gate_reach"],
        keys["gate_least"],
        keys["gate_threshold"],
        short_side=GATE_SHORT_SIDE if lite else None,
        whole=lite,
    )
    adaptation = STCNNAdaptationSettings(keys["adapt_steps"], keys["adapt_lr"])
    learns = keys["train_phase"] != "offline_only"
    return STCNNTrackingSettings(
        online=online if learns else None,
        adaptation=adaptation if learns and adaptation.steps else None,
        gate=gate if keys["spatial_gate"] else None,
        start=keys["start"],
        threshold=keys["threshold"],
    )


class _Object(NamedTuple):
    number: int
    branch: AnySpatialBranch
    gate: SpatialGate | None
    adaptation: STCNNAdaptation | None


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
            ids = merge(found, self._settings.threshold)
            if index + 1 < len(video):
                self._adapt(index, frames[index], found, ids, objects)
            yield ids

    def _adapt(
        self,
        index: int,
        frame: Tensor,
        probabilities: Mapping[int, NDArray[np.float32]],
        ids: IdMap,
        objects: Sequence[_Object],
    ) -> None:
        """Let every object learn from a frame, in which what is another object is none of it."""
        for item in objects:
            if item.adaptation is not None:
                others = (ids > 0) & (ids != item.number)
                item.adaptation.learn(index, frame, np.where(others, 0, probabilities[item.number]))

    def _learned(self, frame: Frame, first_mask: IdMap) -> list[_Object]:
        settings = self._settings
        objects = []
        for number in object_ids(first_mask).tolist():
            branch, adaptation = self._network.segmentation, None
            mask = np.where(first_mask == VOID, first_mask, (first_mask == number).astype(np.uint8))
            if settings.online is not None:
                online = replace(settings.online, seed=object_seed(settings.online.seed, number))
                branch = learn_object(self._network, frame, mask, online)
                if settings.adaptation is not None:
                    adaptation = STCNNAdaptation(
                        self._network, branch, frame, mask, online, settings.adaptation
                    )
            gate = None if settings.gate is None else SpatialGate(mask == 1, settings.gate)
            objects.append(_Object(number, branch, gate, adaptation))
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
            self._show(index, "predicted", "predicted", grey)
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
            values = logits[level].sigmoid()[0, 0]
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
