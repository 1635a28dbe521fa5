"""The measures of FBMS-59 as torchmetrics: one update per video, averages over videos."""

from __future__ import annotations

import torch
from torch import Tensor

from vosbench.metrics.functional.fbms import fbms_measure, object_count_error
from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.kernels.fbms import (
    BACKGROUND,
    NAMES,
    Background,
    FRule,
    Variant,
    check_f_rule,
    overall,
)
from vosbench.metrics.specs import METRICS


class FBMSMeasure(GatheredMetric):
    """Precision, recall, F-measure and number of extracted objects over the videos of a data set.

    Per video as in `vosbench.metrics.functional.fbms_measure`: volumes of one id are compared by
    ``F = 2PR / (P + R)`` and assigned one to one. Over videos, precision and recall are means, F follows
    from `f_rule`, and n_objects, which ``"binary"`` does not have, is the sum. Higher is better.

    Args:
        variant: ``"proposed"`` (Dave et al., 2019), ``"official"`` (Ochs et al., 2014) or ``"binary"``
            (Tokmakov et al., 2019: all objects merged).
        background: predicted id that is no object, or ``"infer"``: the most frequent one of each video.
        f_rule: F over videos: ``"harmonic"``, 2PR / (P + R) of the mean precision and recall, or
            ``"mean"``, the mean of F. When None that of the variant: ``"mean"`` for ``"proposed"``, else
            ``"harmonic"``. Table 6 of Dave et al., 2019 has the mean of the official F.

    Raises:
        ValueError: an unknown variant or rule.

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

    higher_is_better = METRICS["fbms"].higher_is_better

    def __init__(
        self,
        variant: Variant = "proposed",
        background: Background = BACKGROUND,
        f_rule: FRule | None = None,
    ) -> None:
        super().__init__(variant, background, f_rule)
        self.f_rule: FRule = check_f_rule(variant, f_rule)
        self.variant: Variant = variant
        self.background = background

    def update(
        self,
        pred_ids: Tensor,
        target_ids: Tensor,
        void: Tensor | None = None,
        uncovered: Tensor | None = None,
    ) -> None:
        """Add one video.

        Args:
            pred_ids: (T, H, W) integer ids on the labelled frames, 0 = background; bool for one object.
            target_ids: (T, H, W) integer ids of the same frames, 0 = background.
            void: (T, H, W) bool, unlabelled pixels.
            uncovered: (T, H, W) bool, pixels in no predicted track.

        Raises:
            ValueError: ids neither integer nor bool, or negative; not (T, H, W), or shapes that differ.
        """
        values = fbms_measure(
            pred_ids, target_ids, void, self.variant, background=self.background, uncovered=uncovered
        )
        self._keep(torch.tensor([values[name] for name in NAMES[self.variant]], dtype=torch.float64))

    def compute(self) -> dict[str, Tensor]:
        """Return the values of the data set so far: () float64 each; fractions are NaN without a video."""
        names = NAMES[self.variant]
        rows = self._all().reshape(-1, len(names)).tolist()
        values = overall([dict(zip(names, row, strict=True)) for row in rows], self.variant, self.f_rule)
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in values.items()
        }


class ObjectCountError(GatheredMetric):
    """Delta-Obj: mean over videos of how far the number of predicted objects is from the true one.

    Per video ``| predicted ids - true ids |``, counted without the background on the labelled frames; see
    `vosbench.metrics.functional.object_count_error`. Lower is better.

    Args:
        background: predicted id that is no object, or ``"infer"``: the most frequent one of each video.

    Source: Bideau et al., 2018.

    Example:
        >>> import torch
        >>> measure = ObjectCountError()
        >>> measure.update(torch.tensor([[[0, 1, 2, 3]]]), torch.tensor([[[0, 0, 5, 5]]]))
        >>> measure.compute()["delta_obj"]
        tensor(2., dtype=torch.float64)
    """

    higher_is_better = METRICS["delta_obj"].higher_is_better

    def __init__(self, background: Background = BACKGROUND) -> None:
        super().__init__(background)
        self.background = background

    def update(
        self,
        pred_ids: Tensor,
        target_ids: Tensor,
        void: Tensor | None = None,
        uncovered: Tensor | None = None,
    ) -> None:
        """Add one video; arguments and errors as in `FBMSMeasure.update`."""
        error = object_count_error(
            pred_ids, target_ids, void, background=self.background, uncovered=uncovered
        )
        self._keep(torch.tensor([error], dtype=torch.float64))

    def compute(self) -> dict[str, Tensor]:
        """Return ``delta_obj``, () float64; NaN without a video."""
        return {"delta_obj": self._all().mean()}
