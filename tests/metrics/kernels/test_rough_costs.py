"""Rough costs of pairs of histograms, and lower bounds where none were asked for."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.metrics.kernels.released import whole_matching_cost
from vosbench.metrics.kernels.contexts import matching_cost
from vosbench.metrics.kernels.path_totals import units_of_one
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
    assert (rough.units / one <= exact + ROUGH_ERROR).all()
    cells = np.argwhere(np.ones(exact.shape, bool))
    rough.refine(cells, 0)
    assert np.abs(rough.units / one - exact).max() <= ROUGH_ERROR + 0.5 / one
    assert matching_cost(first, second, cells).tolist() == exact.ravel().tolist()


def test_bounds_are_one_less_the_sum_of_geometric_means():
    first, second = np.array([[0.5, 0.5, 0]]), np.array([[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0, 1]])
    found = RoughCosts(first, second).units / units_of_one((1, 3))
    assert found == pytest.approx(np.array([[0, 0.5, 1]]), abs=2e-5)


@pytest.mark.parametrize(("rows", "columns"), [(300, 290), (150, 401), (5, 300), (300, 5)])
def test_costs_near_a_path_on_the_torus_are_known_and_no_others_change(rows, columns):
    first, second = random_histograms(0, rows), random_histograms(1, columns)
    exact, one = whole_matching_cost(first, second), units_of_one((rows, columns))
    rough = RoughCosts(first, second)
    bounds = rough.units.copy()
    # over the corner, so that both coordinates start anew
    path = (np.arange(-40, 60)[:, None] + (0, 3)) % (rows, columns)
    assert not rough.known(path)
    rough.refine(path, 4)
    for step in range(-4, 5):
        assert rough.known((path + np.array([step, -step])) % (rows, columns))
    each = np.argwhere(np.ones((rows, columns), bool))
    known = np.array([rough.known(cell[None]) for cell in each]).reshape(rows, columns)
    assert np.abs(rough.units / one - exact)[known].max() <= ROUGH_ERROR + 0.5 / one
    assert np.array_equal(rough.units[~known], bounds[~known])


def test_costs_far_from_a_path_stay_bounds():
    rough = RoughCosts(random_histograms(0, 600), random_histograms(1, 600))
    rough.refine(np.arange(600)[:, None] + (0, 0), 4)
    assert not rough.known(np.array([[100, 300]]))
