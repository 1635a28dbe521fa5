import importlib
import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from vosbench.errors import InputError
from vosbench.evaluation.record import Failure
from vosbench.evaluation.store import read_records
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.facts import provenance
from vosbench.leaderboard.published import disagreements, load_published, published_text
from vosbench.models import METHODS

FOLDER = Path(__file__).parents[2] / "leaderboards" / "third_party"
RECORDS = FOLDER.parent / "records" / "davis16"
PLACE = ("dataset", "edition", "split", "sequence", "protocol")
AUTHORS = {"LVO": "lvo17", "FSEG": "fseg", "LSMO": "lsmo", "OSVOS": "osvos"}
"""Folder of the masks that the authors published -> the published method."""


@pytest.fixture(scope="module")
def boards():
    """All published rows, on boards of their own."""
    published = load_published()
    # boards are made where something was to be measured
    failures = {
        (each.protocol, each.sequence): Failure(
            **{name: getattr(each, name) for name in PLACE},
            **dict.fromkeys(("model", "size", "error", "command", "time"), ""),
        )
        for each in published
    }
    made = make_boards([], published=published, failures=failures.values())
    return {board.protocol.id: board for board in made}


def printed(record, letter):
    """The values of frames as they are published, in thousandths."""
    return [round(1000 * float(f"{value:.3f}")) for value in record.per_frame[letter]]


def test_fifty_nine_methods_on_twenty_sequences_each_under_the_rules_of_its_task():
    records = [record for record in load_published() if record.dataset == "davis16"]
    # once under the rules of its task, once in the table of all
    assert len(records) == 2 * 59 * 20
    assert len({record.model for record in records if record.protocol == "davis16-matlab"}) == 59
    of = {
        task: {record.model for record in records if record.protocol == f"davis16-{task}"}
        for task in ("unsupervised", "semi-supervised")
    }
    assert {name: len(methods) for name, methods in of.items()} == {
        "unsupervised": 28,
        "semi-supervised": 31,
    }
    assert {"osvos", "msk", "bvs", "stm", "mugs", "sfls"} <= of["semi-supervised"]
    assert {"fst", "nlc", "cut", "lvo17", "fseg", "lsmo", "lmp", "mugu", "sflu"} <= of["unsupervised"]
    # no published row can be taken for a network of this project
    assert not {record.model for record in records} & set(METHODS)


def test_every_method_has_1336_frames_and_where_matlab_files_exist_t():
    counts = defaultdict(Counter)
    for record in load_published():
        if record.protocol == "davis16-matlab":
            continue
        for letter, values in record.per_frame.items():
            counts[record.model][letter] += len(values)
    with_t = {model for model, of in counts.items() if "T" in of}
    assert len(with_t) == 21
    assert {tuple(sorted(of.items())) for of in counts.values()} == {
        (("F", 1336), ("J", 1336)),
        (("F", 1336), ("J", 1336), ("T", 1336)),
    }


def test_every_value_of_the_authors_tables_follows_from_the_frames(boards):
    checked = 0
    for board in boards.values():
        for row in board.rows:
            if row.kind != "reported":
                continue
            (table,) = {
                tuple(record.provenance["reported"]["table"].items()) for record in row.records.values()
            }
            # recall of frames printed as 0.500 is not known: the table's own value is shown then
            for metric, value in table:
                assert row.values[metric] == pytest.approx(value, abs=6e-4), (row.name, metric)
                checked += 1
    assert checked == 2 * 59 * 7 + 18 * 7


def test_the_two_sources_agree_to_the_printed_digit():
    content = json.loads((FOLDER / "davis16.json").read_text(encoding="utf-8"))
    assert content["agreement"] == {"methods": 21, "largest_difference": 0.0005}
    assert sum("matlab" in method["sources"] for method in content["methods"].values()) == 21


def test_a_frame_printed_as_one_half_leaves_recall_open(tmp_path):
    method = {
        "title": "A",
        "protocol": "davis16-unsupervised",
        "note": "",
        "sources": ["site"],
        "table": {},
        "sequences": {
            "dog": {"values": {}, "per_frame": {"J": [500, 600], "F": [499, 501]}},
        },
    }
    source = {"site": {"text": "t", "licence": "l"}}
    about = {"dataset": "davis16", "split": "val", "unit": 1000, "note": "", "remarks": {}}
    path = tmp_path / "x.json"
    path.write_text(published_text({**about, "sources": source, "methods": {"a": method}}))
    (record,) = load_published(path)
    assert record.values == {
        "J_mean": pytest.approx(0.55),
        "J_decay": pytest.approx(-0.1),
        "F_mean": 0.5,
        "F_recall": 0.5,
        "F_decay": pytest.approx(-0.002),
    }


def test_objects_of_davis_2017_make_the_authors_table(boards):
    board = boards["davis17-semi-supervised"]
    rows = {row.model: row for row in board.rows if row.kind == "reported"}
    assert len(rows) == 18
    assert {len(row.records) for row in rows.values()} == {30}
    assert rows["stm"].values["JF_mean"] == pytest.approx(0.8171, abs=6e-5)
    assert rows["stm"].values["J_recall"] == 0.8870
    pigs = rows["stm"].records["pigs"].provenance
    assert pigs["objects"] == len(pigs["per_object"]["J"]) == 3
    assert sum(record.provenance["objects"] for record in rows["stm"].records.values()) == 61


