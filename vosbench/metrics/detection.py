"""Average precision at IoU 0.5 of detected boxes and masks as a torchmetric: one update per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from vosbench.metrics.functional.detection import add_frame
from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.kernels.detection import DetectionPool, require_library
from vosbench.metrics.specs import METRICS


class MaskAveragePrecision(GatheredMetric):
    """Average precision at IoU 0.5 of boxes and of masks, all frames of a data set pooled.

    ``AP = mean over r in 0, 0.01, ..., 1 of the largest precision at a recall of at least r``; one class,
    all areas, at most 100 detections per frame. See `vosbench.metrics.functional.average_precision`.
    Higher is better. Frames are kept as run lengths, a kilobyte or so for a mask.

    Raises:
        ImportError: faster-coco-eval is not installed (``pip install 'vosbench[coco]'``).

    Source: Lin et al., Microsoft COCO, ECCV 2014; Dave et al., 2019, section 5.3.

    Example:
        >>> import torch
        >>> ids = torch.zeros(4, 6, dtype=torch.uint8)
        >>> ids[1:3, 1:4] = 1
        >>> measure = MaskAveragePrecision()
        >>> measure.update({"masks": (ids == 1)[None], "scores": torch.tensor([0.9])}, ids)
        >>> measure.compute()["map50_det"]
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = METRICS["map50"].higher_is_better
    # the frames as lines of JSON
    gathered_dtype: ClassVar[torch.dtype] = torch.uint8

    def __init__(self) -> None:
        require_library()
        super().__init__()

    def update(
        self,
        detections: Mapping[str, Tensor],
        target_ids: Tensor,
        crowd: Tensor | None = None,
        image_id: str | int | None = None,
    ) -> None:
        """Add one frame.

        Args:
            detections: ``masks`` (N, H, W) bool, ``scores`` (N,) real and, where they are not the tight
                boxes of the masks, ``boxes`` (N, 4) x, y, width, height in pixels.
            target_ids: (H, W) integer ids, 0 = background, bool for one object; or (M, H, W) bool masks.
            crowd: (M,) bool, which regions are crowds, in the order of the ids or of the masks.
            image_id: name of the frame. Detections of equal score count in the order of these names;
                without them in the order of updates, which in several processes is not that of one.

        Raises:
            ValueError: shapes or types that do not fit.
        """
        pool = DetectionPool()
        add_frame(pool, detections, target_ids, crowd, image_id)
        self._keep(torch.frombuffer(bytearray(f"{pool.records[0]}\n", "ascii"), dtype=torch.uint8))

    def compute(self) -> dict[str, Tensor]:
        """Return ``map50_det`` and ``map50_seg``: () float64 each; -1 without a region to find.

        Raises:
            ValueError: some frames have an `image_id` and others have none.
        """
        lines = self._all().cpu().numpy().tobytes().decode("ascii").splitlines()
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in DetectionPool(lines).compute().items()
        }
