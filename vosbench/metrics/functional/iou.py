"""Mean intersection over union of a video: the measure of SegTrack-v2, YouTube-Objects and FT3D."""

from __future__ import annotations

from torch import Tensor

from vosbench.metrics.functional.region import region_similarity


def frame_iou_mean(pred_ids: Tensor, target_ids: Tensor, void: Tensor | None = None) -> Tensor:
    """Return the mean over frames of the IoU of the merged foreground.

    Per frame ``|pred and target| / |pred or target|`` of all pixels of any object, 1 when both are empty.

    Args:
        pred_ids: (T, H, W) integer ids on the annotated frames, 0 = background.
        target_ids: (T, H, W) integer ids of the same frames, 0 = background.
        void: (T, H, W) bool, pixels to leave out.

    Returns:
        () float64 in [0, 1], on the device of `pred_ids`.

    Raises:
        ValueError: not integer, no frame, not (T, H, W), or shapes that differ.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[1, 2, 0, 0]], [[0, 0, 0, 0]]])
        >>> pred = torch.tensor([[[7, 0, 0, 0]], [[0, 0, 0, 0]]])
        >>> frame_iou_mean(pred, target)
        tensor(0.7500, dtype=torch.float64)
    """
    for name, ids in (("pred_ids", pred_ids), ("target_ids", target_ids)):
        if ids.is_floating_point() or ids.is_complex():
            raise ValueError(f"{name} must be (T, H, W) integer ids, got {ids.dtype} {tuple(ids.shape)}")
    if len(pred_ids) == 0:
        raise ValueError("pred_ids holds no frame: there is nothing to measure")
    return region_similarity(pred_ids != 0, target_ids != 0, void).mean()
