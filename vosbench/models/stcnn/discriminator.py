"""Discriminator of real and predicted frames (Xu et al., section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models import inception_v3  # type: ignore[import-untyped]

from vosbench.models.layers.precision import at_least_float32
from vosbench.models.pixelwise import enlarge

OUTPUTS = (1, 2)
SMALLEST_SIDE = 75
"""Pixels that Inception-v3 needs."""


class Discriminator(nn.Module):
    """Inception-v3 without auxiliary head, or a small stand-in for it.

    Args:
        outputs: 1, a logit of being real, as released; 2, one per class, as in the paper.
        remap: take the frame for one normalised for ImageNet and bring it to -1..1 by the statistics, as
            released, although it is in -1..1 already.
        width: None for Inception-v3; a number for that many channels in the first of three convolutions
            with stride 2 in its place, [ours], for a CPU.
    """

    spare: ClassVar[tuple[str, ...]] = ("AuxLogits.",)
    classes: ClassVar[tuple[str, ...]] = ("body.fc.",)

    def __init__(self, outputs: int = 1, *, remap: bool = True, width: int | None = None) -> None:
        super().__init__()
        self.smallest = 1 if width else SMALLEST_SIDE
        self.body: nn.Module = (
            _small(width, outputs)
            if width
            else inception_v3(
                weights=None,
                num_classes=outputs,
                aux_logits=False,
                transform_input=remap,
                # torchvision's own, a truncated normal distribution, takes a minute to draw
                init_weights=False,
            )
        )

    def forward(self, frame: Tensor) -> Tensor:
        """Return logits of being real, (N,) float32; frames (N, 3, h, w), -1..1.

        Frames that Inception-v3 cannot look at are enlarged until it can, [ours].
        """
        sides = frame.shape[-2:]
        if min(sides) < self.smallest:
            frame = enlarge(frame, (max(sides[0], self.smallest), max(sides[1], self.smallest)))
        scores = at_least_float32(self.body(frame))
        # the softmax of two classes is the sigmoid of their difference
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    @staticmethod
    def adapt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights of torchvision's Inception-v3 under the names used here."""
        return {
            name if name.startswith(("AuxLogits.", "body.")) else f"body.{name}": value
            for name, value in state.items()
        }


def _small(width: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, channels in pairwise((3, width, 2 * width, 4 * width)):
        layers += [
            nn.Conv2d(inputs, channels, kernel_size=4, stride=2, padding=2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, outputs))
