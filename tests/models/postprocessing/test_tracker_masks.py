import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.models.postprocessing.tracker_masks import PackedMask, overlaps


@st.composite
def boxes_of_noise(draw):
    """Masks of one size, each noise in a box, so that boxes often start and end between words."""
    height, width = draw(st.integers(1, 6)), draw(st.sampled_from((1, 7, 63, 64, 65, 130, 200)))
    masks = np.zeros((draw(st.integers(0, 5)), height, width), bool)
    for mask in masks:
        rows = slice(*sorted(draw(st.tuples(*[st.integers(0, height)] * 2))))
        columns = slice(*sorted(draw(st.tuples(*[st.integers(0, width)] * 2))))
        share = draw(st.sampled_from((0.1, 0.5, 1.0)))
        random = np.random.default_rng(draw(st.integers(0, 99)))
        mask[rows, columns] = random.random(mask[rows, columns].shape) < share
    return masks


@settings(max_examples=200)
@given(masks=boxes_of_noise(), rested=st.sets(st.integers(0, 4)))
def test_overlaps_areas_boxes_and_pixels_are_those_of_the_masks(masks, rested):
    packed = [PackedMask(mask) for mask in masks]
    for index in rested & set(range(len(packed))):
        packed[index].rest()
    found = overlaps(packed, packed[:3])
    assert found.shape == (len(packed), len(packed[:3]))
    for index, (item, mask) in enumerate(zip(packed, masks, strict=True)):
        for other, value in zip(masks[:3], found[index], strict=True):
            assert value == (mask & other).sum() / max((mask | other).sum(), 1)
        assert item.area == mask.sum()
        top, bottom, left, right = item.box
        assert mask[top:bottom, left:right].sum() == mask.sum()
        ids = np.full(mask.shape, 7, np.uint8)
        item.paint(ids, 9)
        assert np.array_equal(ids, np.where(mask, 9, 7))


def test_a_box_is_tight_and_that_of_an_empty_mask_empty():
    mask = np.zeros((480, 854), bool)
    assert PackedMask(mask).box == (0, 0, 0, 0)
    mask[100:150, 70:200] = True
    assert PackedMask(mask).box == (100, 150, 70, 200)
    assert PackedMask(mask).words.shape == (50, 3)


@given(mask=arrays(bool, (3, 70)))
def test_a_mask_is_a_copy(mask):
    before = mask.copy()
    packed = PackedMask(mask)
    mask[:] = ~mask
    ids = np.zeros(mask.shape, np.uint8)
    packed.paint(ids, 1)
    assert np.array_equal(ids, before)


def test_a_mask_at_rest_is_small():
    mask = np.zeros((480, 854), bool)
    mask[40:440, 100:700] = True
    packed = PackedMask(mask)
    packed.rest()
    packed.rest()
    assert len(packed._compressed) < 1000
    assert overlaps([packed], [PackedMask(mask)]).tolist() == [[1.0]]


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0)])
def test_no_masks_on_one_side_give_an_empty_table(shape):
    masks = [PackedMask(np.ones((2, 3), bool))] * 2
    assert overlaps(masks[: shape[0]], masks[: shape[1]]).shape == shape
