"""Joint training of the two branches of STCNN, with several optimisers (Xu et al., section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.config import StageConfig
from vosbench.errors import InputError
from vosbench.models.stcnn.generator import scale_past
from vosbench.models.stcnn.losses import discriminator_losses, generator_loss

Backward = Callable[[Tensor], None]


def check_alternating(name: str, stage: StageConfig, frames: int) -> None:
    """Refuse settings that make no sense where several optimisers take turns.

    Args:
        name: of the stage.
        stage: its settings.
        frames: of a clip.

    Raises:
        InputError: which key, and what it must be.
    """
    if stage.accumulate != 1 or stage.clip_gradients is not None or stage.schedule.name != "constant":
        raise InputError(
            f"stcnn: in stage {name} several optimisers take turns: leave accumulate, clip_gradients and "
            "schedule as they are"
        )
    if stage.clip.length < frames:
        raise InputError(
            f"stcnn: stage {name} sees {frames} frames, write recipe.{name}.clip.length={frames}"
        )


def split_clip(
    batch: Mapping[str, Tensor], delta: int, size: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """Return past and present of clips.

    Args:
        batch: ``frames`` (B, T, 3, H, W) uint8, ``sizes`` (B, 2) of what is not padding.
        delta: past frames, those right before the last one.
        size: every clip is resized to it, without its padding; None: all stay as they are.

    Returns:
        (B, 3 * delta, h, w), -1..1, and the last frame (B, 3, h, w), 0..255.
    """
    frames = batch["frames"][:, -delta - 1 :]
    if size is None:
        pixels = frames.float()
    else:
        pixels = torch.stack(
            [
                F.interpolate(
                    clip[..., :height, :width].float(),
                    size,
                    mode="bilinear",
                    align_corners=False,
                    antialias=True,
                )
                for clip, (height, width) in zip(frames, batch["sizes"].tolist(), strict=True)
            ]
        )
    return scale_past(pixels[:, :-1].flatten(1, 2)), pixels[:, -1]


def teach_discriminator(
    judge: nn.Module, predicted: Tensor, real: Tensor, backward: Backward, optimizer: Any | None
) -> Tensor:
    """Let the discriminator learn one step, or only look.

    Args:
        judge: the discriminator.
        predicted: (N, 3, h, w) frames of the generator, which gets no gradient.
        real: the true ones.
        backward: called with the loss.
        optimizer: of the discriminator; None while it rests.

    Returns:
        (2,) its losses for predicted and for real frames, before the step.
    """
    with torch.set_grad_enabled(optimizer is not None):
        losses = torch.stack(discriminator_losses(judge(predicted.detach()), judge(real)))
    if optimizer is not None:
        optimizer.zero_grad()
        backward(losses.sum())
        optimizer.step()
    return losses.detach()


def generator_objective(judge: nn.Module, predicted: Tensor, real: Tensor, weight: float) -> Tensor:
    """Return the loss of the generator; the discriminator gets no gradient from it."""
    with _without_gradient(judge):
        return generator_loss(predicted, real, judge(predicted), weight)


@contextmanager
def _without_gradient(module: nn.Module) -> Iterator[None]:
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
