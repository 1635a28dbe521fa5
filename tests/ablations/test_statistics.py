"""What several seeds say, from hand-made numbers."""

import math

import numpy as np
import pytest

from vosbench.ablations.statistics import seeded_difference, seeded_value
from vosbench.evaluation.statistics import interval
from vosbench.evaluation.student import quantile
from vosbench.metrics.kernels.aggregation import Aggregation


def rows(*values):
    return {f"s{index}": {"J_mean": value} for index, value in enumerate(values)}


def mean_rule(names):
    return Aggregation("mean", ("J_mean",))


def test_the_value_is_the_mean_over_seeds_of_data_set_values():
    found = seeded_value({0: rows(0.2, 0.4, 0.3), 1: rows(0.4, 0.8, 0.6)}, mean_rule)
    assert found.by_seed == {0: pytest.approx(0.3), 1: pytest.approx(0.6)}
    assert found.mean == pytest.approx(0.45)


def test_the_error_adds_the_variances_of_seeds_and_of_sequences():
    found = seeded_value({0: rows(0.2, 0.4, 0.3), 1: rows(0.4, 0.8, 0.6)}, mean_rule)
    # seeds 0.3 and 0.6: variance 0.045 of each, half of it of their mean;
    # sequences 0.3, 0.6 and 0.45 on average: variance 0.0225 of each, a third of it of their mean
    seeds, sequences = 0.045 / 2, 0.0225 / 3
    assert found.interval.error == pytest.approx(math.sqrt(seeds + sequences))
    # Satterthwaite: 0.03^2 / (0.0225^2 / 1 + 0.0075^2 / 2), about 1.68 degrees of freedom
    freedom = 0.03**2 / (seeds**2 / 1 + sequences**2 / 2)
    half = quantile(0.975, freedom) * found.interval.error
    assert found.interval.high - found.interval.low == pytest.approx(2 * half)


def test_one_seed_has_the_interval_of_its_sequences():
    found = seeded_value({0: rows(0.2, 0.4, 0.3)}, mean_rule)
    assert found.interval == interval(rows(0.2, 0.4, 0.3), mean_rule(()))


def test_seeds_that_differ_widen_the_interval():
    same = seeded_value({seed: rows(0.4, 0.5, 0.6) for seed in range(3)}, mean_rule).interval
    differ = seeded_value(
        {seed: rows(0.4 + shift, 0.5 + shift, 0.6 + shift) for seed, shift in enumerate((-0.1, 0, 0.1))},
        mean_rule,
    ).interval
    assert differ.error > same.error


def test_two_sequences_have_no_interval():
    assert math.isnan(seeded_value({0: rows(0.4, 0.5), 1: rows(0.5, 0.6)}, mean_rule).interval.low)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        # better on every sequence with every seed
        ([(0.6, 0.9, 0.8), (0.62, 0.89, 0.83)], [(0.3, 0.6, 0.5), (0.31, 0.6, 0.52)], "yes"),
        # worse everywhere
        ([(0.3, 0.6, 0.5), (0.31, 0.6, 0.52)], [(0.6, 0.9, 0.8), (0.62, 0.89, 0.83)], "no"),
        # better with one seed, worse with the other
        ([(0.6, 0.9, 0.8), (0.1, 0.2, 0.1)], [(0.5, 0.8, 0.7), (0.5, 0.7, 0.6)], "unclear"),
        # better by 0.1 on average, but by how much depends on the sequence
        ([(0.9, 0.5, 0.5), (0.9, 0.5, 0.5)], [(0.6, 0.5, 0.5), (0.6, 0.5, 0.5)], "unclear"),
        # one seed says nothing about others
        ([(0.6, 0.9, 0.8)], [(0.3, 0.6, 0.5)], "unclear"),
    ],
)
def test_an_ordering_holds_when_its_whole_interval_says_so(first, second, verdict):
    first, second = ({seed: rows(*values) for seed, values in enumerate(each)} for each in (first, second))
    found = seeded_difference(first, second, mean_rule)
    assert found.holds(strict=True) == found.holds(strict=False) == verdict


def test_hard_sequences_are_hard_for_both_rows():
    first = {0: rows(0.1, 0.5, 0.9), 1: rows(0.11, 0.5, 0.9)}
    second = {0: rows(0.0, 0.4, 0.8), 1: rows(0.0, 0.4, 0.8)}
    found = seeded_difference(first, second, mean_rule)
    assert found.mean == pytest.approx(0.1, abs=0.01)
    assert found.interval.high - found.interval.low < 0.04
    assert found.share > 0.99


def test_the_same_gain_everywhere_has_no_interval_and_holds():
    first, second = ({seed: rows(j, j + 0.25, j) for seed in (0, 1)} for j in (0.5, 0.25))
    found = seeded_difference(first, second, mean_rule)
    assert (found.mean, found.share) == (pytest.approx(0.25), 1.0)
    assert math.isnan(found.interval.low)
    assert found.holds(strict=True) == "yes"
    assert seeded_difference(second, first, mean_rule).holds(strict=False) == "no"


def test_equal_rows_are_at_least_as_good_but_not_better():
    same = {0: rows(0.5, 0.6, 0.7), 1: rows(0.4, 0.7, 0.7)}
    found = seeded_difference(same, same, mean_rule)
    assert found.holds(strict=False) == "yes"
    assert found.holds(strict=True) == "no"
    assert found.share == 0.5


def test_lower_can_be_better():
    low, high = ({seed: rows(j, j + 0.01, j) for seed in (0, 1)} for j in (0.1, 0.3))
    found = seeded_difference(low, high, mean_rule, lower_is_better=True)
    assert found.mean == pytest.approx(0.2)
    assert found.holds(strict=True) == "yes"


def test_only_common_seeds_and_sequences_are_compared():
    first = {0: rows(0.5, 0.6, 0.7), 1: rows(0.5, 0.6), 5: rows(0.0, 0.0)}
    second = {0: rows(0.4, 0.5), 1: rows(0.4, 0.5)}
    found = seeded_difference(first, second, mean_rule)
    assert sorted(found.by_seed) == [0, 1]
    assert found.interval.sequences == 2
    with pytest.raises(ValueError, match="no seed in common"):
        seeded_difference({0: rows(0.1)}, {1: rows(0.1)}, mean_rule)


def test_a_sequence_without_a_value_with_one_seed_of_one_row_is_left_out_of_the_difference():
    first = {0: rows(0.5, 0.6, 0.7, None), 1: rows(0.5, 0.6, 0.7, 0.0)}
    second = {0: rows(0.4, 0.5, 0.6, 0.9), 1: rows(0.4, 0.5, 0.6, 0.9)}
    found = seeded_difference(first, second, mean_rule)
    assert found.mean == pytest.approx(0.1)
    assert (found.left_out, found.interval.sequences) == (("s3",), 3)


def test_the_interval_over_seeds_and_sequences_holds_the_true_value():
    random, kept, trials = np.random.default_rng(0), 0, 500
    for _ in range(trials):
        sequences = random.normal(0.5, 0.2, 10)
        table = {seed: rows(*sequences + random.normal(0, 0.05)) for seed in range(3)}
        found = seeded_value(table, mean_rule).interval
        kept += found.low <= 0.5 <= found.high
    assert 0.92 <= kept / trials <= 0.98
