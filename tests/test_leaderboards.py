"""The committed leaderboard is what its records give, and every difference in it is explained."""

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
