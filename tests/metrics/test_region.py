"""Region similarity J."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vosbench.metrics.functional import region_similarity

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)
masks = hnp.arrays(bool, shapes).map(torch.from_numpy)
pairs = shapes.flatmap(
    lambda s: st.tuples(hnp.arrays(bool, s), hnp.arrays(bool, s)).map(
        lambda p: tuple(map(torch.from_numpy, p))
    )
)


def test_two_of_four_pixels_in_common_is_a_half():
    pred = torch.tensor([[[1, 1, 1], [0, 0, 0]]]).bool()
    target = torch.tensor([[[0, 1, 1], [0, 0, 1]]]).bool()
    assert region_similarity(pred, target).tolist() == [0.5]


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    pred = torch.tensor([[[False]], [[True]], [[False]]])
    target = torch.tensor([[[False]], [[False]], [[True]]])
    assert region_similarity(pred, target).tolist() == [1.0, 0.0, 0.0]


def test_void_counts_in_neither_number():
    pred = torch.tensor([[[1, 1, 0, 1]]]).bool()
    target = torch.tensor([[[1, 0, 0, 0]]]).bool()
    void = torch.tensor([[[0, 0, 0, 1]]]).bool()
    assert region_similarity(pred, target, void).tolist() == [0.5]


@given(pairs)
def test_is_symmetric_and_a_fraction(pair):
    pred, target = pair
    value = region_similarity(pred, target)
    assert torch.equal(value, region_similarity(target, pred))
    assert ((value >= 0) & (value <= 1)).all()
    assert value.dtype == torch.float64


@given(masks)
def test_a_mask_agrees_with_itself(mask):
    assert (region_similarity(mask, mask) == 1).all()


@given(pairs)
def test_equals_the_set_definition(pair):
    pred, target = pair
    for p, t, value in zip(
        pred.numpy(), target.numpy(), region_similarity(pred, target).tolist(), strict=True
    ):
        inside, truth = set(map(tuple, np.argwhere(p))), set(map(tuple, np.argwhere(t)))
        assert value == (len(inside & truth) / len(inside | truth) if inside | truth else 1)


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (torch.zeros(1, 2, 3).bool(), torch.zeros(1, 3, 2).bool(), r"target has shape \(1, 3, 2\), pred"),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3).bool(), r"pred must be a \(T, H, W\) bool tensor"),
        (torch.zeros(2, 3).bool(), torch.zeros(2, 3).bool(), r"pred must be a \(T, H, W\) bool tensor"),
    ],
)
def test_refuses_other_shapes_and_types(pred, target, message):
    with pytest.raises(ValueError, match=message):
        region_similarity(pred, target)
