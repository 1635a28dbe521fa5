"""FusionSeg's four rules for a guessed mask, with hand-computed boxes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.models.fusionseg.pseudo_label_rules import (
    BootstrapSettings,
    Counts,
    Rectangle,
    contrast,
    fill,
    inside_boxes,
    judge,
    leaves_room,
    moves_apart,
    overlap,
    overlaps_enough,
    pixels,
    tight,
)
from vosbench.video import Box

SIZE = (40, 60)
BOX = Box(1, "dog", 20, 10, 20, 20)
"""Columns 20..39, rows 10..29: 400 pixels."""


def region(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def disc():
    """Touches all sides of BOX and fills about 79 % of it."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return (x - 29.5) ** 2 + (y - 19.5) ** 2 <= 100


def image_over(mask, colour):
    image = np.full((*SIZE, 3), 255, np.uint8)
    image[mask] = colour
    return image


RED_IN_BOX = image_over(region((10, 30), (20, 40)), (255, 0, 0))


# Rule 1


def test_foreground_outside_all_boxes_is_background():
    mask = np.ones(SIZE, bool)
    other = Box(2, "cat", 0, 0, 3, 2)
    pruned = inside_boxes(mask, [BOX, other])
    assert pruned.sum() == 400 + 6
    assert pruned[10:30, 20:40].all()
    assert pruned[:2, :3].all()
    assert not inside_boxes(mask, []).any()


def test_boxes_are_cut_at_the_frame_and_rounded_to_pixels():
    assert pixels(Box(1, "", -5, 35, 10, 10), SIZE) == Rectangle(35, 0, 40, 5)
    assert pixels(Box(1, "", 1.4, 2.6, 3.2, 3.2), SIZE) == Rectangle(3, 1, 6, 5)
    assert pixels(Box(1, "", 70, 5, 10, 10), SIZE).area == 0
    assert pixels(BOX, SIZE, 2) == Rectangle(0, 10, 40, 50)
    assert pixels(Box(1, "", 0, 0, 10, 10), SIZE, 2) == Rectangle(0, 0, 15, 15)


# Rule 2


def test_the_overlap_is_that_of_the_tight_rectangle():
    corners = region((12, 13), (22, 23)) | region((28, 29), (38, 39))
    assert tight(corners, BOX) == Rectangle(12, 22, 29, 39)
    assert overlap(corners, BOX) == pytest.approx(17 * 17 / 400)
    assert tight(region((0, 5), (0, 5)), BOX) is None
    assert overlap(region((0, 5), (0, 5)), BOX) == 0
    # what hangs out of the box does not count
    assert overlap(region((0, 40), (0, 40)), BOX) == 1


def test_a_mask_of_half_the_height_of_the_box_is_dropped():
    half = region((10, 20), (20, 40))
    assert overlap(half, BOX) == 0.5
    assert not overlaps_enough(half, BOX)


def test_exactly_three_quarters_are_enough():
    assert overlaps_enough(region((10, 25), (20, 40)), BOX)
    assert not overlaps_enough(region((10, 24), (20, 40)), BOX)
    assert not overlaps_enough(np.zeros(SIZE, bool), BOX, least=0)


# Rule 3


def test_a_box_that_is_covered_is_dropped():
    assert fill(np.ones(SIZE, bool), BOX) == 1
    assert not leaves_room(np.ones(SIZE, bool), BOX)


def test_more_than_95_percent_is_too_much():
    mask = region((10, 29), (20, 40))
    assert fill(mask, BOX) == 0.95
    assert leaves_room(mask, BOX)
    mask[29, 20] = True
    assert not leaves_room(mask, BOX)


# Rule 4


def test_the_contrast_is_between_the_box_and_its_surroundings_with_it():
    # twice the box is rows 0..39, columns 10..49: 1600 pixels, a quarter of them red
    assert contrast(RED_IN_BOX, BOX) == pytest.approx(0.75 * 255 * np.sqrt(2))
    assert moves_apart(RED_IN_BOX, BOX)


def test_the_same_flow_inside_and_outside_is_dropped():
    assert contrast(np.full((*SIZE, 3), 77, np.uint8), BOX) == 0
    assert not moves_apart(np.full((*SIZE, 3), 77, np.uint8), BOX)


def test_a_contrast_of_exactly_30_is_too_little():
    grey = image_over(region((10, 30), (20, 40)), (215, 255, 255))
    assert contrast(grey, BOX) == 30
    assert not moves_apart(grey, BOX)
    assert moves_apart(grey, BOX, above=29.9)
    assert moves_apart(image_over(region((10, 30), (20, 40)), (214, 255, 255)), BOX)


def test_a_box_outside_of_the_frame_is_dropped_by_every_rule():
    away = Box(1, "", 100, 100, 5, 5)
    mask = np.ones(SIZE, bool)
    assert not overlaps_enough(mask, away)
    assert not leaves_room(mask, away)
    assert not moves_apart(RED_IN_BOX, away)


# All rules


def test_every_box_is_counted_by_the_first_rule_that_drops_it():
    boxes = [
        BOX,
        Box(2, "", 0, 0, 8, 8),  # empty
        Box(3, "", 48, 30, 10, 10),  # covered
        Box(4, "", 0, 20, 10, 10),  # no contrast
    ]
    mask = disc() | region((30, 40), (48, 58)) | region((20, 29), (0, 10))
    kept, counts = judge(mask, boxes, lambda: RED_IN_BOX, BootstrapSettings())
    assert counts == Counts(4, 1, 1, 1, 1)
    assert (kept == disc()).all()


def test_a_dropped_box_takes_nothing_from_a_kept_one():
    inner = Box(2, "", 25, 15, 8, 8)
    kept, counts = judge(disc(), [BOX, inner], lambda: RED_IN_BOX, BootstrapSettings())
    assert counts == Counts(2, 0, 1, 0, 1)
    assert (kept == disc()).all()


def test_flow_is_not_painted_when_no_box_gets_that_far():
    def never():
        raise AssertionError("painted")

    assert judge(np.ones(SIZE, bool), [BOX], never, BootstrapSettings())[1] == Counts(1, 0, 1, 0, 0)


boxes = st.lists(
    st.builds(
        Box,
        st.just(1),
        st.just(""),
        st.floats(-10, 60),
        st.floats(-10, 40),
        st.floats(1, 50),
        st.floats(1, 40),
    ),
    max_size=4,
)
fractions = st.floats(0, 1)


@given(st.integers(0, 2**31), boxes, fractions, fractions, st.floats(0, 120), st.data())
def test_a_stricter_threshold_never_keeps_more(seed, found, least, most, above, data):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((5, 6)) < 0.8, np.ones((8, 10), bool))
    image = np.kron(rng.integers(0, 256, (5, 6, 3), np.uint8), np.ones((8, 10, 1), np.uint8))
    loose = BootstrapSettings(least, most, above)
    strict = data.draw(
        st.sampled_from(
            [
                replace(loose, overlap=data.draw(st.floats(least, 1))),
                replace(loose, fill=data.draw(st.floats(0, most))),
                replace(loose, contrast=data.draw(st.floats(above, 200))),
            ]
        )
    )
    more, many = judge(mask, found, lambda: image, loose)
    fewer, few = judge(mask, found, lambda: image, strict)
    assert few.kept <= many.kept
    assert not (fewer & ~more).any()
    assert not (more & ~mask).any()
    assert many.boxes == len(found) == sum(many.values[1:])
