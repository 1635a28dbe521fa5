"""A network: as small as one can be, with everything that training and inference ask for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.method import Size
from vosbench.models.pixelwise import mean_over_known
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import IdMap, Segmentation, Video

CHANNELS = {"full": 16, "tiny": 4}


class Colour(VOSModule):
    """Tells objects by their colour.

    Args:
        size: ``"full"``, or ``"tiny"`` with fewer channels.
        threshold: probability above which a pixel is of an object.
    """

    name = "colour"
    stages = ("A",)

    def __init__(self, size: Size = "full", threshold: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.threshold = threshold
        channels = CHANNELS[size]
        self.network = nn.Sequential(nn.Conv2d(3, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits, (B, H, W), of RGB frames, (B, 3, H, W) in 0..255."""
        logits: Tensor = self.network(frames.float() / 255)[:, 0]
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean binary cross-entropy of the first frame of each clip, void pixels left out."""
        target = batch["masks"][:, 0]
        logits = self(batch["frames"][:, 0])
        losses = F.binary_cross_entropy_with_logits(logits, (target > 0).float(), reduction="none")
        return mean_over_known(losses, target)

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J as ``val/J``, which chooses ``best.ckpt``."""
        frames, target = batch["frames"][:, 0], batch["masks"][:, 0]
        predicted = self(frames).sigmoid() > self.threshold
        return self.measure({"frames": frames, "predicted": predicted, "target": target})

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment every frame by itself."""
        return Segmentation(self._masks(video), len(video))

    @torch.inference_mode()
    def _masks(self, video: Video) -> Iterator[IdMap]:
        for frame in video.frames:
            logits = self(torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None].to(self.device))
            yield (logits[0].sigmoid() > self.threshold).cpu().numpy().astype(np.uint8)
