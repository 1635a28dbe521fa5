import pytest

from vosbench.errors import InputError
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.bibtex import citations, load_bibliography, parse_bibtex, references
from vosbench.leaderboard.published import load_published
from vosbench.models import METHODS

DOE = """@inproceedings{doe2020,
  title = {A {Nested} Title},
  rows = {one, two},
  year = {2020}
}"""


def test_an_entry_ends_with_its_brace_and_loses_the_list_of_rows():
    (entry,) = parse_bibtex(f"a comment\n{DOE}\nanother", "x.bib")
    assert (entry.key, entry.rows) == ("doe2020", ("one", "two"))
    assert entry.text == "@inproceedings{doe2020,\n  title = {A {Nested} Title},\n  year = {2020}\n}"


def test_damage_is_one_line():
    with pytest.raises(InputError, match=r"x.bib: the entry 'doe2020' has no end"):
        parse_bibtex(DOE[:-2], "x.bib")
    with pytest.raises(InputError, match="'doe2020' is there twice"):
        parse_bibtex(f"{DOE}\n{DOE}", "x.bib")


def test_every_method_and_every_reported_row_has_a_paper():
    known = load_bibliography()
    assert set(METHODS) <= known.keys()
    assert {record.model for record in load_published()} <= known.keys()


def test_only_the_papers_of_rows_are_listed_each_once_by_key(make_record):
    records = [make_record("stcnn"), make_record("lvo"), make_record("mpnet"), make_record("unknown")]
    text = references(citations(make_boards(records), load_bibliography()))
    assert [entry.key for entry in parse_bibtex(text, "x")] == ["tokmakov2019learning", "xu2019stcnn"]
    assert references({}) == ""


def test_a_label_is_cited_as_its_method(make_record):
    boards = make_boards([make_record("mine", provenance={"config": {"model": "stcnn"}})])
    assert citations(boards, load_bibliography())["mine"].key == "xu2019stcnn"


def test_an_added_method_brings_its_own_entry(make_record):
    def added(name, text):
        return make_record(name, provenance={"paper": {"bibtex": text}})

    boards = make_boards([added("new", DOE)])
    assert citations(boards, {})["new"].key == "doe2020"
    clash = make_boards([added("new", DOE), added("newer", DOE.replace("2020}", "2021}"))])
    with pytest.raises(InputError, match=r"'doe2020' of .* stands for two papers"):
        citations(clash, {})
