"""Optical flow as network input and as pictures.

Every function takes (..., 2, H, W) flow in pixels of its own grid, u to the right and v down.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Angle = Literal["unsigned", "signed"]

MAGNITUDE_RANGE = 6.0
"""Largest value of the magnitude channel: a vector as long as the image diagonal, about 2 pi."""

_RAMPS = (15, 6, 4, 11, 13, 6)
_UNKNOWN = 1e9


def angle_field(flow: Tensor, angle: Angle = "unsigned") -> Tensor:
    """Encode flow as direction and scaled magnitude, the input of MP-Net.

    Channel 0 is the angle to (1, 0): ``arccos(u / |flow|)`` in [0, pi], up and down alike, as the
    authors' released code has it; ``"signed"`` is ``atan2(v, u)`` in [-pi, pi]. Zero flow has
    angle 0. Channel 1 is the magnitude, clipped at the image diagonal and scaled to [0, 6].

    Args:
        flow: (..., 2, H, W) floating point, pixels.
        angle: which angle.

    Returns:
        (..., 2, H, W), dtype of `flow`.

    Source: Tokmakov et al., "Learning to segment moving objects", section 4; released encoder.
    """
    u, v = flow.unbind(-3)
    magnitude = torch.hypot(u, v)
    if angle == "signed":
        direction = torch.atan2(v, u)
    else:
        still = magnitude == 0
        cosine = u / torch.where(still, 1.0, magnitude)
        direction = torch.where(still, 0.0, torch.arccos(cosine.clamp(-1, 1)))
    diagonal = math.hypot(*flow.shape[-2:])
    scaled = magnitude.clamp(max=diagonal) * (MAGNITUDE_RANGE / diagonal)
    return torch.stack([direction, scaled], dim=-3)


def zero_mean(flow: Tensor) -> Tensor:
    """Subtract the mean vector of each frame, MP-Net's normalisation of raw flow.

    Args:
        flow: (..., 2, H, W) floating point, pixels.

    Returns:
        (..., 2, H, W) pixels, every channel of every frame with mean 0.
    """
    return flow - flow.mean(dim=(-2, -1), keepdim=True)


def colour_wheel(flow: Tensor, max_magnitude: float | None = None) -> Tensor:
    """Paint flow with the Middlebury colour wheel: hue is direction, saturation magnitude.

    Equal bit for bit to the wheel FusionSeg was trained on. Unknown flow (a component beyond 1e9)
    and NaN are black.

    Args:
        flow: (..., 2, H, W) pixels.
        max_magnitude: pixels at full saturation; by default the largest magnitude of each frame.

    Returns:
        (..., 3, H, W) uint8 RGB.

    Source: Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011.
    """
    u, v = flow.to(torch.float64).unbind(-3)
    unknown = (u.abs() > _UNKNOWN) | (v.abs() > _UNKNOWN)
    u, v = (torch.where(unknown, 0.0, component) for component in (u, v))
    invalid = u.isnan() | v.isnan()
    u, v = (torch.where(invalid, 0.0, component) for component in (u, v))

    if max_magnitude is not None and max_magnitude > 0:
        largest = torch.tensor(max_magnitude, dtype=torch.float64, device=flow.device)
    else:
        largest = (u * u + v * v).sqrt().amax(dim=(-2, -1), keepdim=True)
    scale = largest + torch.finfo(torch.float64).eps
    u, v = u / scale, v / scale

    colours = _wheel_colours().to(flow.device)
    position = (torch.atan2(-v, -u) / math.pi + 1) / 2 * (len(colours) - 1)
    lower = position.floor().long()
    upper = (lower + 1) % len(colours)
    weight = (position - lower).unsqueeze(-1)
    colour = (1 - weight) * colours[lower] + weight * colours[upper]

    magnitude = (u * u + v * v).sqrt().unsqueeze(-1)
    colour = torch.where(magnitude <= 1, 1 - magnitude * (1 - colour), colour * 0.75)
    colour = torch.where((unknown | invalid).unsqueeze(-1), 0.0, colour)
    return (255 * colour).floor().to(torch.uint8).movedim(-1, -3)


def angle_magnitude(flow: Tensor) -> Tensor:
    """Paint flow as angle (red) and magnitude (green), the input of the motion Mask R-CNN.

    The magnitude is stretched between its extremes in each frame, which `magnitude_range` gives.
    Constant magnitude has green 0; NaN is black.

    Args:
        flow: (..., 2, H, W) pixels.

    Returns:
        (..., 3, H, W) uint8 RGB, blue 0.

    Source: Dave et al., "Towards Segmenting Anything That Moves", and its released code.
    """
    u, v = flow.to(torch.float32).unbind(-3)
    magnitude = (u * u + v * v).sqrt()
    lowest, highest = magnitude_range(flow).to(torch.float32)[..., None, None].unbind(-3)
    spread = highest - lowest
    red = 255 * (torch.atan2(v, u) + math.pi) / (2 * math.pi)
    green = 255 * (magnitude - lowest) / torch.where(spread == 0, 1.0, spread)
    invalid = magnitude.isnan()
    channels = [torch.where(invalid, 0.0, channel) for channel in (red, green)]
    return torch.stack([*channels, torch.zeros_like(red)], dim=-3).to(torch.uint8)


def magnitude_range(flow: Tensor) -> Tensor:
    """Return the smallest and largest magnitude of each frame, NaN left out.

    Args:
        flow: (..., 2, H, W) pixels.

    Returns:
        (..., 2) float64 pixels.
    """
    u, v = flow.to(torch.float32).unbind(-3)
    magnitude = (u * u + v * v).sqrt()
    invalid = magnitude.isnan()
    lowest = torch.where(invalid, math.inf, magnitude).amin(dim=(-2, -1))
    highest = torch.where(invalid, -math.inf, magnitude).amax(dim=(-2, -1))
    return torch.stack([lowest, highest], dim=-1).to(torch.float64)


def _wheel_colours() -> Tensor:
    """Return the 55 colours of the wheel, (55, 3) float64 in [0, 1]."""
    corners = torch.tensor(
        [[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]
    )
    ramps = []
    for start, length in enumerate(_RAMPS):
        step = torch.arange(length)[:, None] * 255 // length
        direction = (corners[(start + 1) % len(corners)] - corners[start]).sign()
        ramps.append(corners[start] + direction * step)
    return torch.cat(ramps).to(torch.float64) / 255
