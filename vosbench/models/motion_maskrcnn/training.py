"""Training of Motion Mask R-CNN: parameter groups, warm-up, classes of targets."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vosbench.models.motion_maskrcnn.heads import DetectionHeads
from vosbench.models.motion_maskrcnn.network import OBJECT_CLASSES
from vosbench.models.optimizers import ParameterGroup

WARMUP_FROM = 1 / 3
BIAS_LR = 2.0


def groups(network: nn.Module) -> list[nn.Parameter | ParameterGroup]:
    """Return what is trained of a network: biases learn twice as fast and do not decay."""
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    biases = [each for name, each in trained.items() if name.endswith("bias")]
    weights = [each for name, each in trained.items() if not name.endswith("bias")]
    return [*weights, ParameterGroup(biases, lr=BIAS_LR, weight_decay=0)]


def warmup_factor(step: int, steps: int) -> float:
    """Return the factor on the learning rate: it rises in a line from a third to 1 after `steps` steps."""
    return 1.0 if step >= steps else WARMUP_FROM + (1 - WARMUP_FROM) * step / steps


def learned(target: Mapping[str, Tensor], heads: DetectionHeads) -> dict[str, Tensor]:
    """Return what `heads` learn from a target of `detection_targets`: all is one class, if they know one."""
    labels = target["labels"]
    if heads.roi_heads.box_predictor.cls_score.out_features == OBJECT_CLASSES:
        labels = torch.ones_like(labels)
    return {"boxes": target["boxes"], "labels": labels, "masks": target["masks"]}
