"""Mean, recall and decay of the per-frame values of one sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

STATISTICS = ("mean", "recall", "decay")


def sequence_statistics(values: ArrayLike) -> dict[str, float]:
    """Summarise the evaluated frames of one sequence.

    * mean: average of the values, NaN ignored;
    * recall: share of values strictly above 0.5 (NaN is not above and stays in the denominator);
    * decay: mean of the first quarter minus mean of the last quarter, NaN ignored. Neighbouring
      quarters share one frame.

    Args:
        values: (n,) values in frame order, fractions.

    Returns:
        ``{"mean", "recall", "decay"}`` as float64 fractions; all NaN when n = 0.

    Raises:
        ValueError: `values` is not one-dimensional.

    Source: Perazzi et al., CVPR 2016, section 5.2; the quarters of the DAVIS toolkits, with edges of
    any size (a released implementation overflows beyond 256 frames).

    Example:
        >>> sequence_statistics([1.0, 1.0, 0.75, 0.5, 0.5])
        {'mean': 0.75, 'recall': 0.6, 'decay': 0.5}
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"values must be one-dimensional, got shape {tuple(series.shape)}")
    n = len(series)
    if n == 0:
        return dict.fromkeys(STATISTICS, math.nan)
    # five edges split 0..n-1 evenly; halves round up, which the tiny term secures against float error
    first_end, last_start = (math.floor((n - 1) * k / 4 + 1 + 0.5 + 1e-10) - 1 for k in (1, 3))
    return {
        "mean": nan_mean(series),
        "recall": float((series > 0.5).mean()),
        "decay": nan_mean(series[: first_end + 1]) - nan_mean(series[last_start:]),
    }


def nan_mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN, without a warning, when there is none."""
    defined = values[~np.isnan(values)]
    return math.fsum(defined.tolist()) / len(defined) if len(defined) else math.nan


def named_statistics(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the statistics of several measures of one sequence as ``J_mean``, ``J_recall`` and so on.

    Args:
        values: measure, e.g. ``"J"`` -> (n,) values in frame order.
    """
    return {
        f"{measure}_{name}": value
        for measure, series in values.items()
        for name, value in sequence_statistics(series).items()
    }
