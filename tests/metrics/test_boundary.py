"""Contour accuracy F."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.metrics.functional import contour_accuracy

pairs = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).flatmap(
    lambda s: st.tuples(hnp.arrays(bool, s), hnp.arrays(bool, s))
)


def plain_boundary(mask):
    height, width = mask.shape
    points = set()
    for y in range(height):
        for x in range(width):
            others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            others = [(j, i) for j, i in others if j < height and i < width]
            if any(mask[y, x] != mask[other] for other in others):
                points.add((y, x))
    return points


def plain_f(pred, target, radius):
    pred_points, target_points = plain_boundary(pred), plain_boundary(target)

    def share(points, others):
        near = [any((y - j) ** 2 + (x - i) ** 2 <= radius**2 for j, i in others) for y, x in points]
        return sum(near) / len(near) if near else 1.0

    precision, recall = share(pred_points, target_points), share(target_points, pred_points)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def frames(*masks):
    return torch.from_numpy(np.stack(masks))


def square(size, top, left, side):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_radius_is_exact_and_euclidean():
    # boundaries are the single columns 4 and 9
    left, right = np.zeros((1, 20), bool), np.zeros((1, 20), bool)
    left[:, 5:], right[:, 10:] = True, True
    pred, target = frames(left), frames(right)
    assert contour_accuracy(pred, target, bound_th=5).tolist() == [1.0]
    assert contour_accuracy(pred, target, bound_th=4.99).tolist() == [0.0]


def test_radius_is_a_share_of_the_diagonal_rounded_up():
    # diagonal 500, 0.008 of it is 4
    pred, target = np.zeros((300, 400), bool), np.zeros((300, 400), bool)
    pred[:, 100:], target[:, 104:] = True, True
    assert contour_accuracy(frames(pred), frames(target)).tolist() == [1.0]
    target[:, 104] = False
    assert contour_accuracy(frames(pred), frames(target)).tolist() == [0.0]
    assert contour_accuracy(frames(pred), frames(target), bound_th=0.00801).tolist() == [1.0]


def test_masks_without_boundary():
    empty, full, some = np.zeros((9, 9), bool), np.ones((9, 9), bool), square(9, 2, 2, 4)
    pred, target = frames(empty, empty, full, some, empty), frames(empty, full, some, full, some)
    assert contour_accuracy(pred, target, bound_th=2).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_void_is_emptied_before_boundaries_are_taken():
    full, hole = np.ones((9, 9), bool), square(9, 3, 3, 3)
    score = contour_accuracy(frames(full), frames(full & ~hole), frames(hole), bound_th=1)
    assert score.tolist() == [1.0]
    assert contour_accuracy(frames(full), frames(full & ~hole), bound_th=1).tolist() == [0.0]


@settings(max_examples=60)
@given(pairs, st.sampled_from([1, 1.5, 2, 3]))
def test_equals_the_plain_definition(pair, radius):
    pred, target = pair
    value = contour_accuracy(frames(pred), frames(target), bound_th=radius).item()
    assert value == pytest.approx(plain_f(pred, target, radius), abs=1e-12)
    assert value == pytest.approx(contour_accuracy(frames(target), frames(pred), bound_th=radius).item())


@given(st.integers(0, 6), st.integers(0, 6))
def test_moving_both_masks_changes_nothing(dy, dx):
    pred, target = square(40, 6, 6, 12), square(40, 8, 7, 13)
    moved = contour_accuracy(
        frames(np.roll(pred, (dy, dx), (0, 1))), frames(np.roll(target, (dy, dx), (0, 1))), bound_th=1
    )
    assert moved.item() == contour_accuracy(frames(pred), frames(target), bound_th=1).item() < 1


@pytest.mark.parametrize("bound_th", [0.0, -1.0, math.nan])
def test_refuses_a_radius_that_is_not_positive(bound_th):
    mask = frames(square(9, 2, 2, 4))
    with pytest.raises(ValueError, match="bound_th must be positive"):
        contour_accuracy(mask, mask, bound_th=bound_th)


def test_refuses_masks_of_other_sizes():
    with pytest.raises(ValueError, match="sizes must agree"):
        contour_accuracy(torch.zeros(1, 2, 3).bool(), torch.zeros(1, 3, 2).bool())


def test_no_frames_no_values():
    assert contour_accuracy(torch.zeros(0, 4, 4).bool(), torch.zeros(0, 4, 4).bool()).shape == (0,)
