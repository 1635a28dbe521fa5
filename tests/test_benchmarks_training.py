"""Benchmark of training: shares of the loop, its report, and the plain loop of one method."""

import json

import pytest


@pytest.fixture(scope="module")
def training(speed_program):
    return speed_program("training")


def test_shares_are_of_the_loop_with_its_waits(training):
    found = training.shares({"waits": [0.1, 0.3], "steps": [0.5, 1.1], "plain": [0.4, 1.0]})
    assert found == {
        "milliseconds": pytest.approx(1000),
        "of_step": pytest.approx(0.8),
        "of_plain": pytest.approx(0.7),
    }


def test_the_report_counts_the_stages_that_reach_the_target(training):
    values = {"milliseconds": 12.3, "of_step": 0.95, "of_plain": 0.9}
    found = {"mpnet": {"A": values}, "lvo": {"memory": values | {"of_plain": 0.89}}}
    page = training.page(found, "a machine\n", 40)
    assert "| mpnet | A | 12 | 0.95 | 0.90 |" in page
    assert "0.9 of the loop: 1 of 2 stages" in page


@pytest.mark.slow
def test_every_stage_is_timed_with_as_many_plain_steps(training, tmp_path):
    found = training.measured("fusionseg", 14)
    assert list(found) == ["appearance", "motion", "joint"]
    for times in found.values():
        assert [len(times[key]) for key in ("waits", "steps", "plain")] == [12, 12, 12]
        assert all(second > 0 for second in times["plain"])
    assert json.loads(json.dumps(found)) == found
