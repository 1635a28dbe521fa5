"""Frames and flow as tensors; scaling of pixels for networks with published weights."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from vosbench.video import FlowField, Frame

Convention = Literal["caffe", "torchvision"]
CONVENTIONS: tuple[Convention, ...] = ("caffe", "torchvision")
"""Of segmentation networks, whose strides and dilations go with it."""

Scaling = Literal["caffe", "detectron", "torchvision"]
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)

_CAFFE_MEAN = (104.008, 116.669, 122.675)
_DETECTRON_MEAN = (102.9801, 115.9465, 122.7717)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(frames: Tensor, convention: Scaling) -> Tensor:
    """Scale RGB frames for a network.

    Args:
        frames: (..., 3, H, W) RGB, 0..255, uint8 or floating.
        convention: ``"caffe"``: BGR, 0..255, minus DeepLab's mean (104.008, 116.669, 122.675), for the
            weights released with DeepLab; ``"detectron"``: the same with the mean of Detectron,
            (102.9801, 115.9465, 122.7717), for the weights released with that; ``"torchvision"``: RGB,
            0..1, minus mean and over standard deviation of ImageNet, for torchvision's.

    Returns:
        The same shape, float32 for uint8, otherwise the type of `frames`.
    """
    pixels = frames if frames.is_floating_point() else frames.float()
    if convention == "caffe":
        return pixels.flip(-3) - _column(_CAFFE_MEAN, pixels)
    if convention == "detectron":
        return pixels.flip(-3) - _column(_DETECTRON_MEAN, pixels)
    if convention == "torchvision":
        return (pixels / 255 - _column(_IMAGENET_MEAN, pixels)) / _column(_IMAGENET_STD, pixels)
    raise ValueError(f"unknown convention {convention!r}; choose from {', '.join(SCALINGS)}")


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def frame_tensor(frame: Frame, device: torch.device) -> Tensor:
    """Return a frame, (H, W, 3) uint8, as (1, 3, H, W) uint8 on a device."""
    return torch.from_numpy(np.array(frame)).to(device).permute(2, 0, 1)[None]


def flow_tensor(field: FlowField, device: torch.device) -> Tensor:
    """Return a flow field, (2, H, W) in pixels, as (1, 2, H, W) float32 on a device."""
    return torch.from_numpy(np.array(field, dtype=np.float32)).to(device)[None]
