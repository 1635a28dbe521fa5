import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.benchmark.statistics import (
    Aggregation,
    aggregate,
    compare,
    draw_counts,
    interval,
    resample,
)
from vosbench.errors import InputError

MEAN = Aggregation("mean", ("J",))
WEIGHTED = Aggregation("mean", ("J",), weights="objects")
SUM = Aggregation("sum", ("J",))
HARMONIC = Aggregation("harmonic", ("P", "R"))


def rows(*values, column="J"):
    return {f"s{index}": {column: value} for index, value in enumerate(values)}


def by_class(**labels):
    return Aggregation("classes", ("J",), classes=labels)


# the value of a data set


def test_mean_over_sequences():
    assert aggregate(rows(0.25, 0.5, 0.75), MEAN) == 0.5


def test_the_order_of_the_sequences_never_changes_the_last_digit():
    values = np.random.default_rng(0).random(20)
    assert aggregate(rows(*values), MEAN) == aggregate(rows(*values[::-1]), MEAN)


@pytest.mark.parametrize("undefined", [None, math.nan])
def test_undefined_values_are_left_out(undefined):
    assert aggregate(rows(0.2, undefined, 0.4), MEAN) == pytest.approx(0.3)


def test_a_column_some_sequences_do_not_have_is_undefined_there():
    assert aggregate({"a": {"J": 0.5}, "b": {}}, MEAN) == 0.5


def test_a_mean_over_objects_weighs_sequences_by_their_number_and_drops_it_with_the_value():
    table = {
        "one": {"J": 0.8, "objects": 1},
        "three": {"J": 0.4, "objects": 3},
        "lost": {"J": None, "objects": 9},
    }
    assert aggregate(table, WEIGHTED) == pytest.approx(0.5)


def test_classes_count_the_same_however_many_sequences_they_have():
    rule = by_class(s0="dog", s1="dog", s2="dog", s3="cat")
    assert aggregate(rows(0.6, 0.6, 0.9, 0.1), rule) == pytest.approx((0.7 + 0.1) / 2)


def test_a_class_without_a_value_is_left_out():
    assert aggregate(rows(0.6, None), by_class(s0="dog", s1="cat")) == 0.6


def test_objects_are_summed():
    assert aggregate(rows(3, None, 4), SUM) == 7


def test_f_is_taken_from_mean_precision_and_mean_recall_not_averaged():
    table = {"a": {"P": 1.0, "R": 0.2}, "b": {"P": 0.6, "R": 0.6}}
    assert aggregate(table, HARMONIC) == pytest.approx(2 * 0.8 * 0.4 / 1.2)
    assert aggregate({"a": {"P": 0.0, "R": 0.0}}, HARMONIC) == 0.0


@pytest.mark.parametrize("rule", [MEAN, WEIGHTED, SUM, HARMONIC, by_class(s0="dog")])
def test_no_value_at_all_is_nan_without_a_warning(rule, recwarn):
    assert math.isnan(aggregate({}, rule))
    assert math.isnan(aggregate({"s0": {"J": None}}, rule))
    assert not recwarn.list


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("harmonic", {"columns": ("P",)}),
        ("mean", {"columns": ("P", "R")}),
        ("sum", {"columns": ("J",), "weights": "objects"}),
        ("classes", {"columns": ("J",)}),
        ("mean", {"columns": ("J",), "classes": {"a": "dog"}}),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(kind, options):
    with pytest.raises(ValueError, match=r"takes|go with"):
        Aggregation(kind, **options)


def test_a_sequence_without_a_class_is_named():
    with pytest.raises(ValueError, match="'s1'"):
        aggregate(rows(0.1, 0.2), by_class(s0="dog"))


# draws


def test_every_resample_draws_as_many_sequences_as_there_are():
    counts = draw_counts(7, 500, seed=3)
    assert counts.shape == (500, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts >= 0).all()


def test_draws_depend_on_the_seed_alone():
    assert np.array_equal(draw_counts(5, 50, seed=1), draw_counts(5, 50, seed=1))
    assert not np.array_equal(draw_counts(5, 50, seed=1), draw_counts(5, 50, seed=2))


def test_each_sequence_is_drawn_once_on_average_with_the_variance_of_independent_draws():
    counts = draw_counts(4, 100_000)
    assert counts.mean(axis=0) == pytest.approx([1, 1, 1, 1], abs=0.02)
    assert counts.var(axis=0) == pytest.approx([0.75] * 4, abs=0.02)


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(R, 2\)"):
        resample(rows(0.1, 0.2), MEAN, np.ones((10, 3)))


# resampled values: a plain loop over repeated sequences is the definition


