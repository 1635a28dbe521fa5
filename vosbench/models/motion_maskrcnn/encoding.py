"""Optical flow as the picture that the motion stream sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vosbench.flow.encodings import MAGNITUDE_RANGE, angle_magnitude, magnitude_range

ChannelOrder = Literal["bgr_code", "paper"]
ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)

FlowRange = Literal["released", "unit"]
RANGES: tuple[FlowRange, ...] = get_args(FlowRange)

ANGLE_RANGE = 255.0
"""Largest value of the angle channel, which the released code leaves as it is stored."""

UNIT_PIXELS = 4.0
"""Magnitude that ``"unit"`` makes 1, pixels."""


@dataclass(frozen=True)
class FlowImage:
    """Encodes flow: signed direction from 0 to 255, magnitude from 0 to 6, and an empty channel.

    Attributes:
        channel_order: ``"bgr_code"``, (0, magnitude, angle), as the released code reads its files, or
            ``"paper"``, (angle, magnitude, 0).
        quantise_8bit: angle and magnitude pass through 8 bits, as the files of the released code have them,
            the magnitude stretched between its extremes of each frame.
        low_magnitude_threshold: pixels; angle 0 where the magnitude is below. 0 is off.
        flow_range: ``"released"``, or ``"unit"``, [ours]: direction from -1 to 1 and 1 for 4 pixels. In the
            former the magnitude is a thousandth of the direction, which weights that start at random
            do not make up for.
    """

    channel_order: ChannelOrder = "bgr_code"
    quantise_8bit: bool = True
    low_magnitude_threshold: float = 0.0
    flow_range: FlowRange = "released"

    def __call__(self, flow: Tensor) -> Tensor:
        """Return (..., 3, H, W) float32 of (..., 2, H, W) pixels of the frame before any resizing.

        The magnitude is clipped at the diagonal of the frame, which 6 stands for in the released range.
        Unknown (NaN) flow has angle and magnitude of the smallest code.
        """
        angle, magnitude = self._stored(flow.float())
        if self.low_magnitude_threshold > 0:
            angle = torch.where(magnitude < self.low_magnitude_threshold, 0.0, angle)
        diagonal = math.hypot(*flow.shape[-2:])
        scaled = magnitude.clamp(max=diagonal)
        if self.flow_range == "unit":
            angle = angle * (2 / ANGLE_RANGE) - 1
            scaled = scaled / UNIT_PIXELS
        else:
            scaled = scaled * (MAGNITUDE_RANGE / diagonal)
        channels = [angle, scaled, torch.zeros_like(angle)]
        return torch.stack(channels if self.channel_order == "paper" else channels[::-1], dim=-3)

    def _stored(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return angle code and magnitude in pixels, (..., H, W) each."""
        if self.quantise_8bit:
            red, green, _ = angle_magnitude(flow).float().unbind(-3)
            low, high = magnitude_range(flow).float()[..., None, None].unbind(-3)
            return red, green / 255 * (high - low) + low
        u, v = flow.unbind(-3)
        magnitude = torch.hypot(u, v)
        angle = (torch.atan2(v, u) + math.pi) * (ANGLE_RANGE / (2 * math.pi))
        known = ~magnitude.isnan()
        return torch.where(known, angle, 0.0), torch.where(known, magnitude, 0.0)
