"""Rough costs of pairs of histograms along diagonals, and lower bounds of blocks."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.metrics.kernels.released import whole_matching_cost
from vosbench.metrics.kernels.contexts import matching_cost
from vosbench.metrics.kernels.path_totals import BLOCK, Band, units_of_one
from vosbench.metrics.kernels.rough_costs import ROUGH_ERROR, RoughCosts


def histograms(counts):
    return counts / counts.sum(1, keepdims=True)


def random_histograms(seed, length):
    return histograms(np.random.default_rng(seed).integers(0, 3, (length, 60)) ** 4)


counts = hnp.arrays(np.int64, st.tuples(st.integers(1, 20), st.just(60)), elements=st.integers(0, 400))


@settings(max_examples=60)
@given(counts, counts)
def test_rough_costs_are_within_their_error_and_bounds_are_not_above_the_costs(first, second):
    assume(first.any(1).all() and second.any(1).all())
    first, second = histograms(first), histograms(second)
    exact = whole_matching_cost(first, second)
    one = units_of_one(exact.shape)
    rough = RoughCosts(first, second)
    bounds = rough.bounds.repeat(BLOCK, 0).repeat(BLOCK, 1)[: len(first), : len(second)]
    assert (bounds / one <= exact).all()
    turned = exact_along(exact, (0, 0), Band.whole(exact.shape))
    costs = rough.along((0, 0), Band.whole(exact.shape))
    assert np.abs(costs / one - turned).max() <= ROUGH_ERROR + 0.5 / one
    cells = np.argwhere(np.ones(exact.shape, bool))
    assert matching_cost(first, second, cells).tolist() == exact.ravel().tolist()


def exact_along(exact, first, band):
    """Costs along diagonals, going on over the edges of the torus."""
    n1, n2 = exact.shape
    rows = np.arange(n1)
    columns = rows + np.arange(band.low, band.high + 1)[:, None]
    return exact[(rows + first[0]) % n1, (columns + first[1]) % n2]


def test_bounds_are_one_less_the_sum_of_geometric_means_in_the_closest_pair():
    first = np.array([[0.5, 0.5, 0]])
    second = np.array([[0, 0, 1]] * 4 + [[0.5, 0, 0.5]] + [[0, 0, 1]] * 3 + [[0.5, 0.5, 0]])
    found = RoughCosts(first, second).bounds / units_of_one((1, 9))
    assert found == pytest.approx(np.array([[1, 0.5, 0]]), abs=2e-5)


@pytest.mark.parametrize(("rows", "columns"), [(300, 290), (150, 401), (5, 300), (300, 5)])
def test_costs_along_diagonals_go_on_over_the_edges(rows, columns):
    first, second = random_histograms(0, rows), random_histograms(1, columns)
    exact, one = whole_matching_cost(first, second), units_of_one((rows, columns))
    rough = RoughCosts(first, second)
    # one after the other, so that some are there already
    for start, band in (((0, 0), Band(-3, 2)), ((rows // 2, 3), Band(-4, 4)), ((0, 1), Band(-3, 4))):
        costs = rough.along(start, band)
        assert np.abs(costs / one - exact_along(exact, start, band)).max() <= ROUGH_ERROR + 0.5 / one
