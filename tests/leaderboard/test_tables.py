from dataclasses import replace

import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.page import html
from vosbench.leaderboard.latex import latex
from vosbench.leaderboard.published import load_published
from vosbench.leaderboard.status import MethodStatus, Status
from vosbench.leaderboard.tables import (
    markdown,
    markdown_table,
    overall_table,
    published_table,
    rank_of,
    sequence_table,
    show,
    show_rate,
)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("J_mean", 0.5239, "52.4"),
        ("J_decay", -0.0001, "0.0"),
        ("T_mean", None, "-"),
        ("n_objects", 31.0, "31.0"),
    ],
)
def test_fractions_show_as_percent_counts_as_they_are(metric, value, text):
    assert show(metric, value) == text


def test_differences_carry_their_sign():
    assert show("J_mean", 0.012, sign=True) == "+1.2"
    assert show("J_mean", -0.012, sign=True) == "-1.2"


def test_frame_rates_show_as_many_digits_as_they_deserve():
    assert [show_rate(rate) for rate in (0.43, 7.14, 31.4, None)] == ["0.4", "7.1", "31", "-"]


def test_a_table_is_aligned_in_its_raw_text():
    assert markdown_table(["name", "J"], [["a", "12.0"], ["long name", "3.0"]], "lr").splitlines() == [
        "| name      |    J |",
        "| --------- | ---: |",
        "| a         | 12.0 |",
        "| long name |  3.0 |",
    ]


def test_cells_cannot_break_a_table():
    assert markdown_table(["x"], [["a|b\nc"]], "l").splitlines()[2] == "| a\\|b c |"


def test_the_overall_table_has_one_row_per_method_best_in_bold_second_underlined(make_record):
    values = {"good": 0.8, "middle": 0.5, "bad": 0.2}
    records = [make_record(name, j=(value,), edition="mini") for name, value in values.items()]
    assert overall_table(make_boards(records)[0]).splitlines() == [
        "| method | status      |    J_mean ↑ | J_decay ↓ | T_mean ↓ | sequences |",
        "| ------ | ----------- | ----------: | --------: | -------: | --------: |",
        "| good   | implemented |    **80.0** |  **10.0** | **25.0** |       1/1 |",
        "| middle | implemented | <u>50.0</u> |  **10.0** | **25.0** |       1/1 |",
        "| bad    | implemented |        20.0 |  **10.0** | **25.0** |       1/1 |",
    ]


def test_of_two_methods_none_is_underlined(make_record):
    (board,) = make_boards([make_record(name, edition="mini") for name in ("a", "b")])
    assert "<u>" not in overall_table(board)


def test_baselines_do_not_compete(make_record):
    trivial = {"weights": {"weights": "none"}}
    records = [
        make_record("empty", j=(0.9,), provenance=trivial, edition="mini"),
        make_record("one", j=(0.6,), edition="mini"),
        make_record("two", j=(0.5,), edition="mini"),
    ]
    (board,) = make_boards(records)
    assert [rank_of(board, row, "J_mean") for row in board.rows] == [None, 1, None]


def test_a_mean_comes_with_its_interval_a_recall_without(make_record):
    records = [
        make_record(sequence=name, values={"J_mean": j, "J_recall": j}, edition="mini")
        for name, j in (("a", 0.2), ("b", 0.4), ("c", 0.6))
    ]
    *_, row = overall_table(make_boards(records)[0]).splitlines()
    assert "40.0 [7.8, 84.1] |" in row
    assert row.split("|")[4].strip() == "40.0"


def test_nothing_in_the_text_depends_on_the_speed_of_the_machine(make_record):
    fast, slow = (
        markdown(make_boards([make_record(seconds_per_frame={"segment": each})]), "Title")
        for each in (0.001, 5.0)
    )
    assert fast == slow


def test_a_failure_is_a_marked_missing_result_with_its_error(make_record, make_failure):
    records = [make_record(sequence="a", edition="mini"), make_record("other", "b", edition="mini")]
    failures = [
        make_failure(sequence="b", error="RuntimeError: out of memory"),
        make_failure("other", "a", error="no flow"),
        make_failure("broken", "a", error="no flow"),
    ]
    (board,) = make_boards(records, failures=failures)
    assert {row.name: row.failures for row in board.rows} == {
        "mpnet (tiny)": {"b": "RuntimeError: out of memory"},
        "other": {"a": "no flow"},
        "broken": {"a": "no flow"},
    }
    text = markdown([board], "Title")
    assert "1/2, 1 failed" in text
    assert "| a        |         60.0 | failed | failed |" in text
    assert "| b        |       failed |   60.0 |      - |" in text
    assert "* mpnet (tiny) on b: RuntimeError: out of memory" in text
    assert "* broken on a: no flow" in text


def test_rows_that_others_measured_join_the_board_and_say_so(make_record):
    records = [make_record(sequence=name) for name in ("blackswan", "dog")]
    (board,) = make_boards(records, published=load_published())
    rows = {row.name: row for row in board.rows}
    assert len(rows) == 1 + 28
    assert {row.kind for row in board.rows} == {"measured", "reported"}
    # on the sequences measured here, so that the means are of the same ones
    assert rows["FST"].records.keys() == {"blackswan", "dog"}
    text = markdown([board], "Title")
    assert "* reported rows: web page of DAVIS" in text
    assert "; Perazzi et al., CVPR 2016" in text
    assert "| J_mean ↑  | mpnet (tiny) |" in text, "the table of sequences has the methods run here"


