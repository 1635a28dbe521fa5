"""Small networks, clips and targets for the tests of LIP."""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.rules import DetectionRules, select
from vosbench.models.lip.widths import TINY

SIZE = (64, 96)
BOXES = [[20.0, 10.0, 60.0, 40.0], [60.0, 20.0, 90.0, 50.0]]
BEST = partial(select, previous=None, rules=DetectionRules())


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def tiny(ids: int = 3, seed: int = 0, **keys: Any) -> LIPNet:
    torch.manual_seed(seed)
    return LIPNet(ids, widths=TINY, **keys)


def clip(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(1, frames, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def target(ids: Sequence[int] = (1, 3)) -> dict[str, Tensor]:
    masks = torch.zeros(len(ids), *SIZE, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES, strict=False):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = 1
    boxes = torch.tensor(BOXES[: len(ids)]).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(ids, dtype=torch.int64), "masks": masks}


def state_hash(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
