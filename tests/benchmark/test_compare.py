import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark import job as job_module
from vosbench.benchmark import matrix as matrix_module
from vosbench.benchmark import scene as scene_module
from vosbench.benchmark import trial as trial_module
from vosbench.benchmark.compare import compare
from vosbench.benchmark.evaluate import METRIC_VERSION
from vosbench.benchmark.job import Contestant, Job, Rules
from vosbench.benchmark.protocols import load_protocol
from vosbench.benchmark.record import Record, record_path
from vosbench.benchmark.store import content_hash, read_failures
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.video import Segmentation
from vosbench.errors import InputError

MODELS = ("all_foreground", "centre_box", "flow_threshold")
BASELINES = {*MODELS, "flow_saliency"}
METRICS = ("j", "f")
RULES = "davis16-unsupervised"


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


@pytest.fixture
def run(tmp_path, root):
    def run(**options):
        defaults = {"models": MODELS, "data_root": root, "out": tmp_path / "out", "workers": 1}
        return compare(**defaults | {"metrics": METRICS} | options)

    return run


def tree(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def values(result):
    return {(record.model, record.sequence): record.values for record in result.records}


def test_one_record_per_model_and_sequence(tmp_path, run):
    result = run()
    assert result.counts == {"computed": 9}
    assert result.exit_status == 0
    assert result.coverage == {"davis16": (3, 3)}
    assert [video.name for video in result.videos["davis16"]] == ["blackswan", "dog", "zebra"]
    path = tmp_path / "out/records/davis16/davis16-unsupervised/centre_box/dog.json"
    assert Record.read(path) in result.records


def test_values_by_hand(run):
    # the box is 16 x 24 of 32 x 48; the square is 10 x 10 at x = 6, 8, 10 in the evaluated frames
    found = values(run(models=["centre_box"], datasets=["davis16"], metrics=["j"]))
    inside = [4 * 10, 6 * 10, 8 * 10]
    expected = np.mean([i / (16 * 24 + 100 - i) for i in inside])
    assert found["centre_box", "dog"]["J_mean"] == pytest.approx(expected)


def test_masks_are_saved_beside_the_records(tmp_path, run):
    run(models=["centre_box"])
    files = sorted((tmp_path / "out/masks/davis16/centre_box/dog").iterdir())
    assert [file.name for file in files] == [f"{t:05}.png" for t in range(5)]
    assert np.asarray(Image.open(files[0])).sum() == 16 * 24


def test_a_record_says_where_it_comes_from(run):
    record = next(item for item in run().records if item.model == "flow_threshold")
    assert set(record.provenance) >= {
        "command",
        "config",
        "config_hash",
        "weights",
        "data_hash",
        "versions",
        "git",
        "device",
        "precision",
        "time",
        "machine",
    }
    assert record.provenance["flow"]["estimator"] == "dis"
    assert set(record.seconds_per_frame) == {"flow", "segment", "score"}
    assert len(record.per_frame["J"]) == record.frames - 2


def test_only_methods_that_need_flow_carry_it(run):
    record = run(models=["centre_box"]).records[0]
    assert record.provenance["flow"] is None
    assert "flow" not in record.seconds_per_frame


def test_a_plain_record_is_keyed_by_the_name_of_its_model(run):
    """Labels, checkpoints and switches of suites must not move the keys of records that are there."""
    record = next(item for item in run().records if (item.model, item.sequence) == ("centre_box", "dog"))
    config = {
        "model": "centre_box",
        "weights": {"weights": "none"},
        "flow": None,
        "protocol": load_protocol(RULES).definition(),
        "metrics": ["j", "f"],
        "metric_version": METRIC_VERSION,
    }
    assert record.provenance["config"] == config
    data = {"edition": "official", "data": record.provenance["data_hash"]}
    assert record.key == content_hash(config | data)


def test_switches_change_the_methods_that_have_them_and_their_records(run):
    small = {"test_short_side": 32}
    plain = run(models=["mpnet", "centre_box"], limit=1, settings=small)
    changed = run(models=["mpnet", "centre_box"], limit=1, settings=small | {"threshold": 0.99})
    assert {item.model: item.state for item in changed.outcomes} == {
        "mpnet": "computed",
        "centre_box": "kept",
    }
    before, after = (
        next(item for item in result.records if item.model == "mpnet") for result in (plain, changed)
    )
    assert after.provenance["weights"]["variant"]["threshold"] == 0.99
    assert after.provenance["weights"]["sha256"] == before.provenance["weights"]["sha256"]
    with pytest.raises(InputError, match="--set treshold: none of mpnet has this switch"):
        run(models=["mpnet"], settings={"treshold": 0.99})
    with pytest.raises(InputError, match="do not fit a network with decoder_units=1"):
        run(models=["mpnet"], settings={"decoder_units": 1})


def test_contestants_of_one_method_have_records_and_masks_of_their_own(tmp_path, root):
    models = tuple(
        Contestant("mpnet", label, settings={"threshold": threshold, "test_short_side": 32})
        for label, threshold in (("careful", 0.99), ("careless", 0.01))
    )
    job = Job(
        dataset="davis16",
        root=root,
        edition="official",
        sequence="blackswan",
        rules=(Rules(load_protocol(RULES), ("j",), "val", 0, models),),
        device="cpu",
        flow="dis",
        flow_settings={},
        cache=None,
        out=tmp_path / "out",
        command="",
        dry_run=False,
    )
    found = trial_module.run_job(job)
    assert [(item.model, item.state) for item in found] == [("careful", "computed"), ("careless", "computed")]
    for label in ("careful", "careless"):
        assert record_path(tmp_path / "out/records", "davis16", RULES, label, "blackswan").is_file()
        assert (tmp_path / "out/masks/davis16" / label / "blackswan/00000.png").is_file()
    assert [item.state for item in trial_module.run_job(job)] == ["kept", "kept"]


def test_a_second_run_computes_nothing(tmp_path, run, monkeypatch):
    first = run()
    before = tree(tmp_path / "out")
    monkeypatch.setattr(trial_module, "score_sequence", None)
    second = run()
    assert second.counts == {"kept": 9}
    assert tree(tmp_path / "out") == before
    assert second.records == first.records


def test_an_undefined_value_is_none_now_and_when_read_again(run, fake_model):
    fake_model(Empty)
    for _ in range(2):
        record = run(models=["mpnet"], metrics=["t"]).records[0]
        assert record.values == {"T_mean": None}
        assert record.per_frame == {"T": [None] * 3}


def test_changed_data_is_computed_again(run, root):
    run(models=["centre_box"])
    file = root / "davis16/JPEGImages/480p/dog/00001.jpg"
    Image.fromarray(np.zeros_like(np.asarray(Image.open(file)))).save(file)
    result = run(models=["centre_box"])
    assert {item.sequence: item.state for item in result.outcomes} == {
        "blackswan": "kept",
        "dog": "computed",
        "zebra": "kept",
    }


def test_other_flow_is_computed_again_and_other_metrics_from_the_masks(tmp_path, run):
    run()
    again = run(flow_settings={"preset": "fast"})
    assert {item.model for item in again.outcomes if item.state == "computed"} == {"flow_threshold"}
    segmented = tree(tmp_path / "out/masks")
    assert run(flow_settings={"preset": "fast"}, metrics=("j",)).counts == {"rescored": 9}
    assert tree(tmp_path / "out/masks") == segmented


def test_processes_find_the_same_and_progress_is_told(tmp_path, run):
    calls = []
    many = run(out=tmp_path / "many", workers=2, progress=lambda *now: calls.append(now))
    assert values(many) == values(run())
    assert [(done, total) for done, total, _ in calls] == [(n, 9) for n in range(1, 10)]


KILLED = """
import os, signal, sys
from pathlib import Path
from vosbench.benchmark import artifacts
from vosbench.benchmark.compare import compare

write, written = artifacts.write_ids, []

def write_then_die(path, ids):
    write(path, ids)
    written.append(path)
    if len(written) == 20:
        os.kill(os.getpid(), signal.SIGKILL)

artifacts.write_ids = write_then_die
compare(models={models}, data_root=Path(sys.argv[1]), out=Path(sys.argv[2]), workers=1, metrics={metrics})
"""


def test_a_killed_comparison_continues_where_it_was(tmp_path, root, run):
    script = KILLED.format(models=MODELS, metrics=METRICS)
    killed = subprocess.run([sys.executable, "-c", script, root, tmp_path / "out"], check=False)
    assert killed.returncode == -signal.SIGKILL
    before = tree(tmp_path / "out")
    # 20 masks: the 18 of three models on the longest sequence, and two of the next
    assert sum(path.parts[0] == "records" for path in before) == 3
    assert not (tmp_path / "out/masks/davis16/all_foreground/dog").exists()

    continued = run()
    assert continued.counts == {"kept": 3, "computed": 6}
    after = tree(tmp_path / "out")
    assert all(after[path] == time for path, time in before.items() if path.parts[0] == "records")
    assert not [path for path in after if any(part.endswith(".partial") for part in path.parts)]
    assert values(continued) == values(run(out=tmp_path / "uninterrupted"))


class FailsOnDog:
    task = "unsupervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        assert not video.annotations, "a method must not see the ground truth"
        if video.name == "dog":
            raise MemoryError("no room\nfor a dog")
        return Segmentation((np.zeros((32, 48), np.uint8) for _ in video.frames), len(video))


class Empty(FailsOnDog):
    def segment(self, video, first_mask=None):
        return Segmentation((np.zeros((32, 48), np.uint8) for _ in video.frames), len(video))


class GivenTheFirstMask(FailsOnDog):
    task = "semi-supervised"

    def segment(self, video, first_mask=None):
        return Segmentation((first_mask for _ in video.frames), len(video))


class WrongSize(FailsOnDog):
    def segment(self, video, first_mask=None):
        return Segmentation((np.zeros((2, 2), np.uint8) for _ in video.frames), len(video))


@pytest.fixture
def fake_model(monkeypatch):
    real = job_module.load_method

    def use(fake, weights="none"):
        def load(name, size=None):
            return (fake(), {"weights": weights}) if name == "mpnet" else real(name, size)

        for module in (matrix_module, job_module):
            monkeypatch.setattr(module, "load_method", load)
        trial_module._load.cache_clear()

    yield use
    trial_module._load.cache_clear()


def test_a_model_failing_on_one_sequence_stops_nothing_else(run, fake_model):
    fake_model(FailsOnDog)
    result = run(models=["mpnet", "centre_box"])
    assert result.counts == {"computed": 5, "failed": 1}
    [failure] = result.failures
    assert (failure.model, failure.dataset, failure.sequence) == ("mpnet", "davis16", "dog")
    assert failure.message == "MemoryError: no room for a dog"
    assert result.exit_status == 1


def test_a_record_of_other_settings_does_not_outlive_a_failure(run, fake_model):
    fake_model(Empty)
    path = record_path(run(models=["mpnet"]).out / "records", "davis16", RULES, "mpnet", "dog")
    assert path.is_file()
    fake_model(FailsOnDog, weights="other")
    run(models=["mpnet"])
    assert not path.exists()


def test_a_failure_leaves_a_marked_hole_until_it_is_made_good(run, fake_model):
    fake_model(FailsOnDog)
    out = run(models=["mpnet"]).out
    [hole] = read_failures(out)
    assert (hole.model, hole.dataset, hole.protocol, hole.sequence) == ("mpnet", "davis16", RULES, "dog")
    assert hole.error == "MemoryError: no room for a dog"
    fake_model(Empty)
    assert run(models=["mpnet"]).counts == {"kept": 2, "computed": 1}
    assert read_failures(out) == []


def test_semi_supervised_methods_get_the_first_mask(run, fake_model):
    fake_model(GivenTheFirstMask)
    result = run(models=["mpnet"], metrics=["j"])
    assert {record.protocol for record in result.records} == {"davis16-semi-supervised"}
    found = values(result)
    # the square moves two pixels per frame
    overlap = [10 * (10 - 2 * t) for t in (1, 2, 3)]
    assert found["mpnet", "dog"]["J_mean"] == pytest.approx(np.mean([i / (200 - i) for i in overlap]))


def test_masks_of_another_size_fail(run, fake_model):
    fake_model(WrongSize)
    [failure, *_] = run(models=["mpnet"]).failures
    assert "frame 0: the method returned uint8 (2, 2), not uint8 (32, 48)" in failure.message


def test_a_damaged_frame_fails_its_sequence_only(run, root):
    (root / "davis16/JPEGImages/480p/dog/00002.jpg").write_bytes(b"no picture")
    result = run()
    assert result.counts == {"computed": 6, "failed": 3}
    assert all("00002.jpg" in failure.message for failure in result.failures)


def test_a_dry_run_writes_nothing(tmp_path, run):
    assert run(dry_run=True).counts == {"planned": 9}
    assert not (tmp_path / "out").exists()
    run(models=["centre_box"])
    before = tree(tmp_path / "out")
    assert run(dry_run=True).counts == {"planned": 6, "kept": 3}
    assert tree(tmp_path / "out") == before


def test_limit_takes_the_first_sequences_and_says_so(run):
    result = run(limit=2)
    assert {item.sequence for item in result.outcomes} == {"blackswan", "dog"}
    assert result.coverage == {"davis16": (2, 3)}
    assert "partial: 2 of 3 sequences of davis16" in result.notes


def test_all_models_leaves_out_those_without_weights_and_says_so(run, monkeypatch):
    def load(name, size=None):
        if name == "mpnet":
            raise InputError("the zoo has no weights of mpnet")
        return job_module.load_method(name, size)

    monkeypatch.setattr(matrix_module, "load_method", load)
    result = run(models=["all"], limit=1)
    assert {item.model for item in result.outcomes} == BASELINES
    assert "mpnet left out: the zoo has no weights of mpnet" in result.notes
    with pytest.raises(InputError, match="no weights of mpnet"):
        run(models=["mpnet"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["centrebox"]}, "unknown model 'centrebox': did you mean centre_box"),
        ({"models": []}, "no model named"),
        ({"datasets": ["davis61"]}, "unknown data set 'davis61'"),
        ({"datasets": []}, "no data set named"),
        ({"datasets": ["ft3d"]}, "ft3d is a training set"),
        ({"limit": 0}, "limit is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"flow": "raff"}, "unknown flow estimator 'raff'"),
        ({"metrics": ["k"]}, "metric 'k'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(tmp_path, run, options, message):
    with pytest.raises(InputError, match=message):
        run(**options)
    assert not (tmp_path / "out").exists()


def test_a_data_set_named_but_not_there_names_the_folder(tmp_path, run):
    with pytest.raises(InputError, match=str(tmp_path / "nowhere" / "davis16")):
        run(datasets=["davis16"], data_root=tmp_path / "nowhere")


def test_without_any_data_the_mini_edition_stands_in_and_says_so(tmp_path, run, monkeypatch, make_davis):
    import vosbench.data.mini

    def render(name, home):
        make_davis(home, {"scene": 4})
        (home / name / "MINI.json").write_text(json.dumps({}))
        return home / name

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render, raising=False)
    monkeypatch.setattr(matrix_module, "CATALOGUE", {"davis16": CATALOGUE["davis16"]})
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    planned = run(data_root=tmp_path / "nowhere", dry_run=True)
    assert "would render the mini edition of davis16" in planned.notes[0]
    assert not (tmp_path / "cache").exists()

    result = run(data_root=tmp_path / "nowhere")
    assert {record.edition for record in result.records} == {"mini"}
    assert Path(tmp_path / "out/records/davis16-mini").is_dir()
    assert "using the mini edition of davis16" in result.notes[0]


def test_a_data_set_without_the_metrics_is_left_out_and_said_so(tmp_path, run, root):
    from vosbench.data.mini import write_mini

    write_mini("fbms", root, scenes=1)
    result = run(models=["centre_box"], metrics=["j"])
    assert {record.dataset for record in result.records} == {"davis16"}
    assert "fbms-mini left out: none of its protocols has the metrics j" in result.notes
    both = run(models=["centre_box"], metrics=["j", "fbms"], out=tmp_path / "both")
    assert {record.dataset for record in both.records} == {"davis16", "fbms"}


def test_flow_is_computed_once_and_kept_when_asked(tmp_path, run, monkeypatch):
    calls = []
    real = scene_module.TimedEstimator.__call__

    def count(self, first, second):
        calls.append(1)
        return real(self, first, second)

    monkeypatch.setattr(scene_module.TimedEstimator, "__call__", count)
    run(models=["flow_threshold"], cache=tmp_path / "cache")
    assert len(calls) == 5 + 4 + 4
    run(models=["flow_threshold"], cache=tmp_path / "cache", out=tmp_path / "other")
    # one pair per sequence, only to know what it costs
    assert len(calls) == 13 + 3
