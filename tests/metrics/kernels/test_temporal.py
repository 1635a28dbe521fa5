"""Temporal instability T: contours, shape contexts, alignment."""

import heapq
from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.metrics.functional import temporal_stability
from vosbench.metrics.kernels.alignment import cheapest_path
from vosbench.metrics.kernels.contours import simplify, trace
from vosbench.metrics.kernels.temporal import (
    dominant_polygon,
    matching_cost,
    shape_contexts,
    upsample,
)

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def mask_of(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def curves_of(mask):
    return [contour.curve for contour in trace(mask)]


def disk(size, centre_y, centre_x, radius):
    y, x = np.indices((size, size))
    return (y - centre_y) ** 2 + (x - centre_x) ** 2 <= radius**2


def signed_area(curve):
    (x0, y0), (x1, y1) = curve[:-1].T, curve[1:].T
    return (x0 * y1 - x1 * y0).sum() / 2


def test_a_pixel_has_a_clockwise_contour_from_its_upper_left_corner():
    (curve,) = curves_of(mask_of("...", "..#"))
    assert curve.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2], [2, 1]]


def test_a_hole_runs_the_other_way():
    hole, outer = curves_of(mask_of("###", "#.#", "###"))
    assert signed_area(outer) == 9
    assert hole.tolist() == [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]


def test_pixels_that_touch_diagonally_have_curves_of_their_own():
    upper, lower = curves_of(mask_of("#.", ".#"))
    assert upper.tolist() == [[1, 1], [0, 1], [0, 0], [1, 0], [1, 1]]
    assert lower.tolist() == [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]


def test_pieces_between_junctions_are_joined_by_their_numbers():
    # Pieces from the junction (2, 2): 0 up and 3 right, both to (2, 1); 1 left and 2 down, both to (1, 2).
    # At (2, 1) the walk along 0 turns into 3 rather than 7, the hole: 3 is lower. So for every pixel.
    curves = curves_of(mask_of(".#.", "#.#", ".#."))
    assert [curve.tolist() for curve in curves] == [
        [[2, 2], [2, 1], [3, 1], [3, 2], [2, 2]],
        [[2, 2], [2, 3], [1, 3], [1, 2], [2, 2]],
        [[1, 2], [0, 2], [0, 1], [1, 1], [1, 2]],
        [[2, 1], [1, 1], [1, 0], [2, 0], [2, 1]],
    ]


def test_a_walk_that_is_back_at_a_junction_has_closed_a_curve():
    # a ring of eight pixels whose only link is the corner (2, 1)
    mask = mask_of("##.", "#.#", "###")
    curves = curves_of(mask)
    assert [curve[0].tolist() for curve in curves] == [[2, 1], [2, 1]]
    assert sorted(signed_area(curve) for curve in curves) == [-1, 8]


@settings(max_examples=200, deadline=None)
@given(masks)
def test_curves_walk_every_crack_once_with_the_foreground_on_the_right(mask):
    padded = np.pad(mask, 1)
    cracks = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
    curves = curves_of(mask)
    walked = [(*start, *end) for curve in curves for start, end in pairwise(curve)]
    assert len(walked) == len(set(walked)) == cracks
    assert sum(signed_area(curve) for curve in curves) == mask.sum()
    for curve in curves:
        assert np.abs(np.diff(curve, axis=0)).sum(1).tolist() == [1] * (len(curve) - 1)
        corners = list(map(tuple, curve[:-1]))
        assert len(set(corners)) == len(corners)


def test_a_large_rectangle_keeps_its_corners():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 5:35] = True
    (contour,) = trace(mask)
    assert simplify(contour).tolist() == [[5, 10], [35, 10], [35, 30], [5, 30], [5, 10]]


def test_steps_of_one_pixel_are_smoothed_away():
    y, x = np.indices((60, 60))
    (contour,) = trace(x + y < 50)
    # the staircase becomes one straight edge; its first and last step may stay
    assert len(contour.curve) == 201
    assert len(simplify(contour)) <= 6


