"""What a validation step may return, so that it can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor


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
