"""Mean, recall and decay of the per-frame values of one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vosbench.metrics.kernels import statistics


def sequence_statistics(values: Tensor | Sequence[float]) -> dict[str, float]:
    """Summarise the evaluated frames of one sequence.

    See `vosbench.metrics.kernels.statistics.sequence_statistics`, which defines the values.

    Args:
        values: (n,) values in frame order, fractions, on any device.

    Returns:
        ``{"mean", "recall", "decay"}`` as float64 fractions; all NaN when n = 0.

    Raises:
        ValueError: `values` is not one-dimensional.

    Example:
        >>> sequence_statistics(torch.tensor([1.0, 1.0, 0.75, 0.5, 0.5]))
        {'mean': 0.75, 'recall': 0.6, 'decay': 0.5}
    """
    return statistics.sequence_statistics(torch.as_tensor(values, dtype=torch.float64).cpu().numpy())
