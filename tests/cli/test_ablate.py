"""`vosbench ablate` as a user meets it."""

from pathlib import Path

import pytest

from vosbench.errors import InputError
from vosbench.training import run as training_run

ABLATIONS = Path(__file__).parents[2] / "benchmarks" / "ablations"
TABLE = ABLATIONS / "mpnet_table1.yaml"


def test_a_dry_run_shows_the_trainings_as_lines_of_fit(run, tmp_path):
    status, out, err = run("ablate", TABLE, "--rows", "rgb", "--seeds", "0,7", "--dry-run")
    assert status == 0
    assert "rgb seed 7: planned\n  vosbench fit model=mpnet size=tiny" in out
    assert "1 unit, RGB single frame: tested in ft3d, davis16" in out
    assert "note: LDOF is replaced by dis" in err
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_printed_and_kept_and_a_failure_ends_with_1(run, tmp_path, monkeypatch, make_davis):
    import vosbench.data.mini

    def render(name, home):
        return make_davis(home, {"cat": 4}) / name

    def fails(overrides):
        raise InputError("no room left")

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render)
    monkeypatch.setattr(training_run, "fit", fails)
    text = TABLE.read_text()
    start = text.index("  ft3d:\n    {dataset: ft3d")
    only_davis = text[:start] + text[text.index("  davis16:\n    dataset: davis16") :]
    only_davis = only_davis.replace("split: trainval", "split: val\n    published_split: trainval")
    orderings = only_davis.index("orderings:")
    only_davis = only_davis[:orderings] + "orderings: []\n"
    (tmp_path / "short.yaml").write_text(only_davis)
    words = ("ablate", "short.yaml", "--rows", "rgb", "--seeds", "0", "--workers", 1, "--results", "kept")
    status, out, err = run(*words)
    assert status == 1
    assert "| 1 unit, RGB single frame | " in out
    assert "12.7" in out, "the paper's value"
    assert "failed: training rgb, seed 0: no room left" in err
    assert (tmp_path / "results/mpnet_table1-mini/suite.json").is_file()
    assert (tmp_path / "kept/mpnet_table1-mini.md").read_text() == out
    assert (tmp_path / "kept/orderings.md").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ablate", "none.yaml"), "none.yaml: no such file"),
        (("ablate",), "name a suite, e.g. vosbench ablate mpnet_table1"),
        (("ablate", "--list"), "benchmarks/ablations: no suites"),
        (("ablate", TABLE, "--models", "mpnet"), "No such option: --models"),
        (("ablate", TABLE, "--rows", "rbg"), "unknown row of mpnet_table1 'rbg': did you mean rgb"),
        (("ablate", TABLE, "--seeds", "a"), "--seeds a: write whole numbers separated by commas"),
        (("ablate", TABLE, "--data-root", "."), "--data-root goes with --edition official"),
        (
            ("ablate", TABLE, "--edition", "official", "--rows", "rgb"),
            "set $VOSBENCH_FLOW_LDOF to the folder",
        ),
        (("compare", "--set", "threshold", "--models", "mpnet"), "--set threshold: write KEY=VALUE"),
    ],
)
def test_mistakes_are_one_line(run, words, message):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.removeprefix("mpnet_table1: planning trainings and tests\n").count("\n") == 1


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (("--suite", "a table.yaml", "--rows", "rgb"), "vosbench ablate 'a table.yaml' --rows rgb"),
        (("--dry-run", "--suite=table.yaml"), "vosbench ablate --dry-run table.yaml"),
    ],
)
def test_the_old_spelling_names_the_new_one(run, words, new):
    status, out, err = run("compare", *words)
    assert (status, out) == (2, "")
    assert err == f"vosbench: compare --suite is now a command of its own: {new}\n"


def test_suites_are_listed_with_their_tables(run):
    status, out, _err = run("ablate", "--list", ABLATIONS)
    assert status == 0
    for file in ABLATIONS.glob("*.yaml"):
        assert f" {file.stem} " in out
    (line,) = [line for line in out.splitlines() if " mpnet_table1 " in line]
    assert "Tokmakov et al., table 1" in line


def test_a_suite_goes_by_its_name_in_the_repository(run, monkeypatch):
    monkeypatch.chdir(ABLATIONS.parents[1])
    status, out, _err = run("ablate", "mpnet_table1", "--rows", "rgb", "--seeds", "0", "--dry-run")
    assert status == 0
    assert out.startswith("rgb seed 0: planned")
