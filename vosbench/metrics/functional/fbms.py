"""The measures of FBMS-59 on tensors: one video at a time."""

from __future__ import annotations

from torch import Tensor

from vosbench.metrics.functional.tensors import id_videos
from vosbench.metrics.kernels.fbms import BACKGROUND, Background, Variant, VolumeOverlap, check_variant


def fbms_measure(
    pred_ids: Tensor,
    target_ids: Tensor,
    void: Tensor | None = None,
    variant: Variant = "proposed",
    *,
    background: Background = BACKGROUND,
    uncovered: Tensor | None = None,
) -> dict[str, float]:
    """Return precision, recall and F-measure of one video, and how many objects were extracted.

    Predicted clusters c and ground-truth regions g are compared over all frames at once, so an id that
    changes hands halfway is an error. With ``P = |c and g| / |c|``, ``R = |c and g| / |g|`` and
    ``F = 2PR / (P + R)`` of every pair, they are assigned one to one by the largest total F.

    * ``"proposed"``: objects only. With C the pixels shared by assigned pairs, precision is C over
      all predicted object pixels and recall C over all true object pixels; void is background.
      Source: Dave et al., Towards Segmenting Anything That Moves, 2019.
    * ``"official"``: the background is a region and a cluster like any other; precision and recall are
      means over regions, a region without a cluster adds precision 1 and recall 0, void has no weight.
      F is cut down to 1/10000 before assigning. A region counts by its part that is in some track.
      Source: Ochs, Malik, Brox, TPAMI 2014, and the released MoSegEval program.
    * ``"binary"``: all objects are one, on both sides; void has no weight. Nothing predicted is
      precision 1, nothing to find recall 1. Source: Tokmakov et al., IJCV 2019, table 7.

    Args:
        pred_ids: (T, H, W) integer ids on the labelled frames, 0 = background; bool for one object.
        target_ids: (T, H, W) integer ids of the same frames, 0 = background.
        void: (T, H, W) bool, unlabelled pixels.
        variant: which measure.
        background: predicted id that is no object, or ``"infer"``: the most frequent one of the video.
        uncovered: (T, H, W) bool, pixels in no track, for results that do not cover every pixel. They
            leave the official measure and are predicted background in the others.

    Returns:
        ``precision``, ``recall``, ``f_measure`` in [0, 1], 0 where there is nothing to divide by; but for
        ``"binary"`` also ``n_objects``: objects with F above 0.75 (the official count takes one off for
        the background).

    Raises:
        ValueError: ids neither integer nor bool, or negative; not (T, H, W), shapes that differ, or an
            unknown variant.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[1, 1, 1, 1, 0, 0]]])
        >>> pred = torch.tensor([[[5, 5, 0, 0, 0, 0]]])
        >>> fbms_measure(pred, target)["recall"]
        0.5
        >>> fbms_measure(pred, target, variant="official")["recall"]
        0.75
    """
    check_variant(variant)
    return volume_overlap(pred_ids, target_ids, void, background, uncovered).measure(variant)


def object_count_error(
    pred_ids: Tensor,
    target_ids: Tensor,
    void: Tensor | None = None,
    *,
    background: Background = BACKGROUND,
    uncovered: Tensor | None = None,
) -> int:
    """Return Delta-Obj of one video: how far the number of predicted objects is from the true one.

    Distinct non-background ids on the labelled frames are counted; the sign is dropped.
    Source: Bideau et al., 2018.

    Args:
        pred_ids: (T, H, W) integer ids, 0 = background; bool for one object.
        target_ids: (T, H, W) integer ids of the same frames, 0 = background.
        void: (T, H, W) bool, unlabelled pixels, whose ground-truth ids do not count.
        background: predicted id that is no object, or ``"infer"``: the most frequent one of the video.
        uncovered: (T, H, W) bool, pixels in no track, whose predicted ids do not count.

    Raises:
        ValueError: ids neither integer nor bool, or negative; not (T, H, W), or shapes that differ.

    Example:
        >>> import torch
        >>> object_count_error(torch.tensor([[[0, 1, 2, 3]]]), torch.tensor([[[0, 0, 5, 5]]]))
        2
    """
    return volume_overlap(pred_ids, target_ids, void, background, uncovered).count_error()


def volume_overlap(
    pred_ids: Tensor,
    target_ids: Tensor,
    void: Tensor | None = None,
    background: Background = BACKGROUND,
    uncovered: Tensor | None = None,
) -> VolumeOverlap:
    """Count the pixels every predicted id shares with every true id; arguments as in `fbms_measure`.

    Raises:
        ValueError: ids neither integer nor bool, or negative; not (T, H, W), or shapes that differ.
    """
    pred, target, masks = id_videos(pred_ids, target_ids, void=void, uncovered=uncovered)
    volume = VolumeOverlap(background)
    for t in range(len(pred)):
        volume.add(pred[t], target[t], *(None if mask is None else mask[t] for mask in masks.values()))
    return volume
