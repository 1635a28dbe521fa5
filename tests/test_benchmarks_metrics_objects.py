"""Speed benchmark of the measures of several objects: masks, the definition of FBMS, the report."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark(speed_program):
    return speed_program("metrics_objects")


def test_every_frame_has_all_objects_and_predictions_have_some_more(benchmark):
    target = benchmark.shapes(2, 3, (96, 160))
    assert [np.unique(frame).tolist() for frame in target] == [[0, 1, 2, 3]] * 2
    assert np.unique(benchmark.predicted(target, 2)).tolist() == [0, 1, 2, 3, 4, 5]


def test_values_do_not_depend_on_the_way_they_are_computed(benchmark):
    target = benchmark.shapes(3, 3, (96, 160))
    same, more = benchmark.predicted(target, 0), benchmark.predicted(target, 2)
    assert benchmark.fbms(more, target) == pytest.approx(benchmark.fbms_plain(more, target))
    # proposals that nothing matches change nothing
    assert np.array_equal(
        benchmark.objects_of(more, target, "match"), benchmark.objects_of(same, target, "ids")
    )
    assert benchmark.one_hot(target).sum(0).max() == 1


def test_the_report_has_ratios_of_the_rounds_and_what_is_asked(benchmark):
    seconds = {"vosbench": (1.0, 2.0), "davis2017-evaluation": (6.0, 10.0)}
    runs = [
        {"measure": "J+F of objects", "program": side, "round": round_, "cpu_seconds": spent}
        for side, both in seconds.items()
        for round_, spent in enumerate(both, start=1)
    ]
    assert benchmark.ratios(runs, "J+F of objects") == [6.0, 5.0]
    report = {
        "runs": runs,
        "differences": {"J+F of objects": 0.0},
        "machine": benchmark.machine(0.5, ("numpy",)),
        "frames": 10,
        "objects": 3,
        "size": [96, 160],
    }
    text = benchmark.to_markdown(report)
    assert (
        "| J+F of objects | davis2017-evaluation | 150.00 | 800.00 | 5.50 (5.00 to 6.00) | >= 5.5 | yes |"
        in text
    )