@pytest.mark.parametrize(
    ("task", "method", "metric", "value"),
    [
        ("semi-supervised", "osvos", "J_mean", 0.798),
        ("semi-supervised", "osvos", "F_mean", 0.806),
        ("semi-supervised", "osvos", "T_mean", 0.378),
        ("semi-supervised", "osvos", "JF_mean", 0.802),
        ("unsupervised", "cut", "J_recall", 0.575),
        ("unsupervised", "nlc", "T_mean", 0.425),
    ],
)
def test_they_average_to_the_authors_table(boards, task, method, metric, value):
    row = next(row for row in boards[f"davis16-{task}"].rows if row.model == method)
    assert row.values[metric] == pytest.approx(value, abs=6e-4)


def test_frames_fit_the_sequences():
    record = next(each for each in load_published() if (each.model, each.sequence) == ("bvs", "blackswan"))
    assert record.frames == 50
    assert {letter: len(values) for letter, values in record.per_frame.items()} == dict.fromkeys("JFT", 48)
    assert sum(record.per_frame["J"]) / 48 == pytest.approx(record.values["J_mean"], abs=1e-3)


def test_a_reported_row_tells_its_source_and_names_no_records_of_ours(make_record):
    (board,) = make_boards([make_record("ours", "dog")], published=load_published())
    told = {row.name: dict(provenance(board, row)) for row in board.rows}
    assert told["ours"]["records"] == "davis16/davis16-unsupervised/ours/"
    assert "records" not in told["FST"]
    assert "davis-matlab, commit ceb40bc" in told["FST"]["reported"]


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"methods": {"a": {}}}')
    with pytest.raises(InputError, match=r"x.json: not a file of published numbers"):
        load_published(path)


class TestMasksOfTheAuthors:
    """The committed records of masks whose values their authors' benchmark published."""

    @pytest.fixture(scope="class")
    @classmethod
    def records(cls):
        folders = sorted(RECORDS.glob("*/*-authors"))
        return [record for folder in folders for record in read_records(folder)]

    @pytest.fixture(scope="class")
    @classmethod
    def published(cls):
        records = [each for each in load_published() if each.dataset == "davis16"]
        return {(each.protocol, each.model, each.sequence): each for each in records}

    def test_j_and_f_of_every_frame_are_the_published_ones(self, records, published):
        compared = Counter()
        for record in records:
            name = AUTHORS[record.model.removesuffix("-authors")]
            other = published[record.protocol, name, record.sequence]
            for letter in "JF":
                theirs = [round(1000 * value) for value in other.per_frame[letter]]
                assert printed(record, letter) == theirs, (record.model, record.sequence, letter)
                compared[name, record.protocol] += len(theirs)
        assert {name for name, _ in compared} == set(AUTHORS.values())
        assert set(compared.values()) == {2 * 1336}
        assert disagreements(records, published.values()) == []

    def test_the_data_set_values_are_those_of_the_table(self, records, published):
        for board in make_boards(records, published=published.values()):
            for row in (row for row in board.rows if row.kind == "measured"):
                assert row.status.kind == "authors' masks"
                assert row.name.endswith(" (authors' masks)")
                verdicts = {item.metric: item for item in row.comparisons}
                assert len(verdicts) == 7
                if board.protocol.id != "davis16-matlab":
                    assert verdicts.pop("T_mean").verdict.kind == "not comparable"
                for item in verdicts.values():
                    assert item.verdict.kind == "reproduced"
                    assert round(item.measured, 3) == pytest.approx(item.published.value, abs=1e-9)

    def test_another_value_of_one_frame_is_found(self, records, published):
        first = records[0]
        values = [*first.per_frame["F"]]
        values[7] += 0.002
        wrong = replace(first, per_frame={**first.per_frame, "F": values})
        (found,) = disagreements([wrong, *records[1:]], published.values())
        assert found.startswith(f"{first.model} on {first.sequence}: F of 1 of ")
        assert "of frame 8 " in found

    def test_a_record_under_a_wrong_name_is_found(self, records, published):
        wrong = replace(records[0], provenance={"masks": {"published_as": "bvs"}})
        assert len(disagreements([wrong], published.values())) == 2
        nobody = replace(records[0], provenance={"masks": {"published_as": "nobody"}})
        (found,) = disagreements([nobody], published.values())
        assert "nothing is published of nobody there" in found


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["davis16", "davis17"])
def test_the_files_are_what_their_scripts_write(real_data, monkeypatch, name):
    matlab = real_data("davis16_published_eval") / "davis16_published_eval"
    site = real_data("davis16_published_eval_web") / "davis16_published_eval_web"
    monkeypatch.syspath_prepend(FOLDER)
    script = importlib.import_module(name)
    found = script.content(matlab, site) if name == "davis16" else script.content(site)
    assert published_text(found) == (FOLDER / f"{name}.json").read_text(encoding="utf-8")
