"""Commands of `vosbench leaderboard`, and a check after weights or a metric changed."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import save_file

from vosbench.benchmark import compare, run_job
from vosbench.cli import main
from vosbench.evaluation import record_template
from vosbench.leaderboard import assemble
from vosbench.models.pretrained import zoo
from vosbench.scoring import evaluate
from vosbench.tensor_files import sha256


@pytest.fixture
def vosbench(monkeypatch, capsys):
    """Runs a command line; returns its status and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vosbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code, printed.out + printed.err

    return run


@pytest.fixture(scope="module")
def root(make_davis, tmp_path_factory):
    return make_davis(tmp_path_factory.mktemp("data"), {"blackswan": 4, "dog": 4})


def measure(root, out, **options):
    """Measure MP-Net and a baseline; return the folder of records."""
    models = ["centre_box", "mpnet"]
    compare(models=models, datasets=["davis16"], data_root=root, out=out, workers=1, **options)
    return out / "records"


@pytest.fixture(scope="module")
def before(root, tmp_path_factory):
    """Records that baselines are made of."""
    return measure(root, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module")
def again(before, root, tmp_path_factory):
    """Records of the same, measured once more."""
    return measure(root, tmp_path_factory.mktemp("again"))


@pytest.fixture
def changed(root, tmp_path):
    """Return a function that measures after something has changed: options -> records."""
    return partial(measure, root, tmp_path / "changed")


@pytest.fixture
def baseline(before, vosbench, tmp_path):
    path = tmp_path / "baseline.json"
    assert vosbench("leaderboard", "baseline", before, "--out", path)[0] == 0
    return path


def check(vosbench, records, baseline, *more):
    return vosbench("leaderboard", "check", "--records", records, "--baseline", baseline, *more)


def test_measuring_again_finds_nothing(vosbench, again, baseline):
    status, printed = check(vosbench, again, baseline, "--whole")
    assert (status, printed) == (0, "check: no findings\n")


def test_other_weights_of_one_method_turn_the_check_red_and_name_its_cells(
    vosbench, changed, baseline, other_weights
):
    before, after = other_weights
    status, printed = check(vosbench, changed(), baseline)
    assert status == 1
    moved = [line for line in printed.splitlines() if line.startswith("moved: ")]
    assert all(line.startswith("moved: mpnet (tiny) on DAVIS 2016 (davis16, val) under ") for line in moved)
    (line,) = [line for line in moved if "davis16-unsupervised" in line and "J_mean was" in line]
    assert "blackswan" in line
    assert "dog" in line
    assert f"changed since: weights {before[:12]} became {after[:12]}" in line


@pytest.fixture
def other_weights(baseline, monkeypatch, tmp_path):
    """A zoo whose MP-Net ends in the opposite sign, after the baseline was measured; both hashes."""
    weights = tmp_path / "zoo" / "mpnet-tiny.safetensors"
    weights.parent.mkdir()
    shipped = zoo.WEIGHTS / weights.name
    state, described = zoo.read_state(shipped)
    for name in list(state)[-2:]:
        state[name] = -state[name]
    save_file(state, weights, metadata={"vosbench": json.dumps(described)})
    provenance = json.loads(shipped.with_suffix(".json").read_text())
    weights.with_suffix(".json").write_text(json.dumps(provenance | {"sha256": sha256(weights)}))
    monkeypatch.setattr(zoo, "WEIGHTS", weights.parent)
    # a process loads a method once
    run_job._load.cache_clear()
    yield provenance["sha256"], sha256(weights)
    run_job._load.cache_clear()


def test_another_metric_turns_the_check_red_and_says_so(vosbench, changed, baseline, monkeypatch):
    def lower(*arguments, score=evaluate.score_sequence, **options):
        found = score(*arguments, **options)
        return replace(found, values=dict(found.values) | {"F_mean": 0.9 * found.values["F_mean"]})

    monkeypatch.setattr(evaluate, "score_sequence", lower)
    for module in (record_template, assemble):
        monkeypatch.setattr(module, "METRIC_VERSION", 2)
    status, printed = check(vosbench, changed(), baseline)
    assert status == 1
    moved = [line for line in printed.splitlines() if line.startswith("moved: ")]
    assert {line.split(" on ", 1)[0] for line in moved} == {"moved: centre_box", "moved: mpnet (tiny)"}
    assert all(": F_mean " in line for line in moved)
    assert all("changed since: metric version 1 became 2" in line for line in moved)


def test_a_changed_switch_is_named_as_the_cause(vosbench, changed, baseline):
    status, printed = check(vosbench, changed(settings={"threshold": 0.02}), baseline)
    assert status == 1
    assert "moved: mpnet (tiny)" in printed
    assert "changed since: switches" in printed
    assert "centre_box" not in printed


def test_a_changed_value_in_a_baseline_names_its_method_metric_and_sequence(vosbench, again, baseline):
    content = json.loads(baseline.read_text())
    row = next(row for row in content["rows"] if row["model"] == "centre_box")
    row["sequences"]["dog"]["values"]["F_mean"] += 0.5
    baseline.write_text(json.dumps(content))
    status, printed = check(vosbench, again, baseline)
    assert status == 1
    (line,) = [line for line in printed.splitlines() if line.startswith("moved: ")]
    assert line.startswith(f"moved: centre_box on DAVIS 2016 (davis16, val) under {row['protocol']}")
    assert "F_mean was" in line
    assert "(dog " in line


def test_the_tolerance_decides_what_moved(vosbench, again, baseline):
    content = json.loads(baseline.read_text())
    row = next(row for row in content["rows"] if row["model"] == "centre_box")
    row["sequences"]["dog"]["values"]["F_mean"] += 0.05
    baseline.write_text(json.dumps(content))
    assert check(vosbench, again, baseline)[0] == 1
    assert check(vosbench, again, baseline, "--tolerance", "0.03")[0] == 0


def test_masks_of_others_become_a_row_through_the_command(vosbench, root, write_results, tmp_path):
    results = write_results(tmp_path / "theirs", root, shift=1)
    bibtex = tmp_path / "doe.bib"
    bibtex.write_text("@misc{doe2020, title = {Shift}}")
    records = tmp_path / "records"
    add = ["leaderboard", "add", results, "--method", "Shift", "--data-root", root, "--records", records]
    status, printed = vosbench(*add, "--bibtex", bibtex, "--year", 2020, "--workers", 1)
    assert status == 0, printed
    assert "2 records under" in printed
    provenance = json.loads((records / "davis16/davis16-unsupervised/Shift/dog.json").read_text())[
        "provenance"
    ]
    assert provenance["command"].startswith("vosbench leaderboard add")
    assert provenance["paper"] == {"year": 2020, "bibtex": bibtex.read_text()}
    assert vosbench(*add, "--bibtex", "absent.bib") == (2, "vosbench: --bibtex absent.bib: no such file\n")
    status, printed = vosbench(*add, "--workers", 1)
    assert status == 2
    assert "give --replace" in printed
    out = tmp_path / "tables"
    status, printed = vosbench("leaderboard", "build", "--records", records, "--out", out)
    names = ["leaderboard.md", "leaderboard.html", "leaderboard.tex", "references.bib"]
    assert [Path(line).name for line in printed.splitlines()] == names
    status, printed = vosbench("leaderboard", "check", "--records", records, "--tables", out)
    assert (status, printed) == (0, "check: no findings\n")
