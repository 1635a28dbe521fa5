"""Mean intersection over union of a video: the measure of SegTrack-v2, YouTube-Objects and FT3D."""

from __future__ import annotations

import torch
from torch import Tensor

from vosbench.metrics.functional.tensors import id_videos
from vosbench.metrics.kernels.overlap import OverlapSeries
from vosbench.metrics.kernels.statistics import nan_mean


def frame_iou_mean(pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> Tensor:
    """Return the mean over frames of the IoU of the merged foreground.

    Per frame ``|pred and target| / |pred or target|`` of all pixels of any object, 1 when both are empty.

    Args:
        pred_ids: (T, H, W) integer ids on the annotated frames, 0 = background; bool for one object.
        target_ids: (T, H, W) integer ids of the same frames, 0 = background.
        void: (T, H, W) bool, pixels to leave out.

    Returns:
        () float64 in [0, 1], on the device of `pred_ids`.

    Raises:
        ValueError: ids neither integer nor bool, or negative; no frame, not (T, H, W), or shapes that differ.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[1, 2, 0, 0]], [[0, 0, 0, 0]]])
        >>> pred = torch.tensor([[[7, 0, 0, 0]], [[0, 0, 0, 0]]])
        >>> frame_iou_mean(pred, target)
        tensor(0.7500, dtype=torch.float64)
    """
    pred, target, masks = id_videos(pred_ids, target_ids, void=void)
    if len(pred) == 0:
        raise ValueError("pred_ids holds no frame: there is nothing to measure")
    series, left_out = OverlapSeries(["J"]), masks["void"]
    for t in range(len(pred)):
        series.add(pred[t], target[t], None if left_out is None else left_out[t])
    return torch.tensor(nan_mean(series.finish()[0]["J"]), dtype=torch.float64, device=pred_ids.device)
