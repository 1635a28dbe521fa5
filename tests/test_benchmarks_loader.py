"""Loader benchmark: all programs read the same files; its report."""

import pytest


@pytest.fixture(scope="module")
def loader(speed_program):
    return speed_program("loader")


def test_every_round_has_every_program_in_changing_order(loader):
    drawn = list(loader.rounds(["a", "b", "c"], 8))
    orders = [tuple(name for round_, name in drawn if round_ == number) for number in range(1, 9)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) > 1


def report(clips_seconds):
    runs = []
    for round_, factor in ((1, 1.0), (2, 3.0), (3, 2.0)):
        for program, seconds in (
            ("decode", 1.0),
            ("readers", 0.8),
            ("clips", clips_seconds),
            ("augmented", 2.0),
        ):
            runs.append({"program": program, "round": round_, "seconds": seconds * factor, "frames": 100})
    machine = {
        "processor": "P",
        "cores": 2,
        "system": "S",
        "load_before": 0.1,
        "versions": {"torch": "1"},
        "commit": "0" * 40,
        "changed": False,
        "date": "2026-01-01",
    }
    return {"data": "D", "frames": 100, "workers": 2, "runs": runs, "machine": machine}


def test_ratios_compare_within_a_round(loader):
    assert loader.ratios(report(1.25)["runs"], "clips") == pytest.approx([0.8] * 3)
    assert loader.ratios(report(1.25)["runs"], "clips", "readers") == pytest.approx([0.64] * 3)


@pytest.mark.parametrize(("seconds", "verdict"), [(1.2, "met"), (1.3, "missed")])
def test_the_report_says_whether_the_target_is_met(loader, seconds, verdict):
    text = loader.to_markdown(report(seconds))
    assert f"at least 0.8 of decode: {verdict}" in text
    assert "| clips | 42 |" in text if seconds == 1.2 else "| clips | 38 |" in text
    assert "| decode | 50 | 33 to 100 | 1.00 (1.00 to 1.00) |" in text
