"""Checked conversion of ids and masks from tensors to arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Axes = tuple[str, ...]

VIDEO: Axes = ("T", "H", "W")


def id_array(name: str, ids: Tensor, axes: Axes = VIDEO) -> NDArray[np.integer]:
    """Return object ids as an array; a bool mask is one object, of id 1.

    Args:
        name: of the argument, for the error message.
        ids: integer or bool, on any device.
        axes: names of the dimensions.

    Raises:
        ValueError: no tensor, neither integer nor bool, other dimensions, or a negative id.
    """
    array = _array(name, ids, axes, "tensor of integer ids or bool", "biu")
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if (lowest := int(array.min(initial=0))) < 0:
        raise ValueError(f"{name} holds id {lowest}; ids are 0 for the background and positive for objects")
    return array


def mask_array(name: str, mask: Tensor, axes: Axes = VIDEO) -> NDArray[np.bool_]:
    """Return masks as an array; arguments as in `id_array`.

    Raises:
        ValueError: no tensor, not bool, or other dimensions.
    """
    return _array(name, mask, axes, "bool tensor", "b")


def number_array(name: str, numbers: Tensor, axes: Axes) -> NDArray[np.float64]:
    """Return real numbers as an array of float64; arguments as in `id_array`.

    Raises:
        ValueError: no tensor, complex, or other dimensions.
    """
    if isinstance(numbers, Tensor) and numbers.is_floating_point():
        numbers = numbers.double()
    return _array(name, numbers, axes, "tensor of numbers", "biuf").astype(np.float64)


def check_shapes(**arrays: NDArray[np.generic] | None) -> None:
    """Refuse arrays that do not have the shape of the first one.

    Raises:
        ValueError: names the array and both shapes.
    """
    (first, leader), *others = ((name, array) for name, array in arrays.items() if array is not None)
    for name, array in others:
        if array.shape != leader.shape:
            raise ValueError(f"{name} has shape {array.shape}, {first} has {leader.shape}: sizes must agree")


def id_videos(
    pred_ids: Tensor, target_ids: Tensor, **masks: Tensor | None
) -> tuple[NDArray[np.integer], NDArray[np.integer], dict[str, NDArray[np.bool_] | None]]:
    """Return the ids of a prediction and of its ground truth, and masks by name: (T, H, W) arrays.

    Raises:
        ValueError: as in `id_array` and `mask_array`, or shapes that differ.
    """
    pred, target = id_array("pred_ids", pred_ids), id_array("target_ids", target_ids)
    arrays = {name: None if mask is None else mask_array(name, mask) for name, mask in masks.items()}
    check_shapes(pred_ids=pred, target_ids=target, **arrays)
    return pred, target, arrays


def _array(name: str, tensor: object, axes: Axes, wanted: str, kinds: str) -> NDArray[Any]:
    """Return a tensor as an array of one of the `kinds` of numpy."""
    shape = f"({axes[0]},)" if len(axes) == 1 else f"({', '.join(axes)})"
    expected = f"{name} must be a {shape} {wanted}"
    if not isinstance(tensor, Tensor):
        advice = ": torch.from_numpy makes a tensor of it" if isinstance(tensor, np.ndarray) else ""
        raise ValueError(f"{expected}, got {type(tensor).__module__}.{type(tensor).__qualname__}{advice}")
    advice = ""
    if tensor.is_floating_point() and "f" not in kinds:
        advice = f": compare with a threshold first, e.g. {name} > 0.5"
    elif tensor.ndim == len(axes) and (array := tensor.detach().cpu().numpy()).dtype.kind in kinds:
        return array
    raise ValueError(f"{expected}, got {tensor.dtype} of shape {tuple(tensor.shape)}{advice}")
