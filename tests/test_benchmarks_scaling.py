"""Scaling benchmark: measurements and report."""

from types import SimpleNamespace

import pytest

MACHINE = {
    "processor": "X",
    "cores": 2,
    "system": "S",
    "load_before": 0.5,
    "versions": {"torch": "2"},
    "commit": "abc",
    "changed": False,
    "date": "D",
}


@pytest.fixture(scope="module")
def scaling(speed_program):
    return speed_program("scaling")


def test_the_start_of_the_workers_is_not_counted(scaling):
    assert scaling.rate([10, 12, 14, 16], workers=1) == pytest.approx(1 / 2)
    assert scaling.rate([10, 10, 12, 12, 14, 14], workers=2) == pytest.approx(1)


def test_the_cost_is_what_no_step_took(scaling):
    # flow was in the cache: what it would have taken was not spent
    seconds = {"flow": 5.0, "segment": 0.3, "score": 0.1}
    found = scaling.cost(
        SimpleNamespace(records=[SimpleNamespace(seconds_per_frame=seconds, frames=10)]), 4.1
    )
    assert found == pytest.approx({"share": 0.025, "per_frame": 0.01})


def test_gains_are_ratios_within_a_round(scaling):
    runs = [
        {"round": round_, "executor": "ray", "workers": workers, "rate": rate, "cost": None, "load": 2.0}
        for round_, rates in ((1, (1.0, 1.8)), (2, (0.1, 0.19)), (3, (10.0, 15.0)))
        for workers, rate in enumerate(rates, start=1)
    ]
    runs[0]["cost"] = {"share": 0.02, "per_frame": 0.004}
    text = scaling.markdown(
        {
            "runs": runs,
            "sequences": 16,
            "frames": 256,
            "short_side": 144,
            "machine": MACHINE,
        }
    )
    assert "| ray | 1.00 | 1.80 | 1.80 (1.50 to 1.90) | yes |" in text
    assert "4.0 ms per frame, 2.0 % (2.0 to 2.0 %) of segmenting and scoring; below 3 %: yes" in text
