"""Speed benchmark of predict: its ratios and its report."""

import pytest


@pytest.fixture(scope="module")
def pipeline(speed_program):
    return speed_program("pipeline")


@pytest.fixture
def runs():
    seconds = {
        "decode": (1.0, 1.0),
        "flow": (4.0, 6.0),
        "network": (8.0, 4.0),
        "side by side": (9.0, 9.0),
        "predict": (10.0, 12.0),
    }
    return [
        {"method": "mpnet", "stage": stage, "round": round_, "frames": 8, "seconds": spent}
        for stage, both in seconds.items()
        for round_, spent in enumerate(both, start=1)
    ]


def test_predict_is_compared_round_by_round_with_the_slowest_stage_and_with_free_threads(pipeline, runs):
    assert pipeline.ratios(runs, "mpnet") == [0.8, 0.5]
    assert pipeline.ratios(runs, "mpnet", side=True) == [0.9, 0.75]


def test_the_report_has_rates_and_both_ratios(pipeline, runs):
    report = {"runs": runs, "methods": ["mpnet"], "size": [48, 64], "machine": pipeline.machine(0.5)}
    text = pipeline.to_markdown(report)
    assert (
        "| mpnet | 8 | 1.67 | 1.5 |  | 0.889 | 0.733 | 0.65 (0.50 to 0.80) | no | 0.82 (0.75 to 0.90) |"
        in text
    )


def test_threads_side_by_side_do_every_stage_once(pipeline):
    done = []
    stages = {name: lambda name=name: done.append(name) for name in ("decode", "flow", "network", "write")}
    pipeline._side_by_side(stages)
    assert sorted(done) == ["decode", "flow", "network", "write"]
    assert done.index("decode") < done.index("flow")


def test_an_error_of_a_stage_side_by_side_is_raised(pipeline):
    def broken():
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        pipeline._side_by_side({"decode": int, "network": int, "write": broken})


@pytest.mark.slow
def test_every_stage_of_a_method_runs(pipeline):
    report = pipeline.measure(["mpnet", "stcnn"], length=3, count=1, size=(64, 96))
    stages = {(run["method"], run["stage"]) for run in report["runs"]}
    assert {stage for method, stage in stages if method == "mpnet"} == {
        "decode",
        "flow",
        "network",
        "write",
        "side by side",
        "predict",
    }
    assert {stage for method, stage in stages if method == "stcnn"} == {
        "decode",
        "network",
        "write",
        "side by side",
        "predict",
    }
