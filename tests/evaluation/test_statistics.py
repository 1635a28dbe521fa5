import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.evaluation.statistics import compare, interval, interval_notes, leave_one_out, standard_error
from vosbench.metrics.kernels.aggregation import Aggregation, aggregate

MEAN = Aggregation("mean", ("J",))
FRACTION = Aggregation("mean", ("J",), within=(0, 1))
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


# one sequence left out: a plain loop over the others is the definition


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


@settings(max_examples=60)
@given(st.lists(sequences, min_size=1, max_size=6))
def test_leaving_out_a_sequence_equals_a_plain_loop_over_the_others(table):
    named = {f"s{index}": row for index, row in enumerate(table)}
    classes = {name: row["class"] for name, row in named.items()}
    for rule in (MEAN, WEIGHTED, HARMONIC, Aggregation("classes", ("J",), classes=classes)):
        others = [table[:index] + table[index + 1 :] for index in range(len(table))]
        expected = [plain_value(each, rule) if each else math.nan for each in others]
        assert leave_one_out(named, rule) == pytest.approx(expected, nan_ok=True, abs=1e-12)
        everything = [plain_value(table, rule)]
        assert everything == pytest.approx([aggregate(named, rule)], nan_ok=True, abs=1e-12)


def test_a_sum_without_a_sequence_is_that_of_as_many():
    assert leave_one_out(rows(1, 2, 3), SUM) == pytest.approx([3 * 5 / 2, 3 * 4 / 2, 3 * 3 / 2])


def test_the_jackknife_of_a_mean_is_its_textbook_error():
    values = np.random.default_rng(0).random(12)
    error = standard_error(leave_one_out(rows(*values), MEAN))
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(12))
    # of a sum it is n times that
    assert standard_error(leave_one_out(rows(*values), SUM)) == pytest.approx(12 * error)


# intervals


def test_without_a_range_it_is_the_t_interval_of_textbooks():
    # 1, 2, 3, 4: mean 2.5, variance 5/3, error sqrt(5/12); t of 3 degrees of freedom is 3.18245
    found = interval(rows(1, 2, 3, 4), MEAN)
    half = 3.18244630528 * math.sqrt(5 / 12)
    assert (found.low, found.high) == (pytest.approx(2.5 - half), pytest.approx(2.5 + half))
    assert (found.error, found.sequences) == (pytest.approx(math.sqrt(5 / 12)), 4)


def test_of_a_fraction_it_is_the_t_interval_of_the_log_odds():
    values = (0.7, 0.9, 0.8)
    error = 0.1 / math.sqrt(3)
    middle, half = math.log(0.8 / 0.2), 4.30265272975 * error / (0.8 * 0.2)
    found = interval(rows(*values), FRACTION)
    assert found.low == pytest.approx(1 / (1 + math.exp(half - middle)))
    assert found.high == pytest.approx(1 / (1 + math.exp(-half - middle)))
    # the room to be worse is larger than that to be better
    assert 0.8 - found.low > found.high - 0.8 > 0


def test_of_what_is_never_negative_it_is_the_t_interval_of_the_logarithm():
    found = interval(rows(1, 2, 3, 4), Aggregation("mean", ("J",), within=(0, math.inf)))
    half = 3.18244630528 * math.sqrt(5 / 12) / 2.5
    assert (found.low, found.high) == (
        pytest.approx(2.5 * math.exp(-half)),
        pytest.approx(2.5 * math.exp(half)),
    )


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=8))
def test_the_interval_of_a_fraction_stays_within_0_and_1_and_holds_the_value(values):
    found = interval(rows(*values), FRACTION)
    if found.note is None:
        assert 0 <= found.low <= np.mean(values) <= found.high <= 1


def test_of_many_values_it_is_two_standard_errors_wide():
    values = np.random.default_rng(4).random(400)
    found = interval(rows(*values), FRACTION)
    error = values.std() / 20
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.05 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.05 * error)


