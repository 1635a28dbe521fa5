import json
import re

import pytest

from vosbench.errors import InputError
from vosbench.evaluation.store import read_records
from vosbench.leaderboard.add import Paper, add
from vosbench.leaderboard.build import build

BIBTEX = "@misc{doe2020, title = {Shift}, year = {2020}}"


@pytest.fixture
def root(make_davis, tmp_path):
    return make_davis(tmp_path / "data")


@pytest.fixture
def added(root, write_results, tmp_path):
    """Adds masks shifted by some pixels as a method."""

    def run(shift=1, method="Shift", **options):
        results = write_results(tmp_path / f"results{shift}", root, shift)
        return add(
            results, method, "davis16", tmp_path / "records", data_root=root, workers=1, **options
        ), read_records(tmp_path / "records")

    return run


def test_every_sequence_gets_a_record_with_the_values_of_score(added):
    scored, records = added(command="vosbench leaderboard add")
    assert [record.sequence for record in records] == sorted(scored.sequences)
    for record in records:
        assert record.values == scored.sequences[record.sequence].values
        assert len(record.per_frame["J"]) == record.frames - 2
        assert (record.model, record.dataset, record.protocol) == ("Shift", "davis16", "davis16-unsupervised")


def test_a_record_says_what_was_scored_and_how(added):
    paper = Paper("Shift", "https://example.org", 2020, BIBTEX, "none stated")
    _, (first, *_) = added(command="vosbench leaderboard add x", paper=paper)
    told = first.provenance
    assert told["command"] == "vosbench leaderboard add x"
    assert told["paper"] == {
        "title": "Shift",
        "url": "https://example.org",
        "year": 2020,
        "bibtex": BIBTEX,
        "licence": "none stated",
    }
    assert told["config"]["protocol"]["id"] == "davis16-unsupervised"
    assert len(told["masks"]["sha256"]) == len(told["data_hash"]) == 64
    assert {"versions", "git", "machine", "time"} <= told.keys()


def test_other_masks_have_another_key(added):
    keys = [{record.sequence: record.key for record in added(shift, replace=True)[1]} for shift in (1, 2, 1)]
    assert keys[0] == keys[2]
    assert not set(keys[0].values()) & set(keys[1].values())


def test_the_protocol_chosen_is_a_board_of_its_own(added):
    added()
    _, records = added(protocol="davis16-semi-supervised")
    assert {record.protocol for record in records} == {"davis16-unsupervised", "davis16-semi-supervised"}
    assert all("JF_mean" in each.values for each in records if each.protocol == "davis16-semi-supervised")


def test_records_of_a_method_are_replaced_only_when_asked(added):
    _, before = added()
    with pytest.raises(InputError, match=r"has 3 records of Shift on val: .* or give --replace"):
        added(shift=2)
    _, after = added(shift=2, replace=True)
    assert [record.values for record in before] != [record.values for record in after]
    assert len(before) == len(after)


def test_records_stay_when_the_new_masks_cannot_be_read(added, tmp_path, root):
    _, before = added()
    with pytest.raises(InputError):
        add(tmp_path / "absent", "Shift", "davis16", tmp_path / "records", data_root=root, replace=True)
    assert read_records(tmp_path / "records") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "../x"}, "--method '../x': use letters"),
        ({"method": "mpnet"}, "vosbench has this method"),
        ({"paper": Paper(bibtex=BIBTEX + BIBTEX.replace("doe", "roe"))}, "exactly one entry"),
    ],
)
def test_what_cannot_be_a_row_is_refused(added, options, message):
    with pytest.raises(InputError, match=message):
        added(**options)


def test_values_of_pooled_frames_have_no_records(root, tmp_path):
    with pytest.raises(InputError, match="pools the frames of all sequences"):
        add(tmp_path, "x", "davis17", tmp_path / "records", protocol="davis16-map50", data_root=root)


def test_the_row_is_on_the_leaderboard_with_its_paper(added, tmp_path):
    added(paper=Paper(bibtex=BIBTEX))
    markdown, _, latex, bibtex = (
        path.read_text(encoding="utf-8") for path in build(tmp_path / "records", [], [], tmp_path / "out")
    )
    assert re.search(r"\| Shift +\| masks scored +\|", markdown)
    assert r"Shift~\cite{doe2020}" in latex
    assert BIBTEX in bibtex


def test_records_are_plain_json(added, tmp_path):
    added()
    path = tmp_path / "records" / "davis16" / "davis16-unsupervised" / "Shift" / "dog.json"
    assert json.loads(path.read_text())["sequence"] == "dog"
