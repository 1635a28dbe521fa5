"""Comparison of results that may differ by rounding, since processors sum in different orders."""

from typing import Any

import numpy as np
import torch


def assert_rounded(actual: Any, expected: Any, roundings: int = 512) -> None:
    """Fail where two results of one computation differ by more than rounding can.

    Args:
        actual: tensor or array.
        expected: likewise, of the same shape.
        roundings: bound in units of the largest magnitude expected times the machine precision of the coarser
            type; the default is some ten layers of a network. Whole numbers are equal.
    """
    pair = [_tensor(values) for values in (actual, expected)]
    assert pair[0].shape == pair[1].shape
    if not any(values.is_floating_point() for values in pair):
        assert torch.equal(*pair)
        return
    eps = max(torch.finfo(values.dtype).eps for values in pair if values.is_floating_point())
    first, second = (values.double() for values in pair)
    bound = roundings * eps * float(second.abs().max())
    difference = float((first - second).abs().max())
    assert difference <= bound, f"{difference:.2e} apart, more than {bound:.2e}"


def assert_decided(mask: Any, probability: Any, threshold: float = 0.5, roundings: int = 512) -> None:
    """Fail where a mask differs from a thresholded probability by more than rounding of the probability."""
    near = np.abs(np.asarray(probability, np.float64) - threshold) <= roundings * np.finfo(np.float32).eps
    wrong = (np.asarray(mask) != 0) != (np.asarray(probability) > threshold)
    assert not (wrong & ~near).any()


def _tensor(values: Any) -> torch.Tensor:
    return values.detach() if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))
