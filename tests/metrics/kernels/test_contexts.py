"""Shape contexts and how far two differ."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vosbench.metrics.kernels.contexts import _matlab_sectors, matching_cost, shape_contexts


def test_shape_context_of_four_points_by_hand():
    # mean over the 4 x 4 distances of the unit square: (8 + 4 sqrt 2) / 16 = 0.854
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    first = shape_contexts(points)[0].reshape(5, 12) * 4
    expected = np.zeros((5, 12))
    # relative distances 0 | 1.17 (right, below) | 1.66 (diagonal); edges 0.125 0.25 0.5 1 2
    expected[4, 0], expected[0, 0], expected[0, 3], expected[0, 1] = 1, 1, 1, 1
    assert first == pytest.approx(expected)


def test_in_matlab_angles_run_from_down_to_the_right():
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    second = shape_contexts(points, matlab=True)[1].reshape(5, 12) * 4
    expected = np.zeros((5, 12))
    # itself | left at 270 and below at 0 degrees | below to the left at 315
    expected[4, 0], expected[0, 9], expected[0, 0], expected[0, 10] = 1, 1, 1, 1
    assert second == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "sector"),
    [
        # found in contours of DAVIS 2016 (car-shadow); its published values need each of these
        (-2.842170943040401e-14, -58.500000000000114, 8),  # two roundings; 9 with the nearest float64
        (-1.4210854715202004e-14, -29.249999999999943, 8),
        (2.842170943040401e-14, 58.500000000000114, 3),  # one rounding
        (2.842170943040401e-14, 44.21428571428595, 2),
        (92.99999999999997, -1.1368683772161603e-13, 0),  # a whole turn but for rounding: none
        (-92.99999999999997, 1.1368683772161603e-13, 6),
        # by hand: exact, and farther from the axis than rounding
        (1.0, 0.0, 0),
        (0.0, 1.0, 3),
        (-1.0, 0.0, 6),
        (0.0, -1.0, 9),
        (1.0, -1e-12, 11),
        (1e-12, -1.0, 9),
        (-1e-12, -1.0, 8),
        (-1.0, 1e-12, 5),
        (1e-14, 1e-14, 1),
        (-1e-14, -1e-14, 7),
    ],
)
def test_sectors_along_an_axis_follow_the_arithmetic_of_matlab(x, y, sector):
    assert _matlab_sectors(np.array([x]), np.array([y])).tolist() == [sector]


def slow_shape_contexts(points):
    """One pair of points after the other."""
    distances = np.array([[math.dist(a, b) for b in points] for a in points])
    counts = np.zeros((len(points), 5, 12))
    for i, j in np.ndindex(distances.shape):
        ring = int((distances[i, j] / distances.mean() < np.geomspace(1 / 8, 2, 5)).sum())
        dx, dy = points[j] - points[i]
        if ring:
            counts[i, ring - 1, int(math.atan2(dy, dx) % math.tau / (math.tau / 12)) % 12] += 1
    counts = counts.reshape(len(points), 60)
    return counts / counts.sum(1, keepdims=True)


@settings(max_examples=60)
@given(hnp.arrays(np.float64, st.tuples(st.integers(4, 12), st.just(2)), elements=st.integers(0, 97)))
def test_shape_contexts_equal_those_of_one_pair_after_the_other(points):
    # places that repeat, like the end of a closed curve, are in it
    assume(np.ptp(points, axis=0).any())
    assert shape_contexts(points) == pytest.approx(slow_shape_contexts(points), abs=1e-12)
    turned = slow_shape_contexts(points[:, ::-1])
    assert shape_contexts(points, matlab=True) == pytest.approx(turned, abs=1e-12)


@settings(max_examples=60)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(4, 12), st.just(2)), elements=st.integers(1, 9)),
    st.randoms(),
)
def test_points_along_an_axis_but_for_rounding_count_where_matlab_has_them(points, random):
    assume(np.ptp(points, axis=0).any())
    rounding = np.array([random.randint(-3, 3) for _ in range(points.size)]) * 2.0**-48
    rounded = points + rounding.reshape(points.shape)
    row, column = (rounded[:, ::-1] - rounded[:, None, ::-1]).transpose(2, 0, 1)
    sectors = _matlab_sectors(row.ravel(), column.ravel()).reshape(row.shape)
    distances = np.array([[math.dist(a, b) for b in points] for a in points])
    relative = distances[:, :, None] / distances.mean()
    edges = np.geomspace(1 / 8, 2, 5)
    assume(np.abs(relative - edges).min() > 1e-9)
    ring = (relative < edges).sum(2)
    counts = np.zeros((len(points), 6, 12))
    for i, j in np.ndindex(distances.shape):
        counts[i, ring[i, j], sectors[i, j]] += 1
    counts = counts[:, 1:].reshape(len(points), 60)
    expected = counts / counts.sum(1, keepdims=True)
    assert shape_contexts(rounded, matlab=True) == pytest.approx(expected, abs=1e-12)


def test_shape_contexts_of_many_points_equal_those_of_one_pair_after_the_other():
    # more pairs than are counted at a time
    angles = np.linspace(0, math.tau, 801)
    points = np.stack([300 * np.cos(angles), 200 * np.sin(3 * angles)], axis=1).round()
    found = shape_contexts(points)
    chosen = [0, 1, 400, 800]
    distance = np.hypot(*(points - points[:, None]).T)
    for i in chosen:
        dx, dy = (points - points[i]).T
        ring = (distance[i] / distance.mean() < np.geomspace(1 / 8, 2, 5)[:, None]).sum(0)
        sector = (np.arctan2(dy, dx) % math.tau / (math.tau / 12)).astype(int) % 12
        counts = np.zeros((6, 12))
        np.add.at(counts, (ring, sector), 1)
        assert found[i] == pytest.approx(counts[1:].ravel() / counts[1:].sum(), abs=1e-12)


def test_matching_cost_of_equal_and_of_disjoint_histograms():
    a, b = np.array([[1.0, 0, 0], [0.5, 0.5, 0]]), np.array([[1.0, 0, 0], [0, 0, 1.0]])
    # (0.5^2 / 1.5 + 0.5^2 / 0.5) / 2 = 1 / 3
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert matching_cost(a, b, cells) == pytest.approx([0, 1, 1 / 3, 1])
