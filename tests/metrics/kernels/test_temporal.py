"""Temporal instability T: the polygon of a mask, and the value of a pair of masks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.metrics.kernels.released import released_path_of, whole_matching_cost
from vosbench.metrics.functional import temporal_stability
from vosbench.metrics.kernels.contexts import shape_contexts
from vosbench.metrics.kernels.contours import trace
from vosbench.metrics.kernels.temporal import PairValues, dominant_polygons, upsample


def dominant_polygon(mask, toolkit="python"):
    [polygon] = dominant_polygons([trace(mask, matlab=toolkit == "matlab")], toolkit)
    return polygon


def mask_of(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def disk(size, centre_y, centre_x, radius):
    y, x = np.indices((size, size))
    return (y - centre_y) ** 2 + (x - centre_x) ** 2 <= radius**2


def signed_area(curve):
    (x0, y0), (x1, y1) = curve[:-1].T, curve[1:].T
    return (x0 * y1 - x1 * y0).sum() / 2


@pytest.mark.parametrize("mask", [np.zeros((5, 5), bool), mask_of("...", ".#.", "...")])
def test_nothing_and_a_single_pixel_have_no_polygon(mask):
    assert dominant_polygon(mask) is None


def test_the_polygon_with_most_vertices_wins_even_when_it_is_a_hole():
    mask = np.ones((60, 60), bool)
    mask[10:50, 10:50] &= ~disk(40, 20, 20, 15)
    assert signed_area(dominant_polygon(mask)) == pytest.approx(-700, rel=0.05)


def test_of_equals_the_last_polygon_wins_or_the_first_in_matlab():
    mask = np.zeros((20, 80), bool)
    for left in (5, 30):
        mask[5:15, left : left + 10] = True
    # walks start from the last corner in raster order, with three curves in MATLAB next from the first
    assert dominant_polygon(mask)[0].tolist() == [5, 5]
    assert dominant_polygon(mask, "matlab")[0].tolist() == [30, 5]
    mask[5:15, 55:65] = True
    assert dominant_polygon(mask)[0].tolist() == [5, 5]
    assert dominant_polygon(mask, "matlab")[0].tolist() == [55, 5]


def test_matlab_cuts_edges_in_double_precision():
    edge = np.array([[0, 0], [7, 0], [0, 0]], dtype=float)
    assert upsample(edge, np.float64)[:4, 0].tolist() == [0, 7 / 3, 7 / 3 + 7 / 3, 7]
    assert upsample(edge)[1, 0] == float(np.float32(7 / 3)) != 7 / 3


def test_upsampling_cuts_edges_into_parts_of_at_most_three_pixels():
    triangle = np.array([[0, 0], [7, 0], [7, 3], [0, 0]], dtype=float)
    points = upsample(triangle)
    assert points[:5] == pytest.approx(np.array([[0, 0], [7 / 3, 0], [14 / 3, 0], [7, 0], [7, 3]]), abs=1e-6)
    assert points[-1].tolist() == [0, 0]
    assert len(points) == 3 + 1 + 3 + 1


@pytest.mark.parametrize("seed", range(3))
def test_a_mask_that_stays_as_it_is_has_no_instability(seed):
    mask = np.random.default_rng(seed).random((40, 40)) < 0.6
    assert temporal_stability(torch.from_numpy(np.stack([mask, mask]))).tolist() == [0.0]
    # the rule behind the shortcut for equal masks
    contexts = shape_contexts(upsample(dominant_polygon(mask)))
    assert whole_pair_value(contexts, contexts) == 0.0


def whole_pair_value(first, second):
    """The definition: all costs, the one path of the released code, twice."""
    cost = whole_matching_cost(first, second)
    row, column = min(released_path_of(cost)[:-1], key=lambda cell: cost[cell])
    rows, columns = np.roll(np.arange(len(first)), -row - 1), np.roll(np.arange(len(second)), -column - 1)
    pairs = [(rows[i], columns[j]) for i, j in released_path_of(cost[np.ix_(rows, columns)])]
    kept = {}
    for row, column in pairs:
        if row not in kept or cost[row, column] < cost[row, kept[row]]:
            kept[row] = column
    return np.mean([min(cost[r, c] for r, c in kept.items() if c == column) for column in set(kept.values())])


@pytest.mark.parametrize("toolkit", ["python", "matlab"])
@pytest.mark.parametrize("seed", range(8))
def test_pairs_have_the_value_of_a_search_through_all_costs(seed, toolkit):
    rng = np.random.default_rng(seed)
    masks = ndimage.gaussian_filter(rng.random((3, 60, 60)), (0.4, 4, 4)) > 0.5
    pairs = PairValues(toolkit)
    for mask in masks:
        pairs.add(mask)
    matlab = toolkit == "matlab"
    polygons = [dominant_polygon(mask, toolkit) for mask in masks]
    dtype = np.float64 if matlab else np.float32
    contexts = [shape_contexts(upsample(polygon, dtype), matlab=matlab) for polygon in polygons]
    expected = [whole_pair_value(*pair) for pair in pairwise(contexts)]
    assert pairs.values == pytest.approx(expected, rel=1e-12)


def test_values_do_not_depend_on_when_they_are_read():
    rng = np.random.default_rng(3)
    masks = ndimage.gaussian_filter(rng.random((20, 60, 60)), (0.4, 4, 4)) > 0.5
    masks[[4, 11]] = False
    masks[[5, 12]] = masks[[4, 13]]
    masks[9] = masks[8]
    once, often = PairValues(), PairValues()
    for count, mask in enumerate(masks):
        once.add(mask)
        often.add(mask)
        assert len(often.values) == count
    assert np.array_equal(once.values, often.values, equal_nan=True)
    assert once.values[8] == 0.0
    assert np.flatnonzero(np.isnan(once.values)).tolist() == [3, 4, 5, 10, 11]


def test_a_moving_shape_is_stable_and_a_changing_one_is_not():
    video = np.stack([disk(80, 30, 30, 20), disk(80, 42, 37, 20), np.zeros((80, 80), bool)])
    video[2, 20:60, 30:70] = True
    moved, changed = temporal_stability(torch.from_numpy(video)).tolist()
    # positions are float32, so a point may change its bin
    assert moved < 1e-3
    assert 0.02 < changed < 0.5


def test_full_frames_have_the_image_border_as_contour():
    assert temporal_stability(torch.ones(3, 20, 30).bool()).tolist() == [0.0, 0.0]


def test_pairs_with_an_empty_frame_are_undefined():
    video = torch.zeros(4, 30, 30).bool()
    video[[0, 1, 3], 5:20, 5:20] = True
    values = temporal_stability(video)
    assert values.dtype == torch.float64
    assert values.isnan().tolist() == [False, True, True]


@pytest.mark.parametrize("frames", [0, 1])
def test_fewer_than_two_frames_have_no_pairs(frames):
    assert temporal_stability(torch.ones(frames, 8, 8).bool()).shape == (0,)


def test_refuses_anything_but_a_stack_of_masks():
    with pytest.raises(ValueError, match=r"pred must be a \(T, H, W\) bool tensor"):
        temporal_stability(torch.zeros(8, 8).bool())
