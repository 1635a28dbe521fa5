"""Average precision at IoU 0.5 of detected boxes and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vosbench.metrics.functional.tensors import id_array, mask_array, number_array
from vosbench.metrics.kernels.detection import DetectionPool

KEYS = frozenset({"masks", "scores", "boxes"})


def average_precision(
    detections: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Tensor],
    crowd: Sequence[Tensor | None] | None = None,
) -> dict[str, Tensor]:
    """Return the average precision at IoU 0.5 of boxes and of masks over the frames of a data set.

    All frames are one collection of one class, "moving object". Per frame the 100 detections of the
    highest score are matched in this order, each to the free region of the highest
    ``IoU = |pred and target| / |pred or target|`` of at least 0.5 (the later one of equals). What matches
    a crowd region, by the share of the detection inside it, counts neither way. Precision, made to fall
    with recall, is averaged at the recalls 0, 0.01, ..., 1. Equal scores count in the order given.

    Args:
        detections: per frame ``masks`` (N, H, W) bool, ``scores`` (N,) real and, where they are not the
            tight boxes of the masks, ``boxes`` (N, 4) x, y, width, height in pixels.
        targets: per frame (M, H, W) bool masks, or (H, W) integer ids, 0 = background; bool for one object.
        crowd: per frame (M,) bool, which regions are crowds, in the order of the masks or of the ids.

    Returns:
        ``map50_det`` (boxes) and ``map50_seg`` (masks): () float64 in [0, 1], -1 without a region to
        find, on the device of the targets.

    Raises:
        ImportError: faster-coco-eval is not installed.
        ValueError: shapes or types that do not fit, or lists of different lengths.

    Source: Lin et al., Microsoft COCO, ECCV 2014; Dave et al., 2019, section 5.3.

    Example:
        >>> import torch
        >>> ids = torch.zeros(4, 6, dtype=torch.uint8)
        >>> ids[1:3, 1:4] = 1
        >>> frame = {"masks": (ids == 1)[None], "scores": torch.tensor([0.9])}
        >>> average_precision([frame], [ids])["map50_seg"]
        tensor(1., dtype=torch.float64)
    """
    crowd = [None] * len(targets) if crowd is None else crowd
    if not len(detections) == len(targets) == len(crowd):
        raise ValueError(
            f"got detections of {len(detections)} frames, targets of {len(targets)}, crowds of {len(crowd)}"
        )
    pool = DetectionPool()
    for frame, regions, flags in zip(detections, targets, crowd, strict=True):
        add_frame(pool, frame, regions, flags)
    device = targets[0].device if targets else torch.device("cpu")
    return {
        name: torch.tensor(value, dtype=torch.float64, device=device)
        for name, value in pool.compute().items()
    }


def add_frame(
    pool: DetectionPool,
    detections: Mapping[str, Tensor],
    targets: Tensor,
    crowd: Tensor | None = None,
    image_id: str | int | None = None,
) -> None:
    """Add a frame of tensors to a pool; arguments as in `average_precision`.

    Raises:
        ValueError: shapes or types that do not fit.
    """
    unknown = set(detections) - KEYS
    if unknown or not {"masks", "scores"} <= set(detections):
        raise ValueError(f"detections must be masks, scores and perhaps boxes, got {sorted(detections)}")
    masks = mask_array("masks", detections["masks"], ("N", "H", "W"))
    boxes = detections.get("boxes")
    # three dimensions: masks one by one, which may overlap
    if isinstance(targets, Tensor) and targets.ndim == 3:
        regions: dict[str, Any] = {"target_masks": mask_array("targets", targets, ("M", "H", "W"))}
    else:
        regions = {"target_ids": id_array("targets", targets, ("H", "W"))}
    (target,) = regions.values()
    if masks.shape[-2:] != target.shape[-2:]:
        raise ValueError(f"masks are {masks.shape[-2:]}, targets {target.shape[-2:]}: sizes must agree")
    pool.add_masks(
        masks,
        number_array("scores", detections["scores"], ("N",)),
        None if boxes is None else number_array("boxes", boxes, ("N", "4")),
        crowd=None if crowd is None else id_array("crowd", crowd, ("M",)) != 0,
        image_id=image_id,
        **regions,
    )
