"""Losses of the branches of STCNN (Xu et al., section 3.3, and the released code)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.models.pixelwise import dice_loss, mean_over_known

ADVERSARIAL = 0.001
"""Weight of the adversarial term of the generator."""


def discriminator_losses(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Return -log(1 - D) of predicted frames and -log D of real ones, each a mean, from logits (N,)."""
    return F.softplus(fake).mean(), F.softplus(-real).mean()


def generator_loss(predicted: Tensor, target: Tensor, fake: Tensor, weight: float = ADVERSARIAL) -> Tensor:
    """Return the mean squared error of predicted frames, minus `weight` times the mean of log D.

    Args:
        predicted: (N, 3, h, w), -1..1.
        target: the same of the true frames, see `shrink_frames`.
        fake: (N,) logits of the discriminator for `predicted`.
        weight: of the second term; the paper's lambda.
    """
    return F.mse_loss(predicted.float(), target.float()) + weight * F.softplus(-fake).mean()


def shrink_frames(frames: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize frames (N, 3, H, W) to the grid of the predicted ones, bilinearly and without aliasing."""
    return F.interpolate(frames, tuple(size), mode="bilinear", align_corners=False, antialias=True)


def side_weight(iteration: int, total: int) -> float:
    """Return the weight of all maps but the fused one: 1 at first, 0 at the end, linear between."""
    return max(0.0, 1 - iteration / total)


def segmentation_loss(
    logits: Sequence[Tensor], masks: Tensor, side: float = 1.0, dice: float = 0.0
) -> Tensor:
    """Return the binary cross entropy of the fused map, plus `side` times that of every other map.

    Args:
        logits: maps (N, 1, H, W), the fused one last.
        masks: (N, H, W) uint8, any object is foreground, 255 counts nowhere.
        side: 1 in pretraining, `side_weight` in joint training, 0 in online training.
        dice: weight of the soft Dice loss of the fused map beside its cross entropy, [ours].
    """
    loss = _cross_entropy(logits[-1], masks)
    if dice:
        loss = loss + dice * dice_loss(logits[-1][:, 0].float().sigmoid(), masks)
    if side:
        for level in logits[:-1]:
            loss = loss + side * _cross_entropy(level, masks)
    return loss


@dataclass(frozen=True)
class Balance:
    """Balance of the two adversaries: which of them learns in the next step, by the released code.

    Two flags that latch: the losses of the discriminator only ever clear them, and once both are cleared both
    are set again.

    Attributes:
        generator: whether the generator learns. The joint stage begins without it.
        discriminator: whether the discriminator learns.
        margin: a loss below it clears the flag of the discriminator, a loss above 1 - margin that of the
            generator.
    """

    generator: bool = True
    discriminator: bool = True
    margin: float = 0.3

    def after(self, fake: float, real: float) -> Balance:
        """Return the balance after a step in which the discriminator had these two losses."""
        discriminator = self.discriminator and not min(fake, real) < self.margin
        generator = self.generator and not max(fake, real) > 1 - self.margin
        if not discriminator and not generator:
            discriminator = generator = True
        return replace(self, generator=generator, discriminator=discriminator)


def _cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    target = (masks > 0).float()
    losses = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target, reduction="none")
    return mean_over_known(losses, masks)
