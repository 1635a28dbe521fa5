"""What several seeds say, from hand-made numbers."""

import pytest

from vosbench.benchmark.statistics import Aggregation
from vosbench.benchmark.suite_statistics import seeded_difference, seeded_value


def rows(*values):
    return {f"s{index}": {"J_mean": value} for index, value in enumerate(values)}


def mean_rule(names):
    return Aggregation("mean", ("J_mean",))


def test_the_value_is_the_mean_over_seeds_of_data_set_values():
    found = seeded_value({0: rows(0.2, 0.4), 1: rows(0.4, 0.8)}, mean_rule)
    assert found.by_seed == {0: pytest.approx(0.3), 1: pytest.approx(0.6)}
    assert found.mean == pytest.approx(0.45)
    # the worst draw is the worst sequence of the worst seed, the best one the best of the best
    assert 0.2 <= found.interval.low < 0.3
    assert 0.6 < found.interval.high <= 0.8


def test_seeds_that_differ_widen_the_interval():
    same = seeded_value({0: rows(0.4, 0.5), 1: rows(0.4, 0.5), 2: rows(0.4, 0.5)}, mean_rule).interval
    differ = seeded_value({0: rows(0.3, 0.4), 1: rows(0.4, 0.5), 2: rows(0.5, 0.6)}, mean_rule).interval
    assert differ.high - differ.low > same.high - same.low


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        # better on every sequence with every seed
        ([(0.6, 0.9), (0.7, 0.8)], [(0.5, 0.8), (0.5, 0.7)], "yes"),
        # worse everywhere
        ([(0.1, 0.2), (0.1, 0.2)], [(0.5, 0.8), (0.5, 0.7)], "no"),
        # better with one seed, worse with the other
        ([(0.6, 0.9), (0.1, 0.2)], [(0.5, 0.8), (0.5, 0.7)], "unclear"),
        # one seed says nothing about others
        ([(0.6, 0.9)], [(0.5, 0.8)], "unclear"),
    ],
)
def test_an_ordering_holds_when_its_whole_interval_says_so(first, second, verdict):
    first, second = ({seed: rows(*values) for seed, values in enumerate(each)} for each in (first, second))
    assert seeded_difference(first, second, mean_rule).holds(strict=True) == verdict


def test_hard_sequences_are_hard_for_both_rows():
    first = {0: rows(0.1, 0.5, 0.9), 1: rows(0.1, 0.5, 0.9)}
    second = {0: rows(0.0, 0.4, 0.8), 1: rows(0.0, 0.4, 0.8)}
    found = seeded_difference(first, second, mean_rule)
    assert found.mean == pytest.approx(0.1)
    assert found.interval.high - found.interval.low == pytest.approx(0, abs=1e-12)
    assert found.share == 1.0


def test_equal_rows_are_at_least_as_good_but_not_better():
    same = {0: rows(0.5, 0.6), 1: rows(0.4, 0.7)}
    found = seeded_difference(same, same, mean_rule)
    assert found.holds(strict=False) == "yes"
    assert found.holds(strict=True) == "no"
    assert found.share == 0.5


def test_lower_can_be_better():
    low, high = {0: rows(0.1, 0.1), 1: rows(0.1, 0.1)}, {0: rows(0.3, 0.2), 1: rows(0.3, 0.2)}
    found = seeded_difference(low, high, mean_rule, lower_is_better=True)
    assert found.mean == pytest.approx(0.15)
    assert found.holds(strict=True) == "yes"


def test_only_common_seeds_and_sequences_are_compared():
    first = {0: rows(0.5, 0.6, 0.7), 1: rows(0.5, 0.6), 5: rows(0.0, 0.0)}
    second = {0: rows(0.4, 0.5), 1: rows(0.4, 0.5)}
    found = seeded_difference(first, second, mean_rule)
    assert sorted(found.by_seed) == [0, 1]
    assert found.interval.sequences == 2
    with pytest.raises(ValueError, match="no seed in common"):
        seeded_difference({0: rows(0.1)}, {1: rows(0.1)}, mean_rule)
