"""MP-Net: its inputs, training and inference around `MotionPatternNet`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.data.transforms.clip_transforms import resize_flow
from vosbench.errors import InputError
from vosbench.flow.encodings import Angle, angle_field, zero_mean
from vosbench.method import Size
from vosbench.models.layers.preprocessing import flow_tensor, normalise
from vosbench.models.mpnet.network import SMALLEST_SIDE, MotionPatternNet
from vosbench.models.pixelwise import enlarge, mean_over_known, shrink_masks
from vosbench.models.postprocessing.crf import parse_crf, refine, require_crf
from vosbench.models.postprocessing.objectness import ObjectnessMaps, reweight
from vosbench.models.switches import require_choices, require_count, require_share
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import IdMap, Segmentation, Video

CHANNELS = {"rgb": 3, "rgb_pair": 6, "flow": 2, "angle_field": 2, "rgb_angle": 5}
WIDTH = {"full": 64, "tiny": 16}
TEST_SHORT_SIDE = {"full": 232, "tiny": 144}
SIZE_INSIDE: Mapping[Size, Size] = {"full": "full", "lite": "tiny", "tiny": "tiny"}
"""Size of a method -> size of the MP-Net that is its motion stream."""
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "size": tuple(WIDTH),
    "input": tuple(CHANNELS),
    "decoder_units": (1, 2, 3, 4),
    "angle": get_args(Angle),
    "encode_then_resize": (False, True),
}


class MPNet(VOSModule):
    """Motion pattern network: which pixels move on their own, from one frame pair.

    Args:
        size: ``"full"`` as published, ``"tiny"`` a quarter of the width and a smaller test size.
        input: ``rgb``, ``rgb_pair``, ``flow`` (zero mean), ``angle_field`` or ``rgb_angle``.
        decoder_units: 1 to 4; the paper has 1 and 4.
        angle: ``unsigned`` as released, or ``signed``.
        encode_then_resize: encode flow at the size of the frames and resize the code by nearest
            neighbour, as the released test code does, rather than resize flow and encode it.
        threshold: probability above which a pixel moves.
        crf: refine the probability of each frame by a dense CRF (extra ``crf``); false, true, or settings,
            see `vosbench.models.postprocessing.crf.CrfSettings`.
        objectness: folder of objectness maps or proposals, see `vosbench.models.postprocessing.objectness`:
            motion counts half where nothing looks like an object (MP-Net-F, unverified rule). None: off.
        test_short_side: shorter side at inference, pixels; None for that of the size.

    Raises:
        InputError: a value outside its choices.
    """

    inspectable: ClassVar[Mapping[str, str]] = {"motion": "probability that each pixel moves"}
    name = "mpnet"
    file_keys = ("objectness",)
    stages = ("A", "B", "C")

    def __init__(
        self,
        size: Size = "full",
        input: str = "angle_field",  # noqa: A002, the word of the paper's table 1
        decoder_units: int = 4,
        angle: Angle = "unsigned",
        encode_then_resize: bool = False,
        threshold: float = 0.5,
        crf: bool | Mapping[str, Any] = False,
        objectness: str | None = None,
        test_short_side: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        require_choices("mpnet", self.hparams, _CHOICES)
        require_share("mpnet", "threshold", threshold)
        short_side = TEST_SHORT_SIDE[size] if test_short_side is None else test_short_side
        require_count("mpnet", "test_short_side", short_side, SMALLEST_SIDE, "pixels")
        self.input = input
        self.angle: Angle = angle
        self.encode_then_resize = encode_then_resize
        self.threshold = threshold
        self.crf = parse_crf(crf)
        self.objectness = None if objectness is None else ObjectnessMaps(Path(objectness))
        self.test_short_side = short_side
        self.resolved_keys = {"test_short_side": short_side}
        self.needs_flow = input not in ("rgb", "rgb_pair")
        self.needs_pair = input != "rgb"
        # channels last makes the convolutions a third faster on CPUs and under mixed precision
        self.network = MotionPatternNet(CHANNELS[input], WIDTH[size], decoder_units).to(
            memory_format=torch.channels_last
        )

    def encode(self, frames: Tensor | None, flow: Tensor | None) -> Tensor:
        """Return the network's input; what the input does not show may be None.

        Args:
            frames: (B, 2, 3, H, W) RGB pairs in 0..255.
            flow: (B, 2, H, W) pixels from the first to the second.

        Returns:
            (B, C, H, W) floating point.
        """
        parts = []
        if frames is not None and self.input in ("rgb", "rgb_angle"):
            parts.append(normalise(frames[:, 0], "torchvision"))
        if frames is not None and self.input == "rgb_pair":
            parts += [normalise(frames[:, 0], "torchvision"), normalise(frames[:, 1], "torchvision")]
        if flow is not None and self.input == "flow":
            parts.append(zero_mean(flow))
        if flow is not None and self.input in ("angle_field", "rgb_angle"):
            parts.append(angle_field(flow, self.angle))
        return torch.cat(parts, dim=1)

    def forward(self, frames: Tensor | None, flow: Tensor | None = None) -> Tensor:
        """Return logits, (B, 1, h, w), of pairs as `encode` takes them."""
        logits: Tensor = self.network(self.encode(frames, flow))
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean binary cross-entropy over the output grid, void pixels left out."""
        logits = self(batch["frames"], _first_field(batch))
        target = shrink_masks(batch["masks"][:, 0], logits.shape[-2:])
        moving = (target > 0).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], moving, reduction="none")
        loss = mean_over_known(losses, target)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return loss

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J of the first frames, at the size of their masks."""
        target = batch["masks"][:, 0]
        logits = self(batch["frames"], _first_field(batch))
        probability = enlarge(logits.sigmoid(), target.shape[-2:])[:, 0]
        predicted = probability > self.threshold
        return self.measure({"frames": batch["frames"][:, 0], "predicted": predicted, "target": target})

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment frame by frame; the last frame, which has no successor, keeps the mask before it.

        Args:
            video: T frames, with flow unless the input is RGB.
            first_mask: not used, the method is unsupervised.

        Raises:
            InputError: the video has no flow, or a single frame and the input needs a pair, or the CRF is
                not installed.
        """
        if self.needs_flow and video.flow is None:
            raise InputError(f"video {video.name}: mpnet with input={self.input} needs optical flow")
        if self.needs_pair and len(video) < 2:
            raise InputError(f"video {video.name} has one frame: mpnet compares a frame with the next")
        if self.crf is not None:
            require_crf()
        return Segmentation(self._masks(video), len(video))

    def _masks(self, video: Video) -> Iterator[IdMap]:
        self.eval()
        pairs = len(video) - 1 if self.needs_pair else len(video)
        mask = np.zeros(video.frames[0].shape[:2], np.uint8)
        objectness = None if self.objectness is None else self.objectness.of(video)
        for index in range(len(video)):
            if index < pairs:
                probability = self.probability(video, index)
                if objectness is not None:
                    probability = reweight(probability, objectness[index])
                if self.crf is not None:
                    probability = refine(video.frames[index], probability, self.crf)
                mask = (probability > self.threshold).astype(np.uint8)
                self.show(index, "motion", "motion", probability)
            yield mask

    @torch.inference_mode()
    def probability(self, video: Video, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the probability, (H, W) float32, that each pixel of frame `index` moves."""
        frames, flow = self._frames(video, index), self._flow(video, index)
        height, width = video.frames[0].shape[:2] if flow is None else flow.shape[-2:]
        scale = self.test_short_side / min(height, width)
        code = self._test_code(frames, flow, (round(height * scale), round(width * scale)))
        return enlarge(self.network(code).sigmoid(), (height, width))[0, 0].cpu().numpy()

    def _frames(self, video: Video, index: int) -> Tensor | None:
        """(1, 2, 3, H, W); the same frame twice where one is enough, None where none is."""
        if not self.input.startswith("rgb"):
            return None
        following = index + 1 if self.input == "rgb_pair" else index
        frames = torch.from_numpy(np.stack([video.frames[index], video.frames[following]]))
        return frames.to(self.device).permute(0, 3, 1, 2)[None]

    def _flow(self, video: Video, index: int) -> Tensor | None:
        if not self.needs_flow or video.flow is None:
            return None
        return flow_tensor(video.flow[index], self.device)

    def _test_code(self, frames: Tensor | None, flow: Tensor | None, size: tuple[int, int]) -> Tensor:
        if self.encode_then_resize:
            return F.interpolate(self.encode(frames, flow), size, mode="nearest")
        if frames is not None:
            frames = F.interpolate(frames[0].float(), size, mode="bilinear", antialias=True)[None]
        return self.encode(frames, None if flow is None else resize_flow(flow, *size))


def _first_field(batch: dict[str, Tensor]) -> Tensor | None:
    return batch["flow"][:, 0] if "flow" in batch else None
