"""Pyramid of LIP at size lite, and pictures and masks on its grid ([ours], for a CPU).

Pictures are resized until either side is 1 more than a multiple of 32, without padding: only there do the
corners of all maps of EfficientNet-Lite0 stand for the corners of the picture, as pooling of regions expects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList  # type: ignore[import-untyped]
from torchvision.models.detection.transform import resize_boxes  # type: ignore[import-untyped]

from vosbench.models.layers.detection import Features, Found, Targets
from vosbench.models.layers.lite_pyramid import LiteFeatures, fitted_size


class LiteBackbone(LiteFeatures):
    """Appearance stream of FusionSeg lite, which never changes, and P6."""

    def __init__(self) -> None:
        super().__init__()
        self.train_all(trained=False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Features:  # type: ignore[override]
        """Return P2 to P6, (N, `channels`, h, w), of (N, 3, H, W) normalised pixels of a fitted size."""
        levels = dict(zip(("0", "1", "2", "3"), self.levels(x), strict=True))
        return levels | {"pool": F.max_pool2d(levels["3"], kernel_size=1, stride=2)}

    def train_all(self, trained: bool) -> None:
        """Keep gradients from all weights, and statistics as they are, whatever is asked."""
        self.requires_grad_(requires_grad=False)
        self.train(trained)

    def train(self, mode: bool = True) -> LiteBackbone:
        """Stay in test mode."""
        super().train(mode=False)
        return self


def prepare_fitted(
    pictures: Sequence[Tensor], targets: Targets | None, short_side: int
) -> tuple[ImageList, Targets | None]:
    """Return pictures resized to one size, that of the first, with their targets.

    Args:
        pictures: (3, H, W) normalised each.
        targets: ``boxes``, ``labels`` and ``masks`` of each.
        short_side: the shorter side of the first is resized to about it, see `fitted_size`.
    """
    height, width = pictures[0].shape[-2:]
    size = fitted_size(height, width, short_side)
    resized = torch.cat(
        [F.interpolate(picture[None], size, mode="bilinear", antialias=True) for picture in pictures]
    )
    images = ImageList(resized, [size] * len(pictures))
    return images, None if targets is None else [_resized(target, size) for target in targets]


def _resized(target: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
    masks = target["masks"]
    small = F.interpolate(masks[:, None].float(), size, mode="bilinear", antialias=True)[:, 0] > 0.5
    boxes = resize_boxes(target["boxes"], list(masks.shape[-2:]), list(size))
    return dict(target) | {"boxes": boxes, "masks": small.to(masks.dtype)}


def placed(found: Found, inside: tuple[int, int], size: tuple[int, int]) -> Found:
    """Return detections in pixels of a frame: boxes resized, and masks laid onto it bilinearly.

    Unlike torchvision's, boxes are not rounded to whole pixels before.

    Args:
        found: ``boxes`` (N, 4) in pixels of the resized frame and ``masks`` (N, 1, M, M) probabilities.
        inside: height and width of the resized frame.
        size: of the frame.

    Returns:
        The same, ``masks`` (N, 1, H, W).
    """
    boxes = resize_boxes(found["boxes"], list(inside), list(size))
    masks = found["masks"].new_zeros(len(boxes), 1, *size)
    for number, (mask, box) in enumerate(zip(found["masks"], boxes, strict=True)):
        masks[number, 0] = _laid(mask[0], box, size)
    return found | {"boxes": boxes, "masks": masks}


def _laid(mask: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (H, W) values of an (M, M) mask that covers a box; 0 beyond it."""
    x0, y0, x1, y1 = box.unbind()
    grid = []
    for low, high, length in ((y0, y1, size[0]), (x0, x1, size[1])):
        centres = torch.arange(length, device=mask.device) + 0.5
        grid.append((centres - low) / (high - low).clamp(min=1e-3) * 2 - 1)
    points = torch.stack(torch.meshgrid(grid[1], grid[0], indexing="xy"), dim=-1)
    return F.grid_sample(mask[None, None], points[None].to(mask.dtype), align_corners=False)[0, 0]
