"""Comparing results that may differ by rounding: sums are taken in the order that suits a processor."""

from typing import Any

import numpy as np
import torch


def assert_rounded(found: Any, expected: Any, roundings: int = 512) -> None:
    """Fail where two results of one computation differ by more than rounding can.

    Args:
        found: tensor or array.
        expected: likewise, of the same shape.
        roundings: bound in units of the largest magnitude expected times the machine precision of the coarser
            type; the default is some ten layers of a network. Whole numbers are equal.
    """
    pair = [_tensor(each) for each in (found, expected)]
    assert pair[0].shape == pair[1].shape
    if not any(each.is_floating_point() for each in pair):
        assert torch.equal(*pair)
        return
    eps = max(torch.finfo(each.dtype).eps for each in pair if each.is_floating_point())
    first, second = (each.double() for each in pair)
    bound = roundings * eps * float(second.abs().max())
    difference = float((first - second).abs().max())
    assert difference <= bound, f"{difference:.2e} apart, more than {bound:.2e}"


def assert_decided(mask: Any, probability: Any, threshold: float = 0.5, roundings: int = 512) -> None:
    """Fail where a mask is not what is above a threshold, but for what rounding puts on either side of it."""
    near = np.abs(np.asarray(probability, np.float64) - threshold) <= roundings * np.finfo(np.float32).eps
    wrong = (np.asarray(mask) != 0) != (np.asarray(probability) > threshold)
    assert not (wrong & ~near).any()


def _tensor(values: Any) -> torch.Tensor:
    return values.detach() if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))
