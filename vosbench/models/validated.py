"""Frames of a validation step, and the region similarity J of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from vosbench.metrics.functional.region import region_similarity
from vosbench.video import VOID

MONITOR = "val/J"
"""Logged value that chooses the best checkpoint of a stage, unless its method names another."""


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


def known_frames(frames: Validated) -> Validated:
    """Return the frames whose ground truth is not void throughout."""
    known = [index for index, mask in enumerate(frames["target"]) if bool((mask != VOID).any())]
    return {
        "frames": [frames["frames"][index] for index in known],
        "predicted": [frames["predicted"][index] for index in known],
        "target": [frames["target"][index] for index in known],
    }


def foreground_similarity(predicted: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]) -> Tensor:
    """Return J of the merged foreground of each frame, void left out: (N,) float32 in [0, 1].

    Args:
        predicted: N of (H, W), bool or ids.
        target: N of (H, W) uint8 ids, 255 void.
    """
    values = [
        region_similarity(mask.cpu()[None] > 0, truth.cpu()[None] > 0, truth.cpu()[None] == VOID)
        for mask, truth in zip(predicted, target, strict=True)
    ]
    return torch.cat([torch.zeros(0), *(value.float() for value in values)])