def test_values_of_another_toolkit_are_marked_and_do_not_compete(make_record, make_published):
    values = {"J_mean": 0.5, "T_mean": 0.3}
    ours = [make_record(sequence=f"s{i:02d}", values=values, frames=4) for i in range(20)]
    theirs = make_published("old", j=0.6, table={"T_mean": 0.1}, remarks={"T_mean": "of another toolkit"})
    (board,) = make_boards([*ours, *(replace(each, model="more") for each in ours)], published=theirs)
    (row,) = [row for row in board.rows if row.kind == "reported"]
    # nothing is published of the sequences, but of the data set
    assert (row.values["J_mean"], row.values["T_mean"]) == (0.6, 0.1)
    assert board.ranked("J_mean")[0] == 0.6
    assert board.ranked("T_mean")[0] == 0.3
    text = markdown([board], "Title")
    assert "10.0† |" in text
    assert "* † T_mean: of another toolkit; these values do not compete" in text
    tex = latex([board], {})
    assert r"10.0\textsuperscript{\dag}" in tex
    assert r"\dag{} T\_mean: of another toolkit" in tex
    page = html([board], "Title")
    assert "<span>10.0†</span>" in page
    assert "† T_mean: of another toolkit" in page


def test_a_value_of_the_whole_data_set_stands_beside_no_part_of_it(make_record, make_published):
    theirs = make_published("old", j=0.6, table={"T_mean": 0.1})
    (board,) = make_boards([make_record(sequence="s00")], published=theirs)
    (row,) = [row for row in board.rows if row.kind == "reported"]
    assert "T_mean" not in row.values


def test_how_far_methods_have_come_is_a_table_of_its_own():
    methods = [MethodStatus("lvo", "", Status("implemented", "no weights yet"))]
    assert "| lvo    | -    | implemented | no weights yet |" in markdown([], "Title", methods)


def test_values_that_look_equal_are_equally_good(make_record):
    records = [make_record("one", j=(0.80001,)), make_record("two", j=(0.8,)), make_record("three", j=(0.5,))]
    (board,) = make_boards(records, split_sizes={("davis16", "val"): 1})
    assert [rank_of(board, row, "J_mean") == 1 for row in board.rows] == [True, True, False]


def test_a_method_without_rivals_is_not_the_best(make_record):
    (board,) = make_boards([make_record(edition="mini")])
    assert rank_of(board, board.rows[0], "J_mean") is None


def test_a_published_number_comes_with_its_place_and_verdict(val_records, make_reported):
    table = overall_table(make_boards(val_records, [make_reported(0.61)])[0])
    header, _, row = table.splitlines()
    assert header.endswith("| published                         | verdict |")
    assert row.endswith("| J_mean 61.0 (Doe et al., table 3) | close   |")


def test_remarks_are_numbered_below_the_published_table(val_records, make_reported):
    reported = [
        make_reported(0.7, note="subset unclear", variant="flow=A"),
        make_reported(0.65, note="subset unclear", variant="flow=B"),
    ]
    lines = published_table(make_boards(val_records, reported)[0]).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:4]] == ["1, 2", "3, 2"]
    assert lines[5:] == ["1. flow=A", "2. subset unclear", "3. flow=B"]


def test_the_sequence_table_has_a_column_per_method_and_a_dash_where_nothing_was_measured(make_record):
    records = [
        make_record("one", "a", (0.5,), edition="mini"),
        make_record("one", "b", (0.25,), edition="mini"),
        make_record("two", "b", (0.75,), edition="mini"),
    ]
    assert sequence_table(make_boards(records)[0], "J_mean").splitlines() == [
        "| J_mean ↑ |  one |  two |",
        "| -------- | ---: | ---: |",
        "| a        | 50.0 |    - |",
        "| b        | 25.0 | 75.0 |",
    ]


def test_a_miniature_edition_says_that_it_is_one_and_shows_no_published_number(make_record, make_reported):
    text = markdown(make_boards([make_record(edition="mini")], [make_reported()]), "Title")
    assert "## Miniature edition of DAVIS 2016 (davis16-mini, val), davis16-unsupervised" in text
    assert "not comparable with any published number" in text
    assert "published J_mean" not in text
    assert "Doe et al." not in text


def test_the_text_says_how_the_numbers_were_made(val_records):
    text = markdown(make_boards(val_records), "Title")
    assert "* davis16-unsupervised: DAVIS 2016, one foreground against the background; frames inner" in text
    assert "* versions: vosbench 0.1.0, torch 2.15.0" in text
    assert "* code: commit 0123456789ab" in text
    assert "* measured: 2026-11-21" in text


def test_settings_that_differ_between_methods_name_them(make_record):
    other = make_record("other", provenance={"device": "cuda:0"})
    text = markdown(make_boards([make_record(), other]), "Title")
    assert "* device: cpu [mpnet (tiny)]; cuda:0 [other]" in text


def test_an_empty_leaderboard_says_so():
    assert "Nothing has been measured yet." in markdown([], "Title")
