import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark import compare, plan
from vosbench.benchmark.job import Job, ProtocolRun
from vosbench.benchmark.method_spec import MethodSpec
from vosbench.benchmark.run_job import run_job
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.evaluation.record import Record, record_path
from vosbench.evaluation.store import content_hash
from vosbench.models.pretrained.zoo import WEIGHTS
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import METRIC_VERSION, overall

MODELS = ("all_foreground", "centre_box", "flow_threshold")
BASELINES = {*MODELS, "copy_first", "flow_saliency", "propagate_flow"}
METRICS = ("j", "f")
RULES = "davis16-unsupervised"


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
        "load",
    }
    assert set(record.provenance["load"]) == {"before", "after", "cores", "seconds", "cpu_seconds"}
    # of the making alone, and no part of what makes a record current
    assert record.provenance["load"]["seconds"] >= record.seconds_per_frame["segment"] * record.frames * 0.99
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


def test_methods_of_one_class_have_records_and_masks_of_their_own(tmp_path, root):
    models = tuple(
        MethodSpec("mpnet", label, settings={"threshold": threshold, "test_short_side": 32})
        for label, threshold in (("careful", 0.99), ("careless", 0.01))
    )
    job = Job(
        dataset="davis16",
        root=root,
        edition="official",
        sequence="blackswan",
        runs=(ProtocolRun(load_protocol(RULES), ("j",), "val", models),),
        device="cpu",
        flow="dis",
        flow_settings={},
        cache=None,
        out=tmp_path / "out",
        command="",
        dry_run=False,
    )
    found = list(run_job(job))
    assert [(item.model, item.state) for item in found] == [("careful", "computed"), ("careless", "computed")]
    for label in ("careful", "careless"):
        assert record_path(tmp_path / "out/records", "davis16", RULES, label, "blackswan").is_file()
        assert (tmp_path / "out/masks/davis16" / label / "blackswan/00000.png").is_file()
    assert [item.state for item in run_job(job)] == ["kept", "kept"]


def test_records_of_own_weights_tell_how_they_were_trained(tmp_path, run):
    own = tmp_path / "own.safetensors"
    shutil.copy(WEIGHTS / "mpnet-tiny.safetensors", own)
    shutil.copy(WEIGHTS / "mpnet-tiny.json", own.with_suffix(".json"))
    result = run(models=["mpnet", f"mine=mpnet:{own}"], limit=1, settings={"test_short_side": 32})
    told = {record.model: record.provenance for record in result.records}
    assert told["mine"]["training"]["data"]["edition"] == "mini"
    assert "training" not in told["mpnet"], "the zoo tells it once"
    assert told["mine"]["weights"]["sha256"] == told["mpnet"]["weights"]["sha256"]


def test_processes_find_the_same_and_progress_is_told(tmp_path, run):
    calls = []
    many = run(out=tmp_path / "many", workers=2, progress=lambda *now: calls.append(now))
    one = run()
    assert values(many) == values(one)
    keys = [{(record.model, record.sequence): record.key for record in each.records} for each in (many, one)]
    assert keys[0] == keys[1]
    assert [(done, total) for done, total, _ in calls] == [(n, 9) for n in range(1, 10)]


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


def test_all_models_leaves_out_those_without_weights_and_says_so(run):
    result = run(models=["all"], size="full", limit=1)
    assert {item.model for item in result.outcomes} == BASELINES
    assert any(
        note.startswith("mpnet left out: the zoo has no weights of mpnet (full)") for note in result.notes
    )
    with pytest.raises(InputError, match="no weights of mpnet"):
        run(models=["mpnet"], size="full")


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

    def render(name, home, *, scenes, splits):
        assert splits == ("val",)
        make_davis(home, {"scene": scenes})
        (home / name / "MINI.json").write_text(json.dumps({}))
        return home / name

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render, raising=False)
    monkeypatch.setattr(plan, "catalogue", lambda: {"davis16": CATALOGUE["davis16"]})
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    planned = run(data_root=tmp_path / "nowhere", dry_run=True)
    assert "would render the mini edition of davis16" in planned.notes[0]
    assert not (tmp_path / "cache").exists()

    result = run(data_root=tmp_path / "nowhere")
    assert {record.edition for record in result.records} == {"mini"}
    assert Path(tmp_path / "out/records/davis16-mini").is_dir()
    assert f"using the mini edition of davis16 in {tmp_path}/cache/mini-40-val" in result.notes[0]


