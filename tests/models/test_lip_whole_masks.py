"""Boxes of LIP grow where they cut masks off."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import roi_align

from vosbench.models.lip.whole_masks import cut_sides, draw_whole

SIZE = (120, 200)
OBJECT = (60, 40, 140, 100)
"""x and y of the object's corners, pixels."""


def drawing(boxes_drawn=None):
    """Return a head that draws in any box what of the object is inside; it keeps the boxes it drew in."""
    picture = torch.zeros(1, 1, *SIZE)
    left, top, right, bottom = OBJECT
    picture[..., top:bottom, left:right] = 1

    def draw(found):
        if boxes_drawn is not None:
            boxes_drawn.append(found["boxes"].tolist())
        masks = roi_align(picture, [found["boxes"]], (56, 56), sampling_ratio=2, aligned=True)
        return found | {"masks": masks}

    return draw


def whole(box, growths=3, draw=None):
    boxes = torch.tensor([box], dtype=torch.float32)
    return draw_whole(draw or drawing(), {"boxes": boxes}, SIZE, growths)["boxes"][0].tolist()


def test_a_box_around_its_mask_stays_as_it_is_and_is_drawn_once():
    drawn = []
    box = [50.0, 30.0, 150.0, 110.0]
    assert whole(box, draw=drawing(drawn)) == box
    assert drawn == [[box]]


def test_a_box_grows_by_a_quarter_at_the_side_that_cuts_the_object_off():
    """The upper part of the object, from row 40 to 52, is outside; the box is 68 high."""
    assert whole([50, 52, 150, 120]) == [50, 35, 150, 120]


def test_a_box_grows_by_the_same_step_again_until_the_object_ends_inside():
    """The object ends at 140; boxes gain a quarter of 60, and at both sides a quarter of 40, in a step."""
    assert whole([50, 30, 110, 110], growths=1) == [50, 30, 125, 110]
    assert whole([50, 30, 110, 110]) == [50, 30, 155, 110]
    assert whole([70, 30, 110, 110]) == [50, 30, 140, 110]


def test_no_box_grows_beyond_the_picture_or_without_growths():
    draw = drawing()
    picture = torch.ones(1, 1, *SIZE)

    def full(found):
        return draw(found) | {"masks": picture[..., :56, :56].expand(len(found["boxes"]), 1, 56, 56)}

    assert whole([10, 10, 190, 110], draw=full) == [0, 0, 200, 120]
    assert whole([70, 50, 100, 90], growths=0) == [70, 50, 100, 90]


def test_detections_keep_what_else_is_known_of_them_also_none_at_all():
    found = {
        "boxes": torch.tensor([[50.0, 52, 150, 120], [0, 0, 30, 30]]),
        "labels": torch.tensor([2, 1]),
        "scores": torch.tensor([0.9, 0.3]),
    }
    drawn = draw_whole(drawing(), found, SIZE, 3)
    assert drawn["boxes"].tolist() == [[50, 35, 150, 120], [0, 0, 30, 30]]
    assert drawn["labels"].tolist() == [2, 1]
    assert drawn["scores"] is found["scores"]
    empty = {name: values[:0] for name, values in found.items()}
    assert draw_whole(drawing(), empty, SIZE, 3)["boxes"].shape == (0, 4)


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize(("covered", "cut"), [(2, False), (3, True), (56, True)])
def test_a_side_cuts_off_what_covers_more_than_a_twentieth_of_it(side, covered, cut):
    """3 of 56 points are more than a twentieth, 2 are not; left, top, right, bottom."""
    masks = torch.zeros(1, 1, 56, 56)
    end = 0 if side < 2 else 55
    view = masks[0, 0].T if side % 2 == 0 else masks[0, 0]
    view[end, 20 - min(20, covered) : 20 - min(20, covered) + covered] = 1
    assert cut_sides(masks)[0].tolist() == [cut and number == side for number in range(4)]


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4), st.integers(0, 4))
def test_boxes_only_grow_and_by_a_quarter_a_time_at_most(corners, growths):
    x, y, width, height = corners
    box = np.array([x, y, x + 5 + width, y + 5 + height], dtype=np.float32)
    grown = np.array(whole(box.tolist(), growths))
    sides = np.tile(box[2:] - box[:2], 2)
    gained = (grown - box) * [-1, -1, 1, 1] / sides
    assert (gained >= -1e-6).all()
    assert (gained <= growths / 4 + 1e-6).all()
