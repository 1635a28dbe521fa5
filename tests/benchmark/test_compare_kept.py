"""What a second run of a comparison keeps, scores again, or computes again."""

import random
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark import plan
from vosbench.evaluation import record_template
from vosbench.flow import timed
from vosbench.formats.png import read_ids, write_ids
from vosbench.leaderboard.build import write_report
from vosbench.scoring import evaluate
from vosbench.scoring.predictions import ids_hash
from vosbench.scoring.protocol import protocols_made_for

MODELS = ("all_foreground", "centre_box", "flow_threshold")
METRICS = ("j", "f")


def tree(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def values(result):
    return {(record.model, record.sequence): record.values for record in result.records}


def test_a_second_run_computes_nothing(tmp_path, run, monkeypatch):
    first = run()
    before = tree(tmp_path / "out")
    monkeypatch.setattr(evaluate, "score_sequence", None)
    second = run()
    assert second.counts == {"kept": 9}
    assert tree(tmp_path / "out") == before
    assert second.records == first.records


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


KILLED = """
import os, signal, sys
from pathlib import Path
from vosbench.scoring import predictions as artifacts
from vosbench.benchmark import compare

write, written = artifacts.write_ids, []

def write_then_die(path, ids):
    write(path, ids)
    written.append(path)
    if len(written) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

artifacts.write_ids = write_then_die
compare(models={models}, data_root=Path(sys.argv[1]), out=Path(sys.argv[2]), workers=1, metrics={metrics})
"""


def kill_after(masks, root, out):
    script = KILLED.format(models=MODELS, metrics=METRICS)
    killed = subprocess.run([sys.executable, "-c", script, root, out, str(masks)], check=False)
    assert killed.returncode == -signal.SIGKILL


def test_a_killed_comparison_continues_where_it_was(tmp_path, root, run):
    kill_after(20, root, tmp_path / "out")
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


def test_flow_is_computed_once_and_kept_when_asked(tmp_path, run, monkeypatch):
    calls = []
    real = timed.TimedEstimator.__call__

    def count(self, first, second):
        calls.append(1)
        return real(self, first, second)

    monkeypatch.setattr(timed.TimedEstimator, "__call__", count)
    run(models=["flow_threshold"], cache=tmp_path / "cache")
    assert len(calls) == 5 + 4 + 4
    run(models=["flow_threshold"], cache=tmp_path / "cache", out=tmp_path / "other")
    # one pair per sequence, only to know what it costs
    assert len(calls) == 13 + 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_table_after_three_kills_is_that_of_an_uninterrupted_run(tmp_path, root, run, seed):
    # 42 masks in all; 13 in each of three runs leave some for the last
    for masks in random.Random(seed).choices(range(1, 14), k=3):
        kill_after(masks, root, tmp_path / "out")
    run()
    run(out=tmp_path / "uninterrupted")
    tables = [
        {path.name: path.read_bytes() for path in write_report(tmp_path / out, pictures=False)}
        for out in ("out", "uninterrupted")
    ]
    names = [name for name in tables[0] if not name.endswith(".html")]
    assert "leaderboard.md" in names
    assert [tables[0][name] for name in names] == [tables[1][name] for name in names]


def masks_of(out, sequence, model="centre_box"):
    return sorted((out / "masks/davis16" / model / sequence).glob("*.png"))


def test_a_number_can_be_checked_against_the_masks_it_came_from(run):
    result = run(models=["centre_box"])
    record = next(item for item in result.records if item.sequence == "dog")
    files = masks_of(result.out, "dog")
    found = ids_hash([path.stem for path in files], [read_ids(path) for path in files])
    assert record.provenance["content"]["masks"] == found
    assert set(record.provenance["content"]) == {"masks", "truth", "protocol", "metric_version"}


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_masks_that_are_changed_or_gone_are_noticed_and_made_again(run, change):
    first = run(models=["centre_box"])
    path = masks_of(first.out, "dog")[2]
    before = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        write_ids(path, 1 - read_ids(path))
    again = run(models=["centre_box"])
    assert {item.sequence: item.state for item in again.outcomes} == {
        "blackswan": "kept",
        "dog": "computed",
        "zebra": "kept",
    }
    assert path.read_bytes() == before
    assert values(again) == values(first)


def test_the_same_masks_in_other_files_are_kept(run):
    path = masks_of(run(models=["centre_box"]).out, "dog")[0]
    Image.fromarray(read_ids(path)).save(path, compress_level=0)
    assert run(models=["centre_box"]).counts == {"kept": 3}


def test_another_version_of_the_metrics_scores_the_masks_again(tmp_path, run, monkeypatch):
    first = run(models=["centre_box"])
    segmented = tree(tmp_path / "out/masks")
    monkeypatch.setattr(record_template, "METRIC_VERSION", 1000)
    again = run(models=["centre_box"])
    assert again.counts == {"rescored": 3}
    assert tree(tmp_path / "out/masks") == segmented
    for before, after in zip(first.records, again.records, strict=True):
        assert after.values == before.values
        assert after.seconds_per_frame["segment"] == before.seconds_per_frame["segment"]
        assert after.provenance["time"] == before.provenance["time"]
        assert after.provenance["scored"]["time"] >= before.provenance["time"]
        assert after.provenance["content"]["metric_version"] == 1000
    assert run(models=["centre_box"]).counts == {"kept": 3}


def test_another_version_of_the_protocol_scores_the_masks_again(tmp_path, run, monkeypatch):
    first = run(models=["centre_box"])
    segmented = tree(tmp_path / "out/masks")
    raised = [replace(rules, version=rules.version + 1) for rules in protocols_made_for("davis16")]
    monkeypatch.setattr(plan, "compared_protocols", lambda dataset: raised)
    again = run(models=["centre_box"])
    assert again.counts == {"rescored": 3}
    assert tree(tmp_path / "out/masks") == segmented
    assert {record.key for record in again.records}.isdisjoint(record.key for record in first.records)
    assert all(record.provenance["config"]["protocol"]["version"] == 2 for record in again.records)
    assert run(models=["centre_box"]).counts == {"kept": 3}


def test_other_ground_truth_scores_the_masks_again(run, root):
    first = run(models=["centre_box"])
    truth = root / "davis16/Annotations/480p/dog/00002.png"
    Image.fromarray(np.full((32, 48), 255, np.uint8)).save(truth)
    again = run(models=["centre_box"])
    assert {item.sequence: item.state for item in again.outcomes}["dog"] == "rescored"
    assert values(again)["centre_box", "dog"] != values(first)["centre_box", "dog"]


def test_a_lost_note_costs_segmenting_not_numbers(run):
    first = run(models=["centre_box"])
    for note in (first.out / "masks").rglob(".*.origin.json"):
        note.unlink()
    # what the record says is still true of the masks
    assert run(models=["centre_box"]).counts == {"kept": 3}
    assert run(models=["centre_box"], metrics=["j"]).counts == {"computed": 3}
