"""The base of metrics whose data-set value is taken from the values of all videos, not from sums."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class GatheredMetric(Metric):
    """Keeps what every update gave, one flat tensor each, and gathers it from all processes.

    The value then does not depend on how videos were dealt to processes, to the last bit, where sums of
    float64 would depend on their order.
    """

    is_differentiable = False
    full_state_update = False
    gathered_dtype: ClassVar[torch.dtype] = torch.float64
    # a list as updates leave it, one tensor as gathering does
    gathered: list[Tensor] | Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("gathered", [], dist_reduce_fx="cat")

    def _keep(self, values: Tensor) -> None:
        assert isinstance(self.gathered, list)
        self.gathered.append(values.to(self.device, self.gathered_dtype))

    def _all(self) -> Tensor:
        """Return what was kept, of all processes in order of rank: (n,), on the device of the metric."""
        parts = [self.gathered] if isinstance(self.gathered, Tensor) else self.gathered
        return torch.cat([torch.empty(0, dtype=self.gathered_dtype, device=self.device), *parts])

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # a process without a video would send an empty tensor of another type than the others expect
        self.gathered = [self._all()]
        super()._sync_dist(*args, **kwargs)
