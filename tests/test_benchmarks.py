"""Speed benchmark of metrics: definition of J and F, folders, report."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

MODULES = ("plain", "trees", "tables", "programs", "metrics")


@pytest.fixture(scope="module")
def speed(speed_program):
    return SimpleNamespace(**{name: speed_program(name) for name in MODULES})


masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@settings(max_examples=100)
@given(pair=masks)
@example(pair=(np.zeros((9, 9), bool), np.ones((9, 9), bool)))
@example(pair=(np.zeros((9, 9), bool), np.eye(9, dtype=bool)))
@example(pair=(np.zeros((9, 9), bool), np.zeros((9, 9), bool)))
def test_the_plain_definition_and_the_kernels_agree(speed, pair):
    from vosbench.metrics.kernels.overlap import OverlapSeries

    series = OverlapSeries(("J", "F"))
    series.add(*(mask.astype(np.uint8) for mask in pair))
    (found,) = series.finish()
    assert found["J"][0] == pytest.approx(speed.plain.region_similarity(*pair), abs=1e-12)
    assert found["F"][0] == pytest.approx(speed.plain.contour_accuracy(*pair), abs=1e-12)


def test_they_agree_at_full_size(speed):
    from vosbench.metrics.kernels.overlap import OverlapSeries

    y, x = np.mgrid[:480, :854]
    target = (y - 240) ** 2 + (x - 300) ** 2 < 120**2
    pred = np.roll(target, (3, 9), (0, 1)) & (x % 50 > 3)
    series = OverlapSeries(("J", "F"))
    series.add(pred, target)
    (found,) = series.finish()
    assert 0.3 < found["F"][0] < 0.6
    assert found["F"][0] == pytest.approx(speed.plain.contour_accuracy(pred, target), abs=1e-12)


@pytest.fixture
def tree(speed, tmp_path, make_davis):
    """Two short sequences; the prediction is the ground truth two pixels to the right."""
    source = make_davis(tmp_path / "source") / "davis16"

    def predict(sequence, name):
        from PIL import Image

        with Image.open(source / "Annotations/480p" / sequence / f"{name}.png") as image:
            return np.roll(np.asarray(image) != 0, 2, axis=1).astype(np.uint8)

    speed.trees.write_tree(tmp_path / "tree", source, ["dog", "zebra"], predict, most=None)
    return tmp_path / "tree"


def test_every_program_is_given_the_same_evaluated_frames(speed, tree):
    assert speed.trees.evaluated_frames(tree) == 6
    inner = sorted(path.name for path in (tree / "inner/gt/dog").iterdir())
    assert inner == ["00001.png", "00002.png", "00003.png"]
    # 0/1 on either side: the peers tell 255 from 1
    for pred, target in speed.programs._pairs(tree, "dog"):
        assert set(np.unique(pred)) == set(np.unique(target)) == {0, 1}


def test_the_plain_program_scores_what_vosbench_scores(speed, tree):
    from vosbench.evaluation import score

    ours = score(tree / "results", "davis16", data_root=tree / "data", metrics=("j", "f"), workers=1)
    plain = speed.programs.plain(tree, 1)
    assert plain.keys() == ours.sequences.keys() == {"dog", "zebra"}
    for name, values in plain.items():
        assert values["J"] == pytest.approx(ours.sequences[name].values["J_mean"], abs=1e-12)
        assert values["F"] == pytest.approx(ours.sequences[name].values["F_mean"], abs=1e-12)
        assert values["J"] == pytest.approx(8 / 12)


def test_a_run_is_timed_and_weighed_in_a_process_of_its_own(speed, tree, tmp_path):
    timed = speed.metrics.TimedProgram("decode", speed.tables.WHOLE, "-", 1, Path(sys.executable))
    done = speed.metrics.run(timed, tree, tmp_path / "values.json", 1)
    assert (done.program, done.round, done.kernel) == ("decode", 1, None)
    assert done.cpu_seconds > 0
    assert done.seconds > 0
    assert done.peak_mb > 5


def test_a_program_that_fails_stops_the_benchmark_with_its_own_words(speed, tree, tmp_path):
    timed = speed.metrics.TimedProgram("decode", speed.tables.WHOLE, "-", 1, Path(sys.executable))
    with pytest.raises(SystemExit, match="No such file"):
        speed.metrics.run(timed, tree / "absent", tmp_path / "values.json", 1)


def test_rounds_are_interleaved_and_slow_programs_stop_early(speed):
    everybody = speed.metrics.timed_programs(Path("a"), Path("b"), 2)
    slow = sum(item.slow for item in everybody)
    turns = list(speed.metrics.rounds(everybody, 3))
    assert len(turns) == 3 * len(everybody) - slow
    first = [next(item for round_, item in turns if round_ == number) for number in (1, 2, 3)]
    assert len({(item.program, item.measures, item.workers) for item in first}) == 3


def runs_of(speed, program, measures, workers, *seconds, **more):
    settings = {"what": speed.tables.WHOLE, "peak_mb": 60.0, "measures": measures, "workers": workers, **more}
    return [
        # on a busy machine the time is longer and the CPU time is not
        vars(speed.tables.Run(program, round=n, seconds=(1 + n) * value, cpu_seconds=value, **settings))
        for n, value in enumerate(seconds, 1)
    ]


@pytest.fixture
def report(speed):
    whole = [
        ("vosbench", "J+F", 1, 2.0, 4.0, 2.0),
        ("vos-benchmark", "J+F", 1, 12.0, 20.0, 11.0),
        ("vosbench", "J+F+T", 1, 8.0, 9.0, 8.0),
        ("decode", "-", 1, 1.0, 1.0, 1.0),
        ("plain", "J+F", 1, 30.0),
        ("vosbench", "J+F", 2, 1.0, 1.0, 1.0),
        ("vos-benchmark", "J+F", 2, 4.0, 4.0, 4.0),
    ]
    runs = [run for entry in whole for run in runs_of(speed, *entry)]
    for program, kernel in (("vosbench", {"J+F": 0.02, "T": 0.06}), ("vos-benchmark", {"J+F": 0.08})):
        runs += runs_of(speed, program, "J+F", 1, 9.0, what=speed.tables.KERNEL, kernel=kernel)
    values = {"dog": {"J": 0.8, "F": 0.7}}
    return {
        "masks": "DAVIS 2016 val",
        "predictions": "STM",
        "frames": {"full": {"dog": 1000}, "sample": {"dog": 10}},
        "machine": {
            "processor": "Test",
            "cores": 2,
            "system": "Linux",
            "load_before": 0.0,
            "versions": {"vosbench": {"numpy": "2.0"}, "peers": {"numpy": "2.1"}},
            "commit": "abc",
            "changed": False,
            "date": "2026-01-01",
        },
        "values": {"vosbench": values, "vos-benchmark": values, "plain": values},
        "runs": runs,
    }


def test_the_report_has_ratios_within_rounds_and_says_which_targets_are_met(speed, report):
    text = speed.tables.to_markdown(report)
    # 12/2, 20/4, 11/2: the median ratio, not the ratio of medians (12/2)
    assert "| vos-benchmark / vosbench, J+F, single process, CPU time | 5.50 | >= 5.5 | yes |" in text
    assert "| vos-benchmark / vosbench, J+F, 2 processes each | 4.00 | >= 4.5 | no |" in text
    assert "| vosbench T / vos-benchmark J+F, per frame, kernels, CPU time | 0.75 | <= 0.9 | yes |" in text
    # (8 - 2) / 12, (9 - 4) / 20, (8 - 2) / 11
    assert "J+F+T less J+F / vos-benchmark J+F, whole programs, CPU time | 0.50 | <= 0.9 | yes |" in text
    assert "| vosbench, peak memory of a process | 60 MiB | < 300 | yes |" in text
    assert "vosbench J+F takes 2.00 times as long as reading the masks alone" in text
    assert "| vosbench | J+F | 1 | 3 | 8.00 | 8.00 | 125 | 2.00 | 60 | 1.00 (1.00 to 1.00) |" in text
    assert "| plain | J+F | 1 | 1 | 60.00 |" in text
    assert "| vosbench | T | 6.00 | 3.00 |" in text
    assert "All agree within 1e-06." in text


def test_values_that_differ_are_reported_and_not_hidden(speed, report):
    assert speed.tables.disagreements(report) == {}
    report["values"] = {**report["values"], "plain": {"dog": {"J": 0.8, "F": 0.7001}}}
    assert list(speed.tables.disagreements(report)) == ["plain"]
    assert "Values of plain differ by more than 1e-06." in speed.tables.to_markdown(report)
    report["values"]["plain"] = {"cat": {"J": 0.8, "F": 0.7}}
    assert speed.tables.disagreements(report)["plain"]["J"] == float("inf")
