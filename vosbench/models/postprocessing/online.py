"""Online adaptation of a copy of a network to one video.

A part of the network is copied, the copy learns, the given one is never touched. So there is nothing to
restore: whatever ends a video early, an exception, an abandoned generator, a second video begun meanwhile,
nothing of it can reach the next one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from vosbench.data.loading.mixing import seeded

M = TypeVar("M", bound=nn.Module)


def adapted(module: M, learn: Callable[[M], None], *, seed: int = 0) -> M:
    """Return a copy of a network that has learned.

    Args:
        module: what is copied; neither its weights and buffers nor its gradients or modes change.
        learn: trains the copy in place. It is called with gradients switched on, whatever the caller
            has switched, all parameters wanting one, and the copy in test mode; a mode it needs it sets
            itself. What it draws from the global generators of Python, numpy and torch, on the
            CPU and the device of the module, follows from the seed alone; they go on afterwards as if
            it had not drawn. It computes in float32 whatever autocast the caller is in: nothing scales
            gradients here, and autocast would go on with rounded copies of weights that have changed.
        seed: of these.

    Returns:
        The copy, in test mode, its parameters without gradients.
    """
    with learning(module, seed):
        copied = copy.deepcopy(module).requires_grad_(True).eval()
        copied.zero_grad(set_to_none=True)
        learn(copied)
        copied.zero_grad(set_to_none=True)
        return copied.requires_grad_(False).eval()


@contextmanager
def learning(module: nn.Module, seed: int) -> Iterator[None]:
    """Let a network learn in the middle of a test, see `adapted`; the generators are restored after.

    Args:
        module: on whose device.
        seed: of what is drawn from the global generators.
    """
    # tensors that are made in inference mode could not be trained
    device = next(module.parameters()).device.type
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device, enabled=False),
        _seeded(seed, module),
    ):
        yield


def draws(count: int, length: int, seed: int = 0) -> Iterator[int]:
    """Yield `length` numbers below `count` in random order; none comes again before all others came.

    Raises:
        ValueError: there is nothing to draw from.
    """
    if count < 1:
        raise ValueError(f"there are {count} things to draw from")
    random = np.random.default_rng([seed, count])
    left = length
    while left > 0:
        yield from random.permutation(count)[:left].tolist()
        left -= count


@contextmanager
def _seeded(seed: int, module: nn.Module) -> Iterator[None]:
    devices = {each.device for each in module.parameters() if each.device.type == "cuda"}
    with torch.random.fork_rng(devices), seeded(seed):
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
