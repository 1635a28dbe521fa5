"""The measures of FBMS-59 as torchmetrics: one update per video, averages over videos."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from vosbench.metrics.kernels.fbms import Variant, fbms_measure, object_count_error

NAMES = ("precision", "recall", "f_measure", "n_objects")


class FBMSMeasure(Metric):
    """Precision, recall, F-measure and number of extracted objects over the videos of a data set.

    Per video as in `vosbench.metrics.kernels.fbms_measure`. Over videos, precision and recall are
    means; F is the mean of F for ``"proposed"``, and is computed from the mean precision and recall
    for ``"official"``; n_objects is the sum. Higher is better.

    Args:
        variant: ``"proposed"`` (Dave et al., 2019) or ``"official"`` (Ochs et al., 2014).

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 2, 4, dtype=torch.uint8)
        >>> target[0, 0] = 1
        >>> pred = target.clone()
        >>> pred[0, 0, 0] = 0
        >>> measure = FBMSMeasure("proposed")
        >>> measure.update(pred, target)
        >>> measure.compute()["recall"]
        tensor(0.7500, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    videos: Tensor

    def __init__(self, variant: Variant = "proposed") -> None:
        super().__init__()
        if variant not in ("official", "proposed"):
            raise ValueError(f"variant must be 'official' or 'proposed', got {variant!r}")
        self.variant: Variant = variant
        self.add_state("total", torch.zeros(len(NAMES), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("videos", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> None:
        """Add one video.

        Args:
            pred_ids: (T, H, W) integer ids on the labelled frames, 0 = background.
            target_ids: (T, H, W) integer ids of the same frames.
            void: (T, H, W) bool, unlabelled pixels.

        Raises:
            ValueError: not integer, not (T, H, W), or shapes that differ.
        """
        values = fbms_measure(pred_ids, target_ids, void, self.variant)
        self.total += torch.tensor([values[name] for name in NAMES], dtype=torch.float64).to(self.total)
        self.videos += 1

    def compute(self) -> dict[str, Tensor]:
        """Return the values of the data set so far: () float64 each."""
        precision, recall, f_measure, extracted = self.total.unbind()
        precision, recall, f_measure = (value / self.videos for value in (precision, recall, f_measure))
        if self.variant == "official":
            f_measure = 2 * precision * recall / (precision + recall)
        return dict(zip(NAMES, (precision, recall, f_measure, extracted), strict=True))


class ObjectCountError(Metric):
    """Delta-Obj: mean over videos of how far the number of predicted objects is from the true one.

    See `vosbench.metrics.functional.object_count_error`. Lower is better.

    Example:
        >>> import torch
        >>> measure = ObjectCountError()
        >>> measure.update(torch.tensor([[[0, 1, 2, 3]]]), torch.tensor([[[0, 0, 5, 5]]]))
        >>> measure.compute()["delta_obj"]
        tensor(2., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    videos: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("videos", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> None:
        """Add one video; arguments and errors as in `FBMSMeasure.update`."""
        self.total += object_count_error(pred_ids, target_ids, void)
        self.videos += 1

    def compute(self) -> dict[str, Tensor]:
        """Return ``delta_obj``, () float64."""
        return {"delta_obj": self.total / self.videos}