def plain_value(drawn, rule):
    """The aggregate of a list of rows with repeats, one Python number at a time."""

    def defined(pairs):
        return [(value, weight) for value, weight in pairs if value is not None and not math.isnan(value)]

    def mean(pairs):
        pairs = defined(pairs)
        total = sum(weight for _, weight in pairs)
        return sum(value * weight for value, weight in pairs) / total if total else math.nan

    if rule.kind == "sum":
        values = defined((row["J"], 1) for row in drawn)
        return sum(value for value, _ in values) if values else math.nan
    if rule.kind == "harmonic":
        p, r = (mean([(row[name], 1) for row in drawn]) for name in ("P", "R"))
        return 0.0 if p == r == 0 else 2 * p * r / (p + r)
    if rule.kind == "classes":
        labels = {row["class"] for row in drawn}
        means = [mean([(row["J"], 1) for row in drawn if row["class"] == label]) for label in labels]
        return mean([(value, 1) for value in means])
    return mean([(row["J"], row["objects"] if rule.weights else 1) for row in drawn])


fractions = st.one_of(st.none(), st.floats(0, 1).map(lambda value: round(value, 6)))
sequences = st.fixed_dictionaries(
    {
        "J": fractions,
        "P": fractions,
        "R": fractions,
        "objects": st.integers(1, 5),
        "class": st.sampled_from(["cat", "dog", "cow"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(sequences, min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_resamples_equal_a_plain_loop_over_the_drawn_sequences(table, seed):
    named = {f"s{index}": row for index, row in enumerate(table)}
    classes = {name: row["class"] for name, row in named.items()}
    counts = draw_counts(len(table), 20, seed)
    for rule in (MEAN, WEIGHTED, SUM, HARMONIC, Aggregation("classes", ("J",), classes=classes)):
        drawn = [
            [row for row, count in zip(table, line, strict=True) for _ in range(int(count))]
            for line in counts
        ]
        expected = [plain_value(each, rule) for each in drawn]
        assert resample(named, rule, counts) == pytest.approx(expected, nan_ok=True, abs=1e-12)
        once = resample(named, rule, np.ones((1, len(table))))
        assert once == pytest.approx([aggregate(named, rule)], nan_ok=True, abs=1e-12)


# intervals


def test_equal_values_leave_no_doubt():
    found = interval(rows(*[0.7] * 12), MEAN)
    assert found.low == pytest.approx(0.7)
    assert found.high == pytest.approx(0.7)
    assert found.note is None


def test_of_a_hit_or_miss_it_holds_the_binomial_quantiles():
    # 20 values, half of them 1: the resampled sum is binomial(20, 0.5), its 2.5 % and 97.5 % points 6 and 14
    found = interval(rows(*[0.0, 1.0] * 10), SUM)
    assert (found.low, found.high, found.sequences) == (6, 14, 20)


def test_of_many_values_it_is_two_standard_errors_wide():
    values = np.random.default_rng(4).random(400)
    found = interval(rows(*values), MEAN)
    error = values.std() / 20
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_a_higher_level_is_wider():
    values = rows(0.1, 0.4, 0.5, 0.9)
    narrow, wide = (interval(values, MEAN, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (narrow.level, wide.level) == (0.5, 0.99)


def test_the_same_seed_gives_the_same_interval():
    values = rows(*np.random.default_rng(1).random(20))
    assert interval(values, MEAN, seed=5) == interval(values, MEAN, seed=5)
    assert interval(values, MEAN, seed=5) != interval(values, MEAN, seed=6)


@pytest.mark.parametrize(
    ("values", "count"), [((0.5,), 1), ((0.5, None, math.nan), 1), ((), 0), ((None,), 0)]
)
def test_fewer_than_two_values_have_no_interval_and_it_says_so(values, count):
    found = interval(rows(*values), MEAN)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.sequences == count
    assert found.note == f"no interval: it takes at least 2 sequences with a value, here {count}"


def test_sequences_without_a_value_are_not_drawn():
    assert interval(rows(0.2, None, 0.4, 0.9), MEAN) == interval(rows(0.2, 0.4, 0.9), MEAN)


@pytest.mark.parametrize("options", [{"level": 0.0}, {"level": 1.0}, {"resamples": 0}])
def test_senseless_settings_are_refused(options):
    with pytest.raises(ValueError, match=r"level|resamples"):
        interval(rows(0.1, 0.2), MEAN, **options)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_interval_of_a_mean_lies_within_its_values(values):
    found = interval(rows(*values), MEAN, resamples=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_ten_thousand_resamples_of_a_benchmark_take_no_time():
    table = rows(*np.random.default_rng(0).random(20))
    interval(table, MEAN)
    start = time.process_time()
    interval(table, MEAN)
    assert time.process_time() - start < 0.25


@pytest.mark.parametrize(("n", "expected"), [(20, 0.92), (10, 0.89)])
def test_how_often_the_interval_holds_the_true_mean(n, expected):
    random, held, trials = np.random.default_rng(n), 0, 2000
    for trial in range(trials):
        found = interval(rows(*random.beta(5, 2, n)), MEAN, resamples=1000, seed=trial)
        held += found.low <= 5 / 7 <= found.high
    assert held / trials == pytest.approx(expected, abs=0.015)


# two folders


def test_a_folder_that_is_better_everywhere_always_wins():
    found = compare(rows(0.5, 0.6, 0.7), rows(0.4, 0.5, 0.6), MEAN)
    assert found.win_probability == 1.0
    assert found.difference == pytest.approx(0.1)
    assert found.interval.low == pytest.approx(0.1)
    assert found.interval.high == pytest.approx(0.1)


def test_pairing_sees_a_small_steady_gain_that_the_spread_of_sequences_would_hide():
    hard = np.linspace(0.1, 0.9, 20)
    found = compare(rows(*hard + 0.01), rows(*hard), MEAN)
    alone = interval(rows(*hard), MEAN)
    assert found.win_probability == 1.0
    assert alone.high - alone.low > 0.2
    assert found.interval.high - found.interval.low < 1e-9


def test_where_lower_is_better_the_lower_one_wins_and_the_difference_keeps_its_sign():
    found = compare(rows(0.2, 0.3), rows(0.4, 0.5), MEAN, lower_is_better=True)
    assert found.win_probability == 1.0
    assert found.difference == pytest.approx(-0.2)
    assert found.interval.low == pytest.approx(-0.2)


def test_ties_count_half():
    assert compare(rows(0.3, 0.8, 0.5), rows(0.3, 0.8, 0.5), MEAN).win_probability == 0.5
    # equal as numbers, summed in another order: a difference of rounding is a tie
    swapped = compare(rows(0.1, 0.2, 0.3), {"s0": {"J": 0.1}, "s1": {"J": 0.2}, "s2": {"J": 0.1 + 0.2}}, MEAN)
    assert swapped.win_probability == 0.5


def test_one_gain_against_one_equal_loss_is_decided_by_chance():
    # of two sequences both are drawn half of the time (a tie), one of them twice a quarter of it each
    found = compare(rows(0.6, 0.5), rows(0.5, 0.6), MEAN)
    assert found.win_probability == pytest.approx(0.5, abs=0.02)
    assert found.difference == pytest.approx(0)


def test_only_common_sequences_are_compared():
    first = {"a": {"J": 0.5}, "b": {"J": 0.7}, "only": {"J": 0.0}}
    second = {"b": {"J": 0.6}, "other": {"J": 1.0}, "a": {"J": 0.4}}
    found = compare(first, second, MEAN)
    assert found.sequences == ("a", "b")
    assert (found.first, found.second) == (pytest.approx(0.6), pytest.approx(0.5))
    assert found.win_probability == 1.0


def test_nothing_in_common_is_the_users_mistake():
    with pytest.raises(InputError, match="no sequence in common"):
        compare({"a": {"J": 0.5}}, {"b": {"J": 0.5}}, MEAN)


def test_one_common_sequence_has_a_difference_and_no_probability():
    found = compare(rows(0.5), rows(0.4), MEAN)
    assert found.difference == pytest.approx(0.1)
    assert math.isnan(found.win_probability)
    assert math.isnan(found.interval.low)
    assert found.interval.note is not None


def test_each_folder_leaves_out_its_own_undefined_values():
    found = compare(rows(0.2, 0.4, None), rows(0.3, 0.3, 0.9), MEAN)
    assert (found.first, found.second) == (pytest.approx(0.3), pytest.approx(0.5))
    assert found.interval.sequences == 3
    assert 0 < found.win_probability < 0.5


pairs = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8)


@settings(max_examples=40, deadline=None)
@given(pairs, st.booleans(), st.integers(0, 1000))
def test_what_one_wins_the_other_loses(values, lower_is_better, seed):
    first, second = (rows(*column) for column in zip(*values, strict=True))
    options = {"lower_is_better": lower_is_better, "seed": seed, "resamples": 300}
    forth, back = compare(first, second, MEAN, **options), compare(second, first, MEAN, **options)
    assert forth.win_probability + back.win_probability == pytest.approx(1, abs=1e-12)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.interval.low == pytest.approx(-back.interval.high, abs=1e-9)
    other = compare(first, second, MEAN, **{**options, "lower_is_better": not lower_is_better})
    assert other.win_probability == pytest.approx(1 - forth.win_probability, abs=1e-12)


def test_it_starts_without_torch():
    code = "import vosbench.benchmark.statistics, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
