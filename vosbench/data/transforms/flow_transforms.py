"""Transforms of the flow of a clip alone: another camera, and the errors of a flow estimator.

Randomness comes from torch's generator, which the loader seeds per worker.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.data.transforms.clip_transforms import Clip, chance, uniform


def move_camera(clip: Clip) -> Clip:
    """Add the flow of a camera that turns and zooms; what moves in the scene stays what moves.

    [ours] A turn or zoom displaces a pixel by an amount that depends on its place alone, not on depth, so
    a moving label keeps its meaning. Half of the cameras also follow the moving objects, as people
    with a camera do. The frames stay as they are: use this for methods that see flow alone.
    """
    if clip.flow is None:
        return clip
    flow = clip.flow + _turning_flow(*clip.size)
    if chance(0.5):
        flow = flow - uniform(0.4, 1.1) * _mean_motion(flow, clip.masks == 1)
    return replace(clip, flow=flow, backward=None)


def stop_camera(clip: Clip) -> Clip:
    """Take the camera's motion away: static pixels get no flow, moving ones the flow relative to the camera.

    [ours] Exact where what stands moved as one. The frames stay as they are, as in `move_camera`.
    """
    if clip.flow is None:
        return clip
    moving = clip.masks[: len(clip.flow)] == 1
    against = clip.flow - _mean_motion(clip.flow, ~moving)
    return replace(clip, flow=torch.where(moving[:, None], against, 0.0), backward=None)


def degrade_flow(clip: Clip) -> Clip:
    """Make exact flow look estimated: blurred boundaries, drift, blotches, another scale ([ours])."""
    if clip.flow is None:
        return clip
    flow = clip.flow * math.exp(uniform(-1.0, 0.7))
    strength = flow.std().clamp(0.05, 5)
    if chance(0.7):
        flow = _blur(flow, uniform(0.5, 3.0))
    if chance(0.7):
        flow = flow + strength * uniform(0.0, 0.25) * _noise_like(flow, cells=int(uniform(3, 20)))
    if chance(0.5):
        # where texture is missing, an estimator fills in from the surroundings
        filled = _blur(flow, uniform(4.0, 12.0))
        flow = torch.where(_blotches(flow, uniform(0.7, 1.5)), filled, flow)
    if chance(0.3):
        wrong = flow + strength * 1.5 * _noise_like(flow, cells=int(uniform(3, 8)))
        flow = torch.where(_blotches(flow, uniform(1.2, 2.0)), wrong, flow)
    if chance(0.5):
        flow = flow + uniform(0.0, 0.1) * torch.randn_like(flow)
    # what stands still never has exactly no flow, and the angle of next to none is anything
    shake = math.exp(uniform(math.log(0.003), math.log(0.1)))
    flow = flow + shake * _noise_like(flow, cells=int(uniform(10, 60)))
    return replace(clip, flow=flow, backward=None)


def _turning_flow(height: int, width: int) -> Tensor:
    focal = width * uniform(0.8, 1.6)
    speed = math.exp(uniform(math.log(0.002), math.log(0.05)))
    pitch, yaw = (torch.randn(2) * speed).tolist()
    roll, zoom = (torch.randn(2) * speed * 0.5).tolist()
    y = (torch.arange(height)[:, None] - (height - 1) / 2) / focal
    x = (torch.arange(width)[None, :] - (width - 1) / 2) / focal
    # instantaneous rotation field of a pinhole camera, Longuet-Higgins and Prazdny 1980
    u = x * y * pitch - (1 + x * x) * yaw + y * roll + zoom * x
    v = (1 + y * y) * pitch - x * y * yaw - x * roll + zoom * y
    return focal * torch.stack([u, v])


def _mean_motion(flow: Tensor, moving: Tensor) -> Tensor:
    moving = moving[: len(flow)]
    count = moving.sum()
    if count == 0:
        return flow.new_zeros(1, 2, 1, 1)
    total = (flow * moving[:, None]).sum(dim=(0, 2, 3), keepdim=True)
    return total / count


def _blur(flow: Tensor, sigma: float) -> Tensor:
    radius = min(math.ceil(2 * sigma), min(flow.shape[-2:]) - 1)
    taps = torch.arange(-radius, radius + 1, dtype=flow.dtype)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = flow.reshape(-1, 1, *flow.shape[-2:])
    planes = F.conv2d(F.pad(planes, (0, 0, radius, radius), "replicate"), kernel[None, None, :, None])
    planes = F.conv2d(F.pad(planes, (radius, radius, 0, 0), "replicate"), kernel[None, None, None, :])
    return planes.reshape(flow.shape)


def _noise_like(flow: Tensor, cells: int) -> Tensor:
    """Smooth noise of unit strength with `cells` bumps across."""
    coarse = torch.randn(len(flow), flow.shape[1], max(2, cells * 9 // 16), max(2, cells))
    return F.interpolate(coarse, flow.shape[-2:], mode="bicubic")


def _blotches(flow: Tensor, threshold: float) -> Tensor:
    """(N, 1, H, W) bool regions with soft outlines, fewer and smaller the higher `threshold`."""
    coarse = torch.randn(len(flow), 1, 5, 9)
    return F.interpolate(coarse, flow.shape[-2:], mode="bicubic") > threshold
