"""The committed leaderboard is what its records give, and every difference in it is explained."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from vosbench.data.catalogue import CATALOGUE
from vosbench.evaluation.store import read_records
from vosbench.leaderboard.baseline import identity, read_baseline
from vosbench.leaderboard.check import check
from vosbench.leaderboard.reported import load_reported
from vosbench.leaderboard.verdicts import load_deviations

LEADERBOARDS = Path(__file__).parents[1] / "leaderboards"


def test_tables_are_those_of_the_records_and_differences_are_explained():
    records = LEADERBOARDS / "records"
    assert check(records, None, load_reported(), load_deviations(), tables=LEADERBOARDS) == []


def test_tables_of_the_readme_are_those_of_the_records():
    spec = spec_from_file_location("readme", LEADERBOARDS / "readme.py")
    readme = module_from_spec(spec)
    spec.loader.exec_module(readme)
    text = readme.README.read_text(encoding="utf-8")
    assert readme.updated(text) == text, "run python leaderboards/readme.py"
    table = text[text.index("<!-- davis16-unsupervised -->") : text.index("<!-- end -->")]
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()}
    assert "75.9 [68.5, 82.0] | 72.1 |                25.2 |        75.9" in rows["LVO (authors' masks)"]
    assert "21.7 [16.5, 28.1]" in rows["centre_box"]


def test_records_come_from_committed_code():
    for record in read_records(LEADERBOARDS / "records"):
        assert record.provenance["git"]["clean"], record.sequence


def test_the_baseline_of_the_miniature_has_every_evaluation_set():
    records = read_baseline(LEADERBOARDS / "mini" / "baseline.json")
    evaluation = {name for name, entry in CATALOGUE.items() if entry.kind == "evaluation"}
    assert {record.dataset for record in records} == evaluation
    assert {record.edition for record in records} == {"mini"}
    assert all(
        identity(record).keys() >= {"weights", "protocol", "metric version", "data"} for record in records
    )
