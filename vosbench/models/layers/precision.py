"""Precision of networks: autocast, and what autocast may not round: logits, losses, counts of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Autocast:
    """Maker of the contexts in which operations that bear it compute in less than float32.

    Attributes:
        device: type of the device.
        dtype: what they compute in.
    """

    device: str
    dtype: torch.dtype

    def __call__(self) -> torch.autocast:
        """Return a context."""
        return torch.autocast(self.device, self.dtype)

    def __str__(self) -> str:
        return f"autocast {str(self.dtype).removeprefix('torch.')}"


def at_least_float32(values: Tensor) -> Tensor:
    """Return values in float32 where autocast made less of them; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
