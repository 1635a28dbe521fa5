"""The table of a suite, from hand-made numbers."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from vosbench.ablations.cells import CellResult, rule_of
from vosbench.ablations.load import load_suite, parse_suite
from vosbench.ablations.published import published_values
from vosbench.ablations.report import SUMMARY, as_json, markdown, summary, write_suite
from vosbench.ablations.run import OrderingResult, SuiteResult
from vosbench.ablations.statistics import seeded_difference, seeded_value
from vosbench.errors import InputError
from vosbench.leaderboard.reported import Reported, load_reported
from vosbench.plain_data import read_json

ABLATIONS = Path(__file__).parents[2] / "benchmarks" / "ablations"


def make_suite(expect="four >= one", **row):
    return parse_suite(
        {
            "id": "small",
            "title": "A small table",
            "paper": "Somebody et al.",
            "table": 1,
            "method": "Net",
            "varies": "decoder units",
            "flows": {"ldof": {"title": "LDOF", "official": "precomputed:${LDOF}", "mini": "dis"}},
            "columns": {
                "davis16": {
                    "dataset": "davis16",
                    "split": "val",
                    "protocol": "davis16-unsupervised",
                    "metric": "J_mean",
                    "flow": "ldof",
                    "variant": "test_flow=LDOF",
                }
            },
            "editions": {"official": {"size": "full"}, "mini": {"size": "tiny", "seeds": [0, 1]}},
            "trainings": {"one": {"model": "mpnet"}, "four": {"model": "mpnet"}},
            "rows": {
                "one": {"title": "1 unit", "training": "one", "variant": "units=1", **row},
                "four": {"title": "4 units", "training": "four", "variant": "units=4"},
                "ours": {"title": "a box", "model": "centre_box", "variant": None},
            },
            "orderings": [{"expect": expect, "column": "davis16", "source": "section 6"}],
        },
        "small.yaml",
    )


def published(value, variant, **changes):
    fields = {
        "paper": "Somebody et al., A Paper",
        "table": "table 1",
        "method": "Net",
        "dataset": "davis16",
        "split": "val",
        "metric": "J_mean",
        "value": value,
        "variant": variant,
        "note": "",
        "own": True,
        "protocol": "davis16-unsupervised",
    }
    return Reported(**fields | changes)


REPORTED = [
    # the order of the parts is the paper's business
    published(0.466, "test_flow=LDOF; units=1"),
    published(0.524, "units=4; test_flow=LDOF"),
    published(0.9, "units=4; test_flow=LDOF", table="table 2"),
    published(0.8, "units=4; test_flow=LDOF", dataset="ft3d"),
]


def cell(suite, *seeds):
    column = suite.columns["davis16"]
    by_seed = {
        seed: {f"s{i}": {"J_mean": value} for i, value in enumerate(values)}
        for seed, values in enumerate(seeds)
    }
    return CellResult(seeded_value(by_seed, rule_of(column)), by_seed, 3, "dis")


def result(suite, one, four, edition="mini", failures=(), box=((0.2, 0.3, 0.25),)):
    cells = {
        ("one", "davis16"): cell(suite, *one),
        ("four", "davis16"): cell(suite, *four),
        ("ours", "davis16"): cell(suite, *box),
    }
    ordering = suite.orderings[0]
    difference = seeded_difference(
        cells[ordering.first, "davis16"].by_seed,
        cells[ordering.second, "davis16"].by_seed,
        rule_of(suite.columns["davis16"]),
    )
    judged = OrderingResult(ordering, difference, difference.holds(strict=ordering.strict))
    return SuiteResult(
        suite=suite,
        edition=edition,
        seeds=(0, 1),
        folder=Path("unused"),
        rows=tuple(suite.rows.values()),
        cells=cells,
        orderings=(judged,),
        trainings={},
        failures=failures,
        notes=("LDOF is replaced by dis",),
    )


ONE = ((0.2, 0.4, 0.3), (0.3, 0.5, 0.4))
FOUR = ((0.4, 0.6, 0.5), (0.5, 0.7, 0.63))


def cells_of(text, start):
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_measured_and_published_stand_side_by_side():
    suite = make_suite()
    text = markdown(result(suite, ONE, FOUR), published_values(suite, REPORTED))
    title, here, paper = cells_of(text, "1 unit")
    assert (title, here.split()[0], paper) == ("1 unit", "35.0", "46.6")
    assert cells_of(text, "4 units")[1].startswith("55.5 [")
    assert cells_of(text, "4 units")[2] == "52.4"
    # a row of ours has no published value
    assert cells_of(text, "a box")[2] == "-"
    assert "| DAVIS 2016 val, J_mean ↑ | paper |" in " ".join(text.split())


def test_the_mini_edition_says_what_it_is():
    suite = make_suite()
    values = published_values(suite, REPORTED)
    mini, official = (markdown(result(suite, ONE, FOUR, edition), values) for edition in ("mini", "official"))
    assert "not comparable with those of the paper, orderings of rows are" in mini
    assert "not comparable" not in official
    assert "* LDOF is replaced by dis" in mini
    assert "* flow at test, davis16: dis" in mini


def test_an_ordering_that_holds():
    suite = make_suite()
    text = markdown(result(suite, ONE, FOUR), published_values(suite, REPORTED))
    expected, column, source, paper, here, agree, holds = cells_of(text, "four >= one")
    assert (expected, column, source) == ("four >= one", "davis16", "section 6")
    assert (paper, here, agree, holds) == ("+5.8", "+20.5 [+18.1, +22.9]", "2 of 2", "yes")


def test_an_ordering_that_does_not_hold_or_is_unclear():
    suite = make_suite()
    values = published_values(suite, REPORTED)
    assert cells_of(markdown(result(suite, FOUR, ONE), values), "four >= one")[-1] == "no"
    mixed = cells_of(markdown(result(suite, ((0.5, 0.6, 0.6), (0.3, 0.5, 0.4)), FOUR), values), "four >= one")
    assert mixed[-2:] == ["1 of 2", "unclear"]


def test_what_is_missing_is_said():
    suite = make_suite()
    text = markdown(result(suite, ((0.2,),), FOUR, failures=("training one, seed 1: no room",)), {})
    assert cells_of(text, "1 unit")[1] == "20.0 (1/2 seeds, 1/3 sequences)"
    assert "## Failures\n\n* training one, seed 1: no room" in text
    # what learns nothing has no seeds to miss
    assert "seeds" not in cells_of(text, "a box")[1]


def test_published_values_must_be_found_once():
    suite = make_suite(variant="units=2")
    with pytest.raises(
        InputError, match=r"row one, column davis16: no values of Net in Somebody et al., table 1"
    ):
        published_values(suite, REPORTED)
    with pytest.raises(InputError, match="row one, column davis16: 2 values"):
        published_values(make_suite(), [*REPORTED, REPORTED[0]])


def test_an_ordering_against_the_published_values_is_a_slip_of_the_pen():
    with pytest.raises(InputError, match="the paper's values are the opposite of 'one >= four' in davis16"):
        published_values(make_suite("one >= four"), REPORTED)


def test_files(tmp_path):
    suite = make_suite()
    values = published_values(suite, REPORTED)
    found = result(suite, ONE, FOUR)
    object.__setattr__(found, "folder", tmp_path / "out")
    files = write_suite(found, values, tmp_path / "kept")
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "out/suite.md",
        "out/suite.json",
        "kept/small-mini.md",
        "kept/small-mini.json",
        f"kept/{SUMMARY}",
    ]
    content = json.loads(files[3].read_text())
    cell = content["rows"]["one"]["columns"]["davis16"]
    assert (cell["mean"], cell["paper"], cell["by_seed"]) == (0.35, 0.466, {"0": 0.3, "1": 0.4})
    assert cell["values"]["1"]["s1"]["J_mean"] == 0.5
    assert content["orderings"][0]["holds"] == "yes"
    assert str(tmp_path) not in files[3].read_text() + files[2].read_text()


def test_the_orderings_of_all_suites_are_one_table(tmp_path):
    suite = make_suite()
    values = published_values(suite, REPORTED)
    for edition in ("mini", "official"):
        found = result(suite, ONE, FOUR, edition)
        object.__setattr__(found, "folder", tmp_path / "out")
        write_suite(found, values, tmp_path / "kept")
    text = (tmp_path / "kept" / SUMMARY).read_text()
    lines = [line for line in text.splitlines() if "four >= one" in line]
    assert len(lines) == 2
    assert lines[0].split("|")[2].strip() == "mini"
    assert all(line.rstrip(" |").endswith("yes") for line in lines)
    (tmp_path / "kept" / "other.json").write_text("[]")
    with pytest.raises(InputError, match="not the result of a suite"):
        summary(tmp_path / "kept")


@pytest.fixture(scope="module")
def reported():
    return load_reported()


@pytest.mark.parametrize("path", sorted(ABLATIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_suites_have_every_published_value_of_their_table(path, reported):
    suite = load_suite(path)
    # a row of the mini edition alone stands for one of the paper's
    rows = {name: row for name, row in suite.rows.items() if "official" not in row.without}
    values = {cell: value for cell, value in published_values(suite, reported).items() if cell[0] in rows}
    methods = {row.method or suite.method for row in rows.values()}
    of_table = [e for e in reported if e.source == suite.source and (e.own or e.method in methods)]
    assert {each.method for each in of_table} == methods
    # how long a frame takes is measured in benchmarks/speed
    measured = [each.value for each in of_table if each.metric != "seconds_per_frame"]
    assert sorted(values.values()) == sorted(measured)


def test_a_value_that_is_not_known_is_null_in_the_file(tmp_path):
    suite = make_suite()
    rows = ((math.nan, 0.4, 0.3), (0.3, 0.5, 0.4))
    made = result(suite, rows, FOUR)
    write_suite(replace(made, folder=tmp_path), {})
    cell_of_file = read_json(tmp_path / "suite.json")["rows"]["one"]["columns"]["davis16"]
    assert cell_of_file["values"]["0"]["s0"] == {"J_mean": None}
    assert cell_of_file["values"]["0"]["s1"] == {"J_mean": 0.4}


def test_records_that_were_kept_give_the_same_file_as_computed_ones():
    """A file of a record has its values by name, one that was just computed by metric."""
    suite = make_suite()
    texts = []
    for names in (("J_mean", "J_decay", "objects"), ("J_decay", "J_mean", "objects")):
        made = result(suite, ONE, FOUR)
        by_seed = {0: {"dog": dict.fromkeys(names, 0.5)}}
        cells = {key: replace(tested, by_seed=by_seed) for key, tested in made.cells.items()}
        texts.append(json.dumps(as_json(replace(made, cells=cells), {})["rows"]))
    assert texts[0] == texts[1]
