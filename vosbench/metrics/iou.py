"""Mean intersection over union per frame as a torchmetric: over videos, or over classes of videos."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vosbench.metrics.functional.iou import frame_iou_mean
from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.specs import METRICS

NAME = METRICS["iou"].values[0].name


class MeanFrameIoU(GatheredMetric):
    """Mean over frames of the IoU of the merged foreground, averaged over videos or over classes.

    Per video the mean of ``|pred and target| / |pred or target|`` over its annotated frames, see
    `vosbench.metrics.functional.frame_iou_mean`. Without `categories`, the mean over videos. With
    `categories`, the mean over the videos of each class, then over the classes that have videos: the way
    of YouTube-Objects. Higher is better.

    Args:
        categories: names of the classes; every update then names the class of its video.

    Raises:
        ValueError: a class is named twice.

    Source: Li et al., ICCV 2013 (SegTrack-v2); Prest et al., CVPR 2012, and Jain and Grauman, ECCV 2014
    (YouTube-Objects).

    Example:
        >>> import torch
        >>> ones, half = torch.ones(2, 2, 2, dtype=torch.uint8), torch.ones(2, 2, 2, dtype=torch.uint8)
        >>> half[:, 0] = 0
        >>> measure = MeanFrameIoU(categories=["cat", "dog", "boat"])
        >>> measure.update(ones, ones, category="cat")
        >>> measure.update(half, ones, category="cat")
        >>> measure.update(half, ones, category="dog")
        >>> {name: value.item() for name, value in measure.compute().items()}
        {'iou_mean': 0.625, 'iou_mean/cat': 0.75, 'iou_mean/dog': 0.5}
    """

    higher_is_better = METRICS["iou"].higher_is_better

    def __init__(self, categories: Sequence[str] | None = None) -> None:
        super().__init__(None if categories is None else tuple(categories))
        if categories is not None and len(set(categories)) < len(categories):
            raise ValueError(f"categories must be different names, got {list(categories)}")
        self.categories = None if categories is None else tuple(categories)

    def update(
        self, pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None, category: str | None = None
    ) -> None:
        """Add one video.

        Args:
            pred_ids: (T, H, W) integer ids on the annotated frames, 0 = background; bool for one object.
            target_ids: (T, H, W) integer ids of the same frames.
            void: (T, H, W) bool, pixels to leave out.
            category: the class of the video, given exactly when the metric has `categories`.

        Raises:
            ValueError: ids neither integer nor bool, or negative; no frame, not (T, H, W), shapes that
                differ, or a category that is missing, unknown or not asked for.
        """
        number = self._number(category)
        value = frame_iou_mean(pred_ids, target_ids, void)
        self._keep(torch.stack((torch.full_like(value, number), value)))

    def compute(self) -> dict[str, Tensor]:
        """Return ``iou_mean`` and, with categories, ``iou_mean/CLASS`` of those that have videos.

        Each is () float64; without a video ``iou_mean`` is NaN.
        """
        rows = self._all().reshape(-1, 2).tolist()
        if self.categories is None:
            return {NAME: self._mean([value for _, value in rows])}
        of_class = {}
        for number, category in enumerate(self.categories):
            if values := [value for found_number, value in rows if found_number == number]:
                of_class[f"{NAME}/{category}"] = self._mean(values)
        return {NAME: self._mean([value.item() for value in of_class.values()]), **of_class}

    def _number(self, category: str | None) -> int:
        if self.categories is None:
            if category is not None:
                raise ValueError(f"category {category!r} was given to a metric without categories")
            return 0
        if category not in self.categories:
            raise ValueError(f"category must be one of {', '.join(self.categories)}; got {category!r}")
        return self.categories.index(category)

    def _mean(self, values: Sequence[float]) -> Tensor:
        mean = math.fsum(values) / len(values) if values else math.nan
        return torch.tensor(mean, dtype=torch.float64, device=self.device)
