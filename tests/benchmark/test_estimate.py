"""What a comparison would take, by hand."""

import pytest

from vosbench.benchmark.estimate import estimate
from vosbench.benchmark.job import Outcome
from vosbench.evaluation.record import Record


def planned(model="net", dataset="davis16", sequence="dog", protocol="p", **size):
    return Outcome(
        dataset,
        sequence,
        model,
        protocol,
        "planned",
        **{"frames": 10, "pixels": 100, "needs_flow": True} | size,
    )


def record(seconds, model="net", dataset="davis16", **provenance):
    return Record(
        model=model,
        size="",
        dataset=dataset,
        edition="official",
        split="val",
        sequence="cat",
        protocol="p",
        frames=5,
        key="k",
        values={},
        per_frame={},
        seconds_per_frame=seconds,
        provenance=provenance,
    )


def test_time_is_that_of_the_method_on_the_data_set():
    known = [record({"flow": 0.1, "segment": 0.3, "score": 0.1}), record({"segment": 9}, model="other")]
    found = estimate([planned(), planned(sequence="cow", frames=20)], known, workers=2)
    assert found.seconds == pytest.approx(30 * 0.5 / 2)
    assert found.unknown == ()


def test_several_protocols_segment_once():
    found = estimate([planned(), planned(protocol="q")], [record({"segment": 0.5})], workers=1)
    assert found.seconds == pytest.approx(10 * 0.5)


def test_time_on_another_data_set_goes_with_the_pixels():
    known = [record({"segment": 0.5}, dataset="fbms", frame_size=[5, 10])]
    assert estimate([planned()], known, workers=1).seconds == pytest.approx(10 * 0.5 * 100 / 50)


def test_one_sequence_on_a_busy_machine_does_not_move_the_time():
    known = [record({"segment": seconds}) for seconds in (0.12, 12.2, 0.12)]
    assert estimate([planned()], known, workers=1).seconds == pytest.approx(10 * 0.12)


def test_how_busy_the_machine_was_is_said():
    busy = {"before": 1.0, "after": 2.0, "cores": 2, "seconds": 4.0, "cpu_seconds": 3.0}
    known = [record({"segment": 0.5}, load=busy), record({"segment": 0.5}, model="other")]
    basis = "medians, load average 1.0 to 2.0 on 2 cores, 0.75 CPU seconds per second"
    assert estimate([planned()], known, workers=1).basis == basis
    assert estimate([planned(model="other")], known, workers=1).basis.endswith("not recorded")
    assert estimate([planned(model="new")], known, workers=1).basis == ""


def test_what_nobody_knows_is_said():
    found = estimate([planned(), planned(model="new")], [record({"segment": 0.5}, peak_memory=7)], workers=1)
    assert found.unknown == ("new",)
    assert found.memory is None
    assert found.seconds == pytest.approx(5)


def test_memory_is_the_most_of_any_worker():
    known = [record({"segment": 0.5}, peak_memory=peak) for peak in (7, 9)]
    assert estimate([planned()], known, workers=2).memory == 18


def test_flow_is_kept_once_for_all_methods():
    cells = [planned(), planned(model="other"), planned(model="third", needs_flow=False)]
    found = estimate(cells, [], workers=1)
    assert found.flow == 4 * 9 * 100
    assert found.disk > 3 * 10 * 100 * 0.007