@pytest.mark.parametrize("mask", [np.zeros((5, 5), bool), mask_of("...", ".#.", "...")])
def test_nothing_and_a_single_pixel_have_no_polygon(mask):
    assert dominant_polygon(mask) is None


def test_the_polygon_with_most_vertices_wins_even_when_it_is_a_hole():
    mask = np.ones((60, 60), bool)
    mask[10:50, 10:50] &= ~disk(40, 20, 20, 15)
    assert signed_area(dominant_polygon(mask)) == pytest.approx(-700, rel=0.05)


def test_upsampling_cuts_edges_into_parts_of_at_most_three_pixels():
    triangle = np.array([[0, 0], [7, 0], [7, 3], [0, 0]], dtype=float)
    points = upsample(triangle)
    assert points[:5] == pytest.approx(np.array([[0, 0], [7 / 3, 0], [14 / 3, 0], [7, 0], [7, 3]]), abs=1e-6)
    assert points[-1].tolist() == [0, 0]
    assert len(points) == 3 + 1 + 3 + 1


def test_shape_context_of_four_points_by_hand():
    # mean over the 4 x 4 distances of the unit square: (8 + 4 sqrt 2) / 16 = 0.854
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    first = shape_contexts(points)[0].reshape(5, 12) * 4
    expected = np.zeros((5, 12))
    # relative distances 0 | 1.17 (right, below) | 1.66 (diagonal); edges 0.125 0.25 0.5 1 2
    expected[4, 0], expected[0, 0], expected[0, 3], expected[0, 1] = 1, 1, 1, 1
    assert first == pytest.approx(expected)


def test_matching_cost_of_equal_and_of_disjoint_histograms():
    a, b = np.array([[1.0, 0, 0], [0.5, 0.5, 0]]), np.array([[1.0, 0, 0], [0, 0, 1.0]])
    # (0.5^2 / 1.5 + 0.5^2 / 0.5) / 2 = 1 / 3
    assert matching_cost(a, b) == pytest.approx(np.array([[0, 1], [1 / 3, 1]]))


def dijkstra(cost):
    rows, columns = cost.shape
    queue, best = [(0.0, 0, 0)], {}
    while queue:
        reached, i, j = heapq.heappop(queue)
        if (i, j) in best:
            continue
        best[i, j] = reached
        for k, m in ((i, j + 1), (i + 1, j), (i + 1, j + 1)):
            if k < rows and m < columns:
                heapq.heappush(queue, (reached + cost[k, m], k, m))
    return best[rows - 1, columns - 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_the_path_is_monotone_and_cheapest(rows, columns, seed):
    cost = np.random.default_rng(seed).integers(0, 8, (rows, columns)) / 8
    path = cheapest_path(cost)[::-1]
    assert path[0] == (0, 0)
    assert path[-1] == (rows - 1, columns - 1)
    steps = {tuple(step) for step in np.diff(path, axis=0).tolist()}
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert sum(cost[cell] for cell in path[1:]) == dijkstra(cost)


def test_of_equal_paths_the_one_the_heap_meets_first_is_taken():
    # All ways to the last cell cost 2. The start enters right, down and diagonal, which leave in the
    # order right, diagonal, down: the last entry of a heap replaces its root, and nothing outweighs it.
    assert cheapest_path(np.ones((2, 3))) == [(1, 2), (0, 1), (0, 0)]
    assert cheapest_path(np.ones((3, 2))) == [(2, 1), (1, 1), (0, 0)]


@pytest.mark.parametrize("seed", range(3))
def test_a_mask_that_stays_as_it_is_has_no_instability(seed):
    mask = np.random.default_rng(seed).random((40, 40)) < 0.6
    assert temporal_stability(torch.from_numpy(np.stack([mask, mask]))).tolist() == [0.0]
    # the rule behind the shortcut for equal masks
    contexts = shape_contexts(upsample(dominant_polygon(mask)))
    cost = matching_cost(contexts, contexts)
    assert all(cost[cell] == 0 for cell in cheapest_path(cost))


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
