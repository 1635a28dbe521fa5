"""Values that autocast may not round: logits, losses, and all that counts pixels or compares."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Return values in float32 where autocast made less of them; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