def test_a_data_set_without_a_mini_edition_is_left_out_of_all(tmp_path, run, monkeypatch, make_davis):
    import vosbench.data.mini

    def render(name, home, **settings):
        if name == "fbms":
            raise InputError("fbms: no space left")
        make_davis(home, {"scene": 3})
        (home / name / "MINI.json").write_text(json.dumps({}))

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render)
    own = replace(CATALOGUE["davis16"], title="of a plug-in", mini=None)
    known = {"davis16": CATALOGUE["davis16"], "own": own, "fbms": CATALOGUE["fbms"]}
    monkeypatch.setattr(plan, "catalogue", lambda: known)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    nowhere = tmp_path / "nowhere"
    told = f"own left out: no evaluation data set found under {nowhere}, and it has no mini edition"
    assert told in run(data_root=nowhere, dry_run=True).notes
    result = run(data_root=nowhere)
    assert result.counts == {"computed": 3}
    assert told in result.notes
    assert "fbms left out: fbms: no space left" in result.notes
    monkeypatch.setattr(plan, "catalogue", lambda: {"own": own})
    with pytest.raises(InputError, match=r"own left out: .*no mini edition"):
        run(data_root=nowhere)


def test_a_damaged_data_set_is_left_out_of_all_but_refused_by_name(tmp_path, run, root):
    (root / "segtrack/JPEGImages/girl").mkdir(parents=True)
    (root / "youtube_objects").mkdir()
    result = run(models=["centre_box"])
    assert {record.dataset for record in result.records} == {"davis16"}
    left_out = [note for note in result.notes if " left out: " in note]
    assert [note.partition(" ")[0] for note in left_out] == ["segtrack", "youtube_objects"]
    assert all(str(root) in note for note in left_out)
    for datasets in (["segtrack"], ["all", "segtrack"], ["davis16", "youtube_objects"], ["all", "fbms"]):
        with pytest.raises(InputError, match=f"{root}/{datasets[-1]}"):
            run(models=["centre_box"], datasets=datasets, out=tmp_path / "strict")
    shutil.rmtree(root / "davis16")
    with pytest.raises(InputError, match=r"segtrack left out: .*; youtube_objects left out: "):
        run(models=["centre_box"], out=tmp_path / "none")


def test_a_data_set_without_the_metrics_is_left_out_and_said_so(tmp_path, run, root):
    from vosbench.data.mini import write_mini

    write_mini("fbms", root, scenes=1)
    result = run(models=["centre_box"], metrics=["j"])
    assert {record.dataset for record in result.records} == {"davis16"}
    assert "fbms-mini left out: none of its protocols has the metrics j" in result.notes
    both = run(models=["centre_box"], metrics=["j", "fbms"], out=tmp_path / "both")
    assert {record.dataset for record in both.records} == {"davis16", "fbms"}


def test_a_protocol_whose_ground_truth_is_missing_is_left_out_with_the_reason(tmp_path):
    folder = write_mini("davis17", tmp_path, scenes=1, frames=3, size=(48, 64))
    shutil.rmtree(folder / "Annotations_unsupervised")
    result = compare(
        models=["centre_box"], datasets=["davis17"], data_root=tmp_path, out=tmp_path / "out", workers=1
    )
    assert not any(record.protocol == "davis17-unsupervised" for record in result.records)
    [note] = [note for note in result.notes if "davis17-unsupervised" in note]
    assert "Annotations_unsupervised/480p: no such folder" in note


def test_detections_are_left_out_without_the_library_that_matches_them(tmp_path, monkeypatch):
    def missing():
        raise ImportError("average precision of detections needs faster-coco-eval")

    monkeypatch.setattr("vosbench.scoring.sequence.require_library", missing)
    write_mini("davis17", tmp_path, scenes=1, frames=3, size=(48, 64))
    result = compare(
        models=["centre_box"], datasets=["davis17"], data_root=tmp_path, out=tmp_path / "out", workers=1
    )
    assert not result.failures
    assert "davis16-map50 left out: average precision of detections needs faster-coco-eval" in result.notes
    with pytest.raises(InputError, match="needs faster-coco-eval"):
        overall({}, load_protocol("davis16-map50"))


def test_the_face_of_the_package_imports_nothing_heavy_before_it_is_used():
    program = (
        "import sys; import vosbench.benchmark; assert 'vosbench.benchmark.comparison' not in sys.modules; "
        "from vosbench.benchmark import compare; import vosbench.benchmark.comparison; "
        "assert callable(vosbench.benchmark.compare) and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
