"""Mean IoU per frame: over videos, and over classes of videos."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.metrics.functional.iou import frame_iou_mean
from vosbench.metrics.iou import MeanFrameIoU


def video(*rows):
    """One row of ids per frame -> (T, 1, W) ids."""
    return torch.tensor([[row] for row in rows], dtype=torch.uint8)


ONES = video([1, 1, 0, 0])
HALF = video([5, 0, 0, 0])


def test_frames_are_averaged_and_all_objects_are_one():
    # merged foreground: 2 of 4 pixels, then both empty
    value = frame_iou_mean(video([1, 2, 0, 0], [0, 0, 0, 0]), video([3, 3, 1, 1], [0, 0, 0, 0]))
    assert value.item() == 0.75
    assert (value.dtype, value.shape) == (torch.float64, ())


def test_void_counts_in_neither_number():
    void = torch.tensor([[[False, True, False, True]]])
    assert frame_iou_mean(video([1, 1, 1, 0]), video([1, 0, 0, 1]), void).item() == 0.5


IDS = arrays(np.uint8, (3, 2, 4), elements=st.integers(0, 2))


@settings(max_examples=50)
@given(IDS, IDS, arrays(bool, (3, 2, 4)))
def test_a_brute_force_twin_agrees(pred, target, void):
    values = []
    for p, g, v in zip(pred, target, void, strict=True):
        where = [(y, x) for y in range(2) for x in range(4) if not v[y, x]]
        both = sum(p[at] > 0 and g[at] > 0 for at in where)
        either = sum(p[at] > 0 or g[at] > 0 for at in where)
        values.append(both / either if either else 1.0)
    found = frame_iou_mean(*(torch.from_numpy(x) for x in (pred, target, void)))
    assert found.item() == pytest.approx(sum(values) / 3, abs=1e-15)


def test_videos_count_alike_whatever_their_length():
    measure = MeanFrameIoU()
    measure.update(ONES, ONES)
    measure.update(HALF.repeat(9, 1, 1), ONES.repeat(9, 1, 1))
    assert measure.compute() == {"iou_mean": torch.tensor(0.75)}
    assert measure.higher_is_better


def test_classes_count_alike_whatever_their_number_of_videos():
    measure = MeanFrameIoU(categories=["aeroplane", "bird", "boat"])
    for pred in (ONES, HALF, HALF, HALF):
        measure.update(pred, ONES, category="boat")
    measure.update(ONES, ONES, category="aeroplane")
    # the class without a video takes no part
    assert {name: value.item() for name, value in measure.compute().items()} == {
        "iou_mean": (1 + 0.625) / 2,
        "iou_mean/aeroplane": 1.0,
        "iou_mean/boat": 0.625,
    }


def test_no_video_no_value():
    for measure in (MeanFrameIoU(), MeanFrameIoU(["cat"])):
        with pytest.warns(UserWarning, match="compute"):
            values = measure.compute()
        assert list(values) == ["iou_mean"]
        assert math.isnan(values["iou_mean"])


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (ONES.float(), ONES, "pred_ids must be .* integer"),
        (ONES, ONES[:, :, 1:], "sizes must agree"),
        (ONES[0], ONES[0], "T, H, W"),
        (ONES[:0], ONES[:0], "holds no frame"),
    ],
)
def test_what_cannot_be_measured_is_refused(pred, target, message):
    with pytest.raises(ValueError, match=message):
        frame_iou_mean(pred, target)


@pytest.mark.parametrize(
    ("categories", "category", "message"),
    [
        (None, "cat", "without categories"),
        (["cat", "dog"], None, "one of cat, dog; got None"),
        (["cat", "dog"], "cow", "got 'cow'"),
        (["cat", "cat"], "cat", "different names"),
    ],
)
def test_categories_must_be_told_apart(categories, category, message):
    with pytest.raises(ValueError, match=message):
        MeanFrameIoU(categories).update(ONES, ONES, category=category)
