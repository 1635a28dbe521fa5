"""What every validation step measures, logs and returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from vosbench.models.pixelwise import frame_iou
from vosbench.video import VOID

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

MONITOR = "val/iou"
"""Name of the value that chooses among the checkpoints of a stage."""


class Validated(TypedDict):
    """The frames that a validation step measured, N of them.

    Attributes:
        frames: (N, 3, H, W) uint8 RGB, or N of (3, H, W) where they differ in size.
        predicted: (N, H, W) bool or uint8 ids, 0 background.
        target: (N, H, W) uint8 ids, 255 void.
    """

    frames: Tensor | Sequence[Tensor]
    predicted: Tensor | Sequence[Tensor]
    target: Tensor | Sequence[Tensor]


class ValidationIoU(MeanMetric):
    """Intersection over union of the foreground, the mean over all frames of which something is known.

    Sums and counts are kept over the batches of all devices, so that neither a batch nor a device without any
    such frame changes the mean. NaN when nothing is known of any frame.
    """

    def measure(
        self,
        module: LightningModule,
        frames: Tensor | Sequence[Tensor],
        predicted: Tensor | Sequence[Tensor],
        target: Tensor | Sequence[Tensor],
    ) -> Validated:
        """Add frames, log the mean as `MONITOR`, and return the frames that count.

        Every validation step must call this method, also without frames: all devices take the mean together.

        Args:
            module: of the validation step; this metric is an attribute of it.
            frames: N frames, as in `Validated`.
            predicted: foreground of each, bool.
            target: ids of each; a frame that is void throughout does not count.
        """
        seen = [index for index, mask in enumerate(target) if bool((mask != VOID).any())]
        ious = [frame_iou(predicted[index][None], target[index][None]) for index in seen]
        self.update(torch.cat(ious) if ious else torch.zeros(0, device=self.device))
        module.log(MONITOR, self, prog_bar=True, on_step=False, on_epoch=True)
        return {
            "frames": [frames[index] for index in seen],
            "predicted": [predicted[index] for index in seen],
            "target": [target[index] for index in seen],
        }
