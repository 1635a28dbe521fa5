"""Tracker benchmark: plain programs give the same tracks; its report."""

from itertools import pairwise

import numpy as np
import pytest


@pytest.fixture(scope="module")
def tracker(speed_program):
    return speed_program("tracker")


@pytest.mark.parametrize("seed", range(4))
def test_all_programs_that_go_back_give_the_same_ids(tracker, seed):
    frames = [(masks.copy(), scores) for masks, scores in tracker.scene(40, 5, (48, 64), seed)]
    found = {name: tracker.PROGRAMS[name](frames) for name in tracker.SAME}
    assert all(np.array_equal(ids, found["vosbench"]) for ids in found.values())
    forward = tracker.PROGRAMS["forward"](frames)
    assert np.count_nonzero(forward) < np.count_nonzero(found["vosbench"])


def test_both_ways_to_compare_whole_masks_agree(tracker):
    random = np.random.default_rng(0)
    rows, columns = random.random((4, 9, 70)) < 0.4, random.random((3, 9, 70)) < 0.6
    rows[0] = columns[0] = False
    found = tracker.compare_bool(rows, columns)
    assert np.array_equal(tracker.compare_product(rows, columns), found)
    assert found[0].tolist() == [0.0] * 3
    assert found[1, 1] == (rows[1] & columns[1]).sum() / (rows[1] | columns[1]).sum()


def test_objects_move_a_little_and_stay_inside(tracker):
    frames = [masks.copy() for masks, _ in tracker.scene(200, 3, (48, 64))]
    areas = np.array([masks.sum(axis=(1, 2)) for masks in frames])
    assert (areas == areas[0]).all()
    changed = [(a != b).any() for a, b in pairwise(frames)]
    assert sum(changed) > 100


def test_the_clock_stands_while_frames_are_made(tracker, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(tracker.time, "perf_counter", lambda: now[0])

    def frames():
        for _ in range(3):
            now[0] += 5
            yield None, None

    clock = tracker.Clock()
    for _ in clock.around(frames()):
        now[0] += 100
    assert clock.stopped == 15


def report(seconds, frames=1000):
    runs = [
        {"program": program, "round": round_, "seconds": value * factor, "frames": 20}
        for round_, factor in ((1, 1.0), (2, 3.0), (3, 2.0))
        for program, value in (("vosbench", 0.1), ("forward", 0.05), ("bool", 4.0), ("product", 0.5))
    ]
    machine = {
        "processor": "P",
        "cores": 2,
        "system": "S",
        "load_before": 0.1,
        "versions": {"numpy": "1"},
        "commit": "0" * 40,
        "changed": False,
        "date": "2026-01-01",
    }
    long = {"frames": frames, "seconds": seconds, "tracks": 31, "growth_mb": 40.2}
    return {"objects": 20, "size": (480, 854), "long": long, "runs": runs, "machine": machine}


@pytest.mark.parametrize(
    ("seconds", "frames", "verdict"),
    [(59, 1000, "met"), (61, 1000, "missed"), (59, 100, "not measured"), (100, 2000, "met")],
)
def test_the_report_says_whether_the_target_is_met(tracker, seconds, frames, verdict):
    text = tracker.to_markdown(report(seconds, frames))
    assert f"1000 frames in less than 60 s on one core: {verdict}." in text
    assert f"{frames} frames, 31 tracks: {seconds}.0 s" in text


def test_the_report_compares_within_a_round(tracker):
    text = tracker.to_markdown(report(10))
    assert "| vosbench | 100.0 | 66.7 to 200.0 | 40.00 (40.00 to 40.00) | 5.00 (5.00 to 5.00) |" in text


def test_it_wants_one_core(tracker, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tracker.py"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with pytest.raises(SystemExit, match="OMP_NUM_THREADS=1"):
        tracker.main()
