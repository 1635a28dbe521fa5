"""Cheapest paths through a matrix, from bounds of all cells, rough costs of some and exact ones of few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.kernels.released import released_path_of
from vosbench.metrics.kernels import path_totals
from vosbench.metrics.kernels.alignment import (
    AlignmentCosts,
    batch_size,
    cheapest_paths,
    released_path,
)
from vosbench.metrics.kernels.path_totals import Workspace, units_of_one
from vosbench.metrics.kernels.rough_costs import ROUGH_ERROR


class Rough:
    """Rough costs as wrong as they may be; bounds far below them, until they are asked for."""

    def __init__(self, cost, seed):
        random = np.random.default_rng(seed)
        error = random.uniform(-ROUGH_ERROR, ROUGH_ERROR, cost.shape)
        one = units_of_one(cost.shape)
        self.exact = np.rint((cost + error) * one).clip(0).astype(np.uint32)
        self.units = (self.exact * random.choice([0, 0.5, 1], cost.shape)).astype(np.uint32)
        self.refined = np.zeros(cost.shape, bool)

    def known(self, cells):
        return self.refined[cells[:, 0], cells[:, 1]].all()

    def refine(self, cells, reach):
        for step in range(-reach, reach + 1):
            rows, columns = ((cells + np.array([step, -step])) % self.units.shape).T
            self.units[rows, columns] = self.exact[rows, columns]
            self.refined[rows, columns] = True


def costs_of(cost, seed=0):
    return AlignmentCosts(Rough(cost, seed), lambda cells: cost[cells[:, 0], cells[:, 1]])


def places(path, cost, first=(0, 0)):
    """Cells of a path in the matrix that begins with a cell."""
    return [tuple(cell) for cell in ((path.cells - first) % cost.shape).tolist()]


def path_through(cost, first=(0, 0)):
    """The released path in the matrix that begins with a cell."""
    costs, workspace = costs_of(cost), Workspace()
    (found,) = cheapest_paths([costs], [first], workspace)
    path = released_path(costs, first, found, workspace)
    assert path.costs.tolist() == cost[path.cells[:, 0], path.cells[:, 1]].tolist()
    return places(path, cost, first)


# few distinct costs: most searches have many cheapest paths
few = st.tuples(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([2, 3, 8, 1000])
)


def matrix(rows, columns, seed, values):
    return np.random.default_rng(seed).integers(0, values, (rows, columns)) / values


@settings(max_examples=300)
@given(few)
def test_the_path_is_that_of_the_released_search(case):
    cost = matrix(*case)
    assert path_through(cost) == released_path_of(cost)


@settings(max_examples=100)
@given(few, st.integers(0, 11), st.integers(0, 11))
def test_any_cell_may_come_first(case, row, column):
    cost = matrix(*case)
    first = row % len(cost), column % cost.shape[1]
    turned = np.roll(cost, (-first[0], -first[1]), axis=(0, 1))
    assert path_through(cost, first) == released_path_of(turned)


@settings(max_examples=60)
@given(few)
def test_blocks_of_anti_diagonals_make_no_difference(case):
    cost = matrix(*case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_totals, "BATCH", 3 * (len(cost) + 1))
        assert path_through(cost) == released_path_of(cost)
        first = len(cost) // 2, cost.shape[1] // 3
        turned = np.roll(cost, (-first[0], -first[1]), axis=(0, 1))
        assert path_through(cost, first) == released_path_of(turned)


@settings(max_examples=60)
@given(few)
def test_longer_totals_make_no_difference(case):
    cost = matrix(*case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_totals, "_LEAST_BITS", 32)
        assert path_through(cost) == released_path_of(cost)


@settings(max_examples=60)
@given(st.lists(few, min_size=2, max_size=5))
def test_matrices_of_any_shape_are_searched_together(cases):
    matrices = [matrix(*case) for case in cases]
    firsts = [(len(cost) // 2, cost.shape[1] // 3) for cost in matrices]
    workspace = Workspace()
    costs = [costs_of(cost) for cost in matrices]
    together = cheapest_paths(costs, firsts, workspace)
    for cost, first, item, found in zip(matrices, firsts, costs, together, strict=True):
        path = released_path(item, first, found, workspace)
        turned = np.roll(cost, (-first[0], -first[1]), axis=(0, 1))
        assert places(path, cost, first) == released_path_of(turned)


def test_batches_fit_in_memory():
    assert batch_size((30, 30)) > batch_size((1000, 1000)) > 1
    assert batch_size((20000, 20000)) == 1
    for n in (30, 300, 1000):
        assert batch_size((n, n)) * (n + 1) * (2 * n + 1) <= path_totals.BATCH


@settings(max_examples=60)
@given(few)
def test_all_paths_found_are_monotone_and_cost_the_same(case):
    cost = matrix(*case)
    (found,) = cheapest_paths([costs_of(cost)], [(0, 0)], Workspace())
    paths = [path.cells for path in found.paths]
    sums = set()
    for path in paths:
        assert path[0].tolist() == [len(cost) - 1, cost.shape[1] - 1]
        assert path[-1].tolist() == [0, 0]
        assert {tuple(step) for step in (path[:-1] - path[1:]).tolist()} <= {(0, 1), (1, 0), (1, 1)}
        sums.add(np.cumsum(cost[path[-2::-1, 0], path[-2::-1, 1]])[-1] if len(path) > 1 else 0.0)
    assert len(sums) == 1
    assert len({path.tobytes() for path in paths}) == len(paths)


def test_of_equal_paths_the_one_the_heap_meets_first_is_taken():
    # All ways to the last cell cost 2. The start enters right, down and diagonal, which leave in the
    # order right, diagonal, down: the last entry of a heap replaces its root, and nothing outweighs it.
    assert path_through(np.ones((2, 3))) == [(1, 2), (0, 1), (0, 0)]
    assert path_through(np.ones((3, 2))) == [(2, 1), (1, 1), (0, 0)]


def test_too_many_equal_paths_are_not_all_listed():
    # every monotone path is free
    cost = np.zeros((12, 12))
    (found,) = cheapest_paths([costs_of(cost)], [(0, 0)], Workspace())
    assert not found.complete
    assert path_through(cost) == released_path_of(cost)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(24, 40), st.integers(24, 40), st.integers(0, 10**6), st.sampled_from([3, 8, 1000]))
)
def test_bounds_hide_no_cheaper_path(case):
    # large enough for most costs to stay bounds, so that the first path found often goes through some
    cost = matrix(*case)
    assert path_through(cost) == released_path_of(cost)
