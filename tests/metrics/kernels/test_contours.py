"""Contours of masks: crack following and simplification."""

from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.metrics.kernels.contours import most_vertices, simplify, trace

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def mask_of(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def curves_of(mask, **options):
    return [contour.curve for contour in trace(mask, **options)]


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


@pytest.mark.parametrize(
    ("count", "starts"),
    [
        (1, [0]),
        (2, [2, 0]),
        (3, [4, 0, 2]),
        (4, [6, 4, 2, 0]),
        (5, [8, 0, 2, 4, 6]),
    ],
)
def test_the_matlab_build_turns_the_order_of_3_5_7_11_and_so_on_curves(count, starts):
    mask = np.arange(2 * count)[None] % 2 == 0
    assert [curve[0, 0] for curve in curves_of(mask, matlab=True)] == starts
    assert [curve[0, 0] for curve in curves_of(mask)] == [2 * i for i in reversed(range(count))]


def test_in_the_matlab_build_a_curve_through_touches_may_start_at_another():
    # Junctions (2, 1), (1, 2), (2, 2). Both curves of the last leave one that goes through the two others.
    mask = mask_of("##.", "#.#", ".#.")
    usual, matlab = curves_of(mask), curves_of(mask, matlab=True)
    assert [curve[0].tolist() for curve in usual] == [[2, 2], [2, 2], [1, 2]]
    assert [curve[0].tolist() for curve in matlab] == [[2, 2], [2, 2], [2, 1]]
    assert sorted(usual[2][1:].tolist()) == sorted(matlab[2][1:].tolist())


@settings(max_examples=200)
@given(masks, st.booleans())
def test_curves_walk_every_crack_once_with_the_foreground_on_the_right(mask, matlab):
    padded = np.pad(mask, 1)
    cracks = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
    curves = curves_of(mask, matlab=matlab)
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
    assert simplify([contour])[0].tolist() == [[5, 10], [35, 10], [35, 30], [5, 30], [5, 10]]


def test_steps_of_one_pixel_are_smoothed_away():
    y, x = np.indices((60, 60))
    (contour,) = trace(x + y < 50)
    # the staircase becomes one straight edge; its first and last step may stay
    assert len(contour.curve) == 201
    assert len(simplify([contour])[0]) <= 6


def slow_simplification(points, tolerance):
    """One segment after the other, one point after the other."""
    kept = [points[0]]
    for point in points[1:-1]:
        if ((point - kept[-1]) ** 2).sum() >= tolerance**2:
            kept.append(point)
    points = np.array([*kept, points[-1]])
    stays = {0, len(points) - 1}
    pending = [(0, len(points) - 1)]
    while pending:
        first, last = pending.pop()
        along = points[last] - points[first]
        length = along @ along
        farthest, at = tolerance**2, None
        for index in range(first + 1, last):
            projection = (points[index] - points[first]) @ along
            fraction = float(projection >= length)
            if 0 < projection < length:
                fraction = float(np.float32(projection) / np.float32(length))
            x, y = points[index] - (points[first] + fraction * along)
            if x * x + y * y > tolerance**2 and x * x + y * y >= farthest:
                farthest, at = x * x + y * y, index
        if at is not None:
            stays.add(at)
            pending += [(first, at), (at, last)]
    return points[sorted(stays)]


@settings(max_examples=60)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16)))
def test_simplification_equals_that_of_one_point_after_the_other(mask):
    for contour in trace(mask):
        points = 2 * (contour.curve[::-1] if contour.backwards else contour.curve)
        for tolerance in (0.1, 3.0):
            points = slow_simplification(points, tolerance)
        simple = simplify([contour])[0]
        assert simple.tolist() == ((points[::-1] if contour.backwards else points) / 2).tolist()
        assert len(simple) <= most_vertices(contour)


def test_contours_simplified_together_are_those_simplified_alone():
    rng = np.random.default_rng(5)
    contours = [contour for size in (2, 3, 9, 30) for contour in trace(rng.random((size, size)) > 0.4)]
    assert len(contours) > 20
    together = simplify(contours)
    assert [curve.tolist() for curve in together] == [simplify([item])[0].tolist() for item in contours]
    assert simplify([]) == []
