"""Base of metrics whose data-set value is taken from the values of all videos, not from sums."""

from __future__ import annotations

import math
from collections.abc import Hashable
from hashlib import sha256
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class GatheredMetric(Metric):
    """Keeps what every update gave, one flat tensor each, and gathers it from all processes.

    The value then does not depend on how videos were dealt to processes, to the last bit, where sums of
    float64 would depend on their order.

    In a `MetricCollection` every metric keeps its own values: none shares a compute group with another.

    Args:
        arguments: of the metric, whatever its values depend on beside its class. States of other
            arguments are not merged (`merge_state`) or loaded.
    """

    is_differentiable = False
    full_state_update = False
    gathered_dtype: ClassVar[torch.dtype] = torch.float64
    # a list as updates leave it, one tensor as gathering does
    gathered: list[Tensor] | Tensor

    def __init__(self, *arguments: Hashable) -> None:
        super().__init__()
        kind = type(self)
        digest = sha256(repr((kind.__module__, kind.__qualname__, arguments)).encode()).hexdigest()
        # Collections let metrics share values whose states have equal names and, after the first update,
        # equal content. The name identifies the metric; NaN equals nothing, so that not even
        # metrics of one kind, which may have seen other videos before, are taken for one another.
        self.add_state(f"{kind.__name__}_{digest[:16]}", torch.tensor(math.nan), dist_reduce_fx="max")
        self.add_state("gathered", [], dist_reduce_fx="cat")

    def _keep(self, values: Tensor) -> None:
        assert isinstance(self.gathered, list)
        self.gathered.append(values.to(self.device, self.gathered_dtype))

    def _all(self) -> Tensor:
        """Return what was kept, of all processes in order of rank: (n,), on the device of the metric."""
        parts = [self.gathered] if isinstance(self.gathered, Tensor) else self.gathered
        empty = torch.empty(0, dtype=self.gathered_dtype, device=self.device)
        # back to the type that was kept, for `set_dtype` changes what is there
        return torch.cat([empty, *parts]).to(self.gathered_dtype)

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # a process without a video would send an empty tensor of another type than the others expect
        self.gathered = [self._all()]
        super()._sync_dist(*args, **kwargs)
