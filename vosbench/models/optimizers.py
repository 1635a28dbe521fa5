"""Optimiser and schedule of a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from vosbench.config import OptimizerConfig, ScheduleConfig
from vosbench.errors import unknown_name

WARMUP = 0.05
"""Share of a cosine schedule in which the learning rate rises."""

BIAS_LR = 2.0
"""Factor of `bias_groups` on the learning rate of biases."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are trained faster or slower than the others, or decay otherwise.

    Attributes:
        parameters: of the group.
        lr: factor on the learning rate.
        weight_decay: factor on the weight decay.
    """

    parameters: Sequence[nn.Parameter]
    lr: float = 1.0
    weight_decay: float = 1.0


class DecaySchedule(LambdaLR):
    """Multiplies the learning rate and, unlike torch's schedules, the weight decay too.

    Args:
        optimizer: its present learning rates and weight decays are the base values.
        factor: step or epoch -> factor.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        for group in optimizer.param_groups:
            # kept in the group, beside torch's initial_lr, so that it is saved and restored with it
            group.setdefault("initial_weight_decay", group["weight_decay"])
        super().__init__(optimizer, factor)

    def step(self, epoch: int | None = None) -> None:
        """Advance by one."""
        super().step(epoch)
        for group, factor in zip(self.optimizer.param_groups, self.lr_lambdas, strict=True):
            group["weight_decay"] = group["initial_weight_decay"] * factor(self.last_epoch)


def build_optimizer(
    parameters: Iterable[nn.Parameter | ParameterGroup],
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    steps: int,
) -> dict[str, Any]:
    """Return the optimiser and schedule, in the form of `LightningModule.configure_optimizers`.

    Args:
        parameters: to train; groups have factors of their own, which the schedule leaves alone.
        optimizer: its settings.
        schedule: its settings; ``step``, ``multistep`` and ``exponential`` advance per epoch, the others
            per step.
        steps: optimiser steps of the whole stage, for ``poly`` and ``cosine``.

    Raises:
        InputError: unknown optimiser or schedule.
    """
    built = _optimizer(_groups(parameters, optimizer), optimizer)
    if schedule.name == "constant":
        return {"optimizer": built}
    steps = max(1, steps)
    factors: dict[str, tuple[str, Callable[[int], float]]] = {
        "step": ("epoch", lambda epoch: _steps_factor(epoch, schedule)),
        "multistep": ("epoch", lambda epoch: _steps_factor(epoch, schedule)),
        "exponential": ("epoch", lambda epoch: schedule.gamma**epoch),
        "poly": ("step", lambda step: (1 - min(1.0, step / steps)) ** schedule.power),
        "cosine": ("step", lambda step: _cosine_factor(step / steps, schedule.gamma)),
    }
    if schedule.name not in factors:
        raise unknown_name("schedule", schedule.name, ("constant", *factors))
    interval, factor = factors[schedule.name]
    kind = DecaySchedule if schedule.name == "step" else LambdaLR
    return {"optimizer": built, "lr_scheduler": {"scheduler": kind(built, factor), "interval": interval}}


def bias_groups(module: nn.Module) -> list[nn.Parameter | ParameterGroup]:
    """Return the parameters that a module trains, biases apart: they learn twice as fast and do not decay."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    biases = [p for name, p in trained.items() if name.endswith("bias")]
    weights: list[nn.Parameter] = [p for name, p in trained.items() if not name.endswith("bias")]
    return [*weights, ParameterGroup(biases, lr=BIAS_LR, weight_decay=0.0)]


def warmup_factor(step: int, steps: int) -> float:
    """Return the factor on the learning rate: it rises in a line from a third to 1 after `steps` steps."""
    return 1.0 if step >= steps else 1 / 3 + (1 - 1 / 3) * step / steps


def _groups(
    parameters: Iterable[nn.Parameter | ParameterGroup], settings: OptimizerConfig
) -> list[dict[str, Any]]:
    plain: list[nn.Parameter] = []
    groups: list[dict[str, Any]] = []
    for item in parameters:
        if isinstance(item, nn.Parameter):
            plain.append(item)
        elif item.parameters:
            rates = {"lr": item.lr * settings.lr, "weight_decay": item.weight_decay * settings.weight_decay}
            groups.append({"params": list(item.parameters), **rates})
    return [{"params": plain}, *groups] if plain else groups


def _optimizer(parameters: list[dict[str, Any]], settings: OptimizerConfig) -> Optimizer:
    lr, decay, eps = settings.lr, settings.weight_decay, settings.eps
    betas = (settings.momentum, 0.999)
    if settings.name == "sgd":
        return SGD(parameters, lr, momentum=settings.momentum, weight_decay=decay)
    if settings.name == "adam":
        return Adam(parameters, lr, betas=betas, eps=eps, weight_decay=decay)
    if settings.name == "adamw":
        return AdamW(parameters, lr, betas=betas, eps=eps, weight_decay=decay)
    if settings.name == "rmsprop":
        return RMSprop(parameters, lr, settings.alpha, eps, decay, momentum=settings.momentum)
    raise unknown_name("optimizer", settings.name, ("sgd", "adam", "adamw", "rmsprop"))


def _steps_factor(epoch: int, schedule: ScheduleConfig) -> float:
    return float(schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones))


def _cosine_factor(progress: float, lowest: float) -> float:
    if progress < WARMUP:
        return max(0.01, progress / WARMUP)
    fall = min(1.0, (progress - WARMUP) / (1 - WARMUP))
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * fall))
