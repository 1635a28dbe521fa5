import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.formats.run_length import (
    compress,
    decode_segmentation,
    decompress,
    fill_polygon,
    fill_runs,
    run_lengths,
)

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30))
MASKS = SHAPES.flatmap(lambda shape: arrays(np.bool_, shape))


def test_runs_go_down_the_columns_and_begin_outside():
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)
    assert run_lengths(mask) == [1, 1, 1, 2, 1]
    assert run_lengths(~mask) == [0, 1, 1, 1, 2, 1]
    np.testing.assert_array_equal(fill_runs([1, 1, 1, 2, 1], 3, 2), mask)


def test_five_bits_a_character_and_differences_from_the_fourth_run_on():
    # 1 -> '1'; 40 = 8 + 32 * 1 -> 'X1'; 1 -> '1'; 40 - 40 = 0 -> '0'
    assert compress([1, 40, 1, 40]) == "1X110"
    assert decompress("1X110") == [1, 40, 1, 40]
    # 3 - 40 = -37: lowest five bits 27 and more, then -2 as five bits: 30
    assert compress([1, 40, 1, 3]) == "1X11" + chr(48 + 32 + 27) + chr(48 + 30)
    assert decompress(compress([1, 40, 1, 3])) == [1, 40, 1, 3]


@given(mask=MASKS)
def test_masks_survive_both_kinds_of_run_lengths(mask):
    size = list(mask.shape)
    runs = run_lengths(mask)
    for counts in (runs, compress(runs)):
        found = decode_segmentation({"size": size, "counts": counts}, *mask.shape)
        np.testing.assert_array_equal(found, mask)


def test_a_polygon_along_pixel_edges_fills_the_pixels_inside():
    mask = fill_polygon([1, 1, 4, 1, 4, 3, 1, 3], 5, 6)
    expected = np.zeros((5, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_polygon_that_crosses_itself_is_open_where_it_is_covered_twice():
    twice = [0, 0, 6, 0, 6, 6, 0, 6, 0, 0, 2, 2, 4, 2, 4, 4, 2, 4, 2, 2]
    expected = np.ones((6, 6), bool)
    expected[2:4, 2:4] = False
    np.testing.assert_array_equal(fill_polygon(twice, 6, 6), expected)


def test_several_polygons_are_joined():
    mask = decode_segmentation([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]], 4, 4)
    assert mask.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


COORDINATES = (
    st.floats(-20, 60, allow_nan=False) | st.integers(-20, 60) | st.integers(-40, 120).map(lambda n: n / 2)
)


@given(shape=SHAPES, points=st.lists(COORDINATES, min_size=6, max_size=24))
def test_polygons_are_filled_as_the_coco_tool_does(shape, points):
    tool = pytest.importorskip("faster_coco_eval.core.mask")
    points = [float(value) for value in points[: len(points) // 2 * 2]]
    expected = tool.decode(tool.merge(tool.frPyObjects([points], *shape)))
    np.testing.assert_array_equal(fill_polygon(points, *shape), expected.astype(bool))


@given(mask=MASKS)
def test_strings_are_those_of_the_coco_tool(mask):
    tool = pytest.importorskip("faster_coco_eval.core.mask")
    expected = tool.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert compress(run_lengths(mask)) == expected


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "neither"),
        ([], "no polygon"),
        ([[0, 0, 1, 1]], "three points"),
        ([[0, 0, 1, 1, 2]], "three points"),
        ([[0, 0, 1, 1, 2, "3"]], "no numbers"),
        ([[0, 0, 1, 1, 2, float("nan")]], "no numbers"),
        ([[0, 0, 1, 1, 2, 10**400]], "far outside"),
        ([[0, 0, 4e6, 4e6, 0, 4e6]], "outline of"),
        ({"size": [4, 3], "counts": [12]}, r"size \[4, 3\]"),
        ({"size": [3, 4]}, "no whole numbers"),
        ({"size": [3, 4], "counts": [6, -6, 12]}, "no whole numbers"),
        ({"size": [3, 4], "counts": [True] * 12}, "no whole numbers"),
        ({"size": [3, 4], "counts": [11]}, "11 pixels for an image of 12"),
        ({"size": [3, 4], "counts": "o"}, "truncated"),
        ({"size": [3, 4], "counts": "\x00"}, "damaged"),
        ({"size": [3, 4], "counts": "o" * 100}, "damaged"),
    ],
)
def test_what_makes_no_mask_is_explained(segmentation, message):
    with pytest.raises(ValueError, match=message):
        decode_segmentation(segmentation, 3, 4)


def test_images_too_large_for_any_camera_are_refused():
    with pytest.raises(ValueError, match="1000000x1000000 pixels"):
        decode_segmentation([[0, 0, 1, 1, 1, 0]], 10**6, 10**6)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.fixed_dictionaries({"size": st.just([3, 4]) | inner, "counts": inner})
    ),
    max_leaves=12,
)


@given(segmentation=ANYTHING)
def test_anything_gives_a_mask_of_the_image_or_a_value_error(segmentation):
    try:
        mask = decode_segmentation(segmentation, 3, 4)
    except ValueError:
        return
    assert (mask.shape, mask.dtype) == ((3, 4), np.bool_)