def test_a_higher_level_is_wider():
    values = rows(0.1, 0.4, 0.5, 0.9)
    narrow, wide = (interval(values, FRACTION, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (narrow.level, wide.level) == (0.5, 0.99)


@pytest.mark.parametrize(
    ("values", "count"), [((0.5, 0.6), 2), ((0.5, None, math.nan), 1), ((), 0), ((None,), 0)]
)
def test_fewer_than_three_values_have_no_interval_and_it_says_so(values, count):
    found = interval(rows(*values), FRACTION)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.sequences == count
    assert found.note == f"no interval: it takes at least 3 sequences with a value, here {count}"


def test_equal_values_have_no_interval_and_it_says_so():
    # recall is 1 on all five: that does not make it certain that it is 1 everywhere
    found = interval(rows(*[1.0] * 5), FRACTION)
    assert math.isnan(found.low)
    assert found.note == "no interval: all 5 sequences have the same value, so there is no spread"


def test_metrics_without_an_interval_share_a_line():
    found = {
        "J_mean": interval(rows(0.1, 0.2), FRACTION),
        "F_mean": interval(rows(0.5, 0.5), FRACTION),
        "T_mean": interval(rows(0.5, 0.6, 0.7), FRACTION),
    }
    assert interval_notes(found) == [
        "J_mean, F_mean: no interval: it takes at least 3 sequences with a value, here 2"
    ]


def test_sequences_without_a_value_do_not_count():
    some = interval(rows(0.2, None, 0.4, 0.9), FRACTION)
    assert some == interval(rows(0.2, 0.4, 0.9), FRACTION)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_senseless_levels_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        interval(rows(0.1, 0.2), MEAN, level=level)


def held(n, draw, truth, rule=FRACTION, trials=1000):
    """The share of intervals that hold the true value, of `trials` drawn from random numbers."""
    random = np.random.default_rng(n)
    found = [interval(rows(*draw(random, n)), rule) for _ in range(trials)]
    return sum(each.low <= truth <= each.high for each in found) / trials


# a resampled percentile interval holds about 0.73, 0.82, 0.89 and 0.92 of these means
@pytest.mark.parametrize("n", [3, 5, 10, 20, 50])
def test_it_holds_the_true_mean_of_a_skewed_fraction_as_often_as_it_says(n):
    share = held(n, lambda random, size: random.beta(5, 2, size), 5 / 7)
    assert share == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_it_holds_the_true_mean_of_values_near_1_nearly_as_often(n):
    share = held(n, lambda random, size: random.beta(9, 1, size), 0.9)
    assert 0.92 <= share <= 0.97


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_it_holds_the_true_sum(n):
    rule = Aggregation("sum", ("J",), within=(0, math.inf))
    share = held(n, lambda random, size: random.gamma(4, 1, size), 4 * n, rule)
    assert 0.93 <= share <= 0.98


@pytest.mark.parametrize("n", [5, 10, 30])
def test_it_holds_the_true_mean_over_classes_and_over_objects_and_the_true_f(n):
    random, trials = np.random.default_rng(n), 600
    classes = {f"s{index}": f"c{index % 3}" for index in range(n)}
    of_classes = Aggregation("classes", ("J",), classes=classes, within=(0, 1))
    of_objects = Aggregation("mean", ("J",), weights="objects", within=(0, 1))
    harmonic = Aggregation("harmonic", ("P", "R"), within=(0, 1))
    kept = np.zeros(3)
    for _ in range(trials):
        hard, objects = random.beta(4, 2, n), random.integers(1, 5, n)
        tables = [
            rows(*random.beta(3 + np.arange(n) % 3, 2)),
            {
                f"s{i}": {"J": float(j), "objects": float(k)}
                for i, (j, k) in enumerate(zip(hard, objects, strict=True))
            },
            {f"s{i}": {"P": float(p), "R": float(p) ** 2} for i, p in enumerate(hard)},
        ]
        p, r = 2 / 3, 4 * 5 / (6 * 7)
        truths = [(3 / 5 + 4 / 6 + 5 / 7) / 3, 2 / 3, 2 * p * r / (p + r)]
        for index, (table, rule) in enumerate(zip(tables, (of_classes, of_objects, harmonic), strict=True)):
            found = interval(table, rule)
            kept[index] += found.low <= truths[index] <= found.high
    assert (kept / trials >= 0.92).all()
    assert (kept / trials <= 0.985).all()


# two folders


def test_a_folder_that_is_better_everywhere_likely_wins():
    found = compare(rows(0.5, 0.6, 0.72), rows(0.4, 0.5, 0.6), FRACTION)
    assert found.difference == pytest.approx(0.32 / 3)
    assert found.win_probability > 0.975
    assert 0 < found.interval.low < found.difference < found.interval.high < 1


def test_pairing_sees_a_small_steady_gain_that_the_spread_of_sequences_would_hide():
    hard, gain = np.linspace(0.1, 0.9, 20), np.tile([0.01, 0.012], 10)
    found = compare(rows(*hard + gain), rows(*hard), FRACTION)
    alone = interval(rows(*hard), FRACTION)
    assert found.win_probability > 0.999
    assert alone.high - alone.low > 0.2
    assert found.interval.high - found.interval.low < 0.002


def test_the_interval_of_a_difference_of_fractions_is_that_of_its_place_between_minus_1_and_1():
    found = compare(rows(0.7, 0.9, 0.8), rows(0.5, 0.5, 0.6), FRACTION)
    # differences 0.2, 0.4, 0.2
    mean, error = 0.8 / 3, math.sqrt(0.04 / 3) / math.sqrt(3)
    middle, half = math.log((1 + mean) / (1 - mean)), 4.30265272975 * error * 2 / (1 - mean**2)
    assert found.interval.low == pytest.approx(math.tanh((middle - half) / 2))
    assert found.interval.high == pytest.approx(math.tanh((middle + half) / 2))


def test_where_lower_is_better_the_lower_one_wins_and_the_difference_keeps_its_sign():
    found = compare(rows(0.2, 0.3, 0.25), rows(0.4, 0.5, 0.46), MEAN, lower_is_better=True)
    assert found.win_probability > 0.999
    assert found.difference == pytest.approx(-0.61 / 3)
    assert found.interval.high < 0


def test_of_equal_folders_neither_wins():
    assert compare(rows(0.3, 0.8, 0.5), rows(0.3, 0.8, 0.5), MEAN).win_probability == 0.5
    # equal as numbers, summed in another order: a difference of rounding is a tie
    swapped = compare(rows(0.1, 0.2, 0.3), {"s0": {"J": 0.1}, "s1": {"J": 0.2}, "s2": {"J": 0.1 + 0.2}}, MEAN)
    assert swapped.win_probability == 0.5
    assert swapped.interval.note is not None


def test_the_same_gain_everywhere_wins_without_an_interval():
    found = compare(rows(0.5, 0.75, 1.0), rows(0.25, 0.5, 0.75), MEAN)
    assert (found.difference, found.win_probability) == (0.25, 1.0)
    assert found.interval.note == "no interval: all 3 sequences have the same value, so there is no spread"


def test_gains_against_equal_losses_say_nothing():
    found = compare(rows(0.6, 0.5, 0.7, 0.7), rows(0.5, 0.6, 0.7, 0.7), MEAN)
    assert found.win_probability == pytest.approx(0.5)
    assert found.difference == pytest.approx(0)


def test_only_common_sequences_are_compared():
    first = {"a": {"J": 0.5}, "b": {"J": 0.7}, "only": {"J": 0.0}}
    second = {"b": {"J": 0.6}, "other": {"J": 1.0}, "a": {"J": 0.4}}
    found = compare(first, second, MEAN)
    assert found.sequences == ("a", "b")
    assert found.left_out == ("only", "other")
    assert (found.first, found.second) == (pytest.approx(0.6), pytest.approx(0.5))


def test_nothing_in_common_is_the_users_mistake():
    with pytest.raises(InputError, match="no sequence in common"):
        compare({"a": {"J": 0.5}}, {"b": {"J": 0.5}}, MEAN)


def test_two_common_sequences_have_a_difference_and_no_probability():
    found = compare(rows(0.5, 0.6), rows(0.4, 0.6), MEAN)
    assert found.difference == pytest.approx(0.05)
    assert math.isnan(found.win_probability)
    assert math.isnan(found.interval.low)
    assert found.interval.note is not None


def test_a_sequence_without_a_value_in_one_folder_is_left_out_of_both():
    # the first gives up on the sequence that is worst for the second: that must not look like a gain
    found = compare(rows(0.2, 0.4, 0.3, None), rows(0.3, 0.3, 0.3, 0.9), MEAN, lower_is_better=True)
    assert (found.first, found.second) == (pytest.approx(0.3), pytest.approx(0.3))
    assert found.difference == pytest.approx(0)
    assert found.win_probability == pytest.approx(0.5)
    assert (found.sequences, found.left_out) == (("s0", "s1", "s2"), ("s3",))


@pytest.mark.parametrize(
    "rule",
    [
        MEAN,
        Aggregation("mean", ("J",), weights="objects"),
        SUM,
        Aggregation("classes", ("J",), classes={f"s{index}": f"c{index % 2}" for index in range(6)}),
        HARMONIC,
    ],
)
def test_differences_are_paired_whatever_the_aggregate(rule):
    random = np.random.default_rng(0)
    first, second = (
        {
            f"s{i}": {"J": random.random(), "P": random.random(), "R": random.random(), "objects": i + 1.0}
            for i in range(6)
        }
        for _ in range(2)
    )
    column = rule.columns[-1]
    first["s1"][column], second["s4"][column] = None, math.nan
    found = compare(first, second, rule)
    kept = [{name: table[name] for name in ("s0", "s2", "s3", "s5")} for table in (first, second)]
    assert found.left_out == ("s1", "s4")
    assert (found.first, found.second) == tuple(aggregate(table, rule) for table in kept)
    assert found.difference == pytest.approx(found.first - found.second)


pairs = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8)


@settings(max_examples=60)
@given(pairs, st.booleans())
def test_what_one_wins_the_other_loses_and_the_probability_agrees_with_the_interval(values, lower_is_better):
    first, second = (rows(*column) for column in zip(*values, strict=True))
    options = {"lower_is_better": lower_is_better}
    forth, back = compare(first, second, FRACTION, **options), compare(second, first, FRACTION, **options)
    assert forth.win_probability + back.win_probability == pytest.approx(1, abs=1e-9)
    assert forth.difference == pytest.approx(-back.difference)
    other = compare(first, second, FRACTION, lower_is_better=not lower_is_better)
    assert other.win_probability == pytest.approx(1 - forth.win_probability, abs=1e-9)
    if forth.interval.note is not None:
        return
    assert forth.interval.low == pytest.approx(-back.interval.high, abs=1e-9)
    worse, better = (forth.interval.low, forth.interval.high)
    if min(abs(worse), abs(better)) < 1e-6:
        return
    decided = max(forth.win_probability, 1 - forth.win_probability) > 0.975
    assert decided == (worse > 0 or better < 0)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_the_interval_of_a_difference_holds_the_true_one_as_often_as_it_says(n):
    random, trials, kept = np.random.default_rng(n), 1000, 0
    for _ in range(trials):
        hard = random.beta(5, 2, n)
        first, second = hard * random.beta(16, 1, n), hard * random.beta(8, 2, n)
        found = compare(rows(*first), rows(*second), FRACTION).interval
        kept += found.low <= 5 / 7 * (16 / 17 - 8 / 10) <= found.high
    assert 0.92 <= kept / trials <= 0.97


def test_an_interval_of_a_benchmark_takes_no_time():
    table = rows(*np.random.default_rng(0).random(20))
    interval(table, FRACTION)
    start = time.process_time()
    interval(table, FRACTION)
    assert time.process_time() - start < 0.25


def test_it_starts_without_torch_and_scipy():
    code = (
        "import vosbench.evaluation.statistics, sys; sys.exit(bool({'torch', 'scipy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
