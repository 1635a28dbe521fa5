"""Benchmark of intervals: counting, and the claims about its committed table."""

import re
from pathlib import Path

import numpy as np
import pytest

RESULTS = Path(__file__).parents[1] / "benchmarks" / "intervals" / "results" / "coverage.md"


@pytest.fixture(scope="module")
def coverage(intervals_program):
    return intervals_program("coverage")


def shares(title, column):
    """Number of sequences -> share of intervals that hold the true value, of one committed table."""
    table = RESULTS.read_text().partition(f"## {title}")[2].partition("##")[0]
    header, _, *lines = [line for line in table.splitlines() if line.startswith("|")]
    place = [cell.strip() for cell in header.split("|")].index(column)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {int(row[1]): float(row[place].split()[0]) for row in cells if row[place] != "-"}


def test_populations_are_the_published_values_of_twenty_sequences(coverage):
    found = coverage.published("J_mean")
    assert len(found) >= 21
    assert {len(values) for values in found.values()} == {20}
    draw, truth = coverage.populations("J_mean")["osvos"]
    assert set(draw(np.random.default_rng(0), 50)) <= set(found["osvos"])
    assert truth == pytest.approx(found["osvos"].mean())


def test_an_interval_that_holds_the_truth_is_counted(coverage):
    tally = coverage.Tally()
    for low, high in ((0.1, 0.3), (0.3, 0.4), (np.nan, np.nan)):
        tally.add("one", coverage.Interval(low, high, 5), 0.2)
    assert tally.share("one") == 0.5
    assert tally.cell("one") == "0.500 (0.15)"


def test_the_percentile_bootstrap_fails_where_the_interval_of_vosbench_does_not(coverage):
    tally = coverage.of_means(coverage.beta(5, 2), n=3, trials=300)
    assert tally.share("percentile") < 0.8 < 0.91 < tally.share("vosbench")


@pytest.mark.parametrize("title", ["J, ", "F, ", "J, beta(5, 2)", "J near 1", "difference of J"])
def test_the_committed_table_shows_that_the_intervals_cover(title):
    ours, percentile = shares(title, "vosbench"), shares(title, "percentile")
    assert sorted(ours) == [3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100]
    assert min(ours.values()) >= 0.915
    # what was used before
    assert percentile[3] < 0.78
    assert percentile[10] < 0.92


def test_every_committed_table_is_complete():
    text = RESULTS.read_text()
    assert len(re.findall("^## ", text, re.MULTILINE)) == 11
    assert min(shares("other aggregates", "sum").values()) >= 0.93
