from dataclasses import replace

import pytest

from vosbench.leaderboard.baseline import baseline_text
from vosbench.leaderboard.build import build
from vosbench.leaderboard.check import check
from vosbench.leaderboard.verdicts import Deviation, Tolerance

DEVIATION = Deviation("davis16-unsupervised", "davis16", "mpnet", "tiny", "J_mean", "narrow network")


def shifted(records, amount, metric="J_mean"):
    return [replace(r, values={**r.values, metric: r.values[metric] + amount}) for r in records]


def test_all_is_well(store, val_records, make_reported, tmp_path):
    root = store("records", val_records)
    reported = [make_reported(0.6)]
    build(root, reported, [], tmp_path / "tables")
    assert check(root, root, reported, [], tables=tmp_path / "tables") == []


def test_numbers_on_what_was_trained_on_are_found(store, val_records):
    val_records[3].provenance["training"] = {"data": {"sequences": ["s03", "bear"]}}
    (finding,) = check(store("records", val_records), None, [], [])
    assert finding.kind == "leak"
    assert "mpnet on davis16 is scored on what it was trained on: s03;" in finding.message


def test_numbers_on_what_was_selected_on_need_a_reason(store, val_records):
    selection = [{"name": "davis16", "edition": "official", "split": "val", "sequences": ["s03"]}]
    val_records[3].provenance["training"] = {"selection": selection}
    root = store("records", val_records)
    (finding,) = check(root, None, [], [])
    assert finding.kind == "leak"
    assert "mpnet on davis16 is scored on what it was selected on: s03;" in finding.message
    accepted = replace(DEVIATION, metric="leak")
    assert check(root, None, [], [accepted]) == []
    assert [each.kind for each in check(root, None, [], [replace(accepted, model="lvo")])] == ["leak"]


def test_no_reason_is_good_enough_for_numbers_on_what_was_trained_on(store, val_records):
    val_records[3].provenance["training"] = {"data": {"sequences": ["s03"]}}
    found = check(store("records", val_records), None, [], [replace(DEVIATION, metric="leak")])
    assert [each.kind for each in found] == ["leak"]


@pytest.fixture(params=["folder", "file"])
def committed(request, store, val_records, tmp_path):
    """The records of MP-Net as a baseline, in either form."""
    if request.param == "folder":
        return store("committed", val_records)
    path = tmp_path / "baseline.json"
    path.write_text(baseline_text(val_records))
    return path


@pytest.mark.parametrize(("amount", "now"), [(-0.01, "59.0"), (0.01, "61.0")])
def test_a_number_that_moved_is_found_in_either_direction(store, val_records, committed, amount, now):
    (finding,) = check(store("new", shifted(val_records, amount)), committed, [], [])
    assert finding.kind == "moved"
    # every cell moved, each within its own tolerance
    assert f"J_mean was 60.0, is {now} (s00 60.0 to {now}, s01 60.0 to {now}" in finding.message
    assert "mpnet (tiny) on DAVIS 2016 (davis16, val) under davis16-unsupervised" in finding.message
    assert "same weights, settings and data" in finding.message


def test_a_single_cell_is_named_even_when_the_mean_hardly_moves(store, val_records, committed):
    records = shifted(val_records[:1], -0.08) + val_records[1:]
    (finding,) = check(store("new", records), committed, [], [])
    assert "J_mean stays 59.6, but single sequences moved (s00 60.0 to 52.0)" in finding.message


def test_the_cells_that_moved_furthest_come_first_and_not_all_are_listed(store, val_records, committed):
    records = [
        replace(record, values={**record.values, "J_mean": 0.6 - 0.03 * (number % 8)})
        for number, record in enumerate(val_records)
    ]
    (finding,) = check(store("new", records), committed, [], [])
    assert "(s07 60.0 to 39.0, s15 60.0 to 39.0, s06 60.0 to 42.0" in finding.message
    assert "and 12 more)" in finding.message


def test_other_weights_are_named_as_the_cause(store, val_records, tmp_path):
    def with_weights(records, digest):
        return [
            replace(r, provenance={**r.provenance, "weights": {"sha256": digest * 32}, "data_hash": "d"})
            for r in records
        ]

    committed = tmp_path / "baseline.json"
    committed.write_text(baseline_text(with_weights(val_records, "ab")))
    new = store("new", with_weights(shifted(val_records, 0.1), "cd"))
    (finding,) = check(new, committed, [], [])
    assert "changed since: weights abababababab became cdcdcdcdcdcd; find the cause" in finding.message


def test_a_number_may_move_by_the_tolerance(store, val_records, committed):
    new = store("new", shifted(val_records, 0.005))
    assert check(new, committed, [], []) == []
    assert len(check(new, committed, [], [], tolerance=Tolerance(moved=0.001))) == 1


def test_objects_are_counted_not_measured_in_percent(store, make_record):
    def counted(number):
        return [make_record(values={"J_mean": 0.6, "n_objects": number})]

    committed = store("committed", counted(3))
    assert check(store("same", counted(3)), committed, [], []) == []
    (finding,) = check(store("new", counted(4)), committed, [], [])
    assert "n_objects was 3.0, is 4.0" in finding.message


def test_only_sequences_that_both_have_are_compared(store, val_records, make_record, committed):
    new = store("new", [*val_records[:2], make_record(sequence="extra", j=(0.0,))])
    assert check(new, committed, [], []) == []


def test_a_value_that_vanished_has_moved(store, val_records, committed):
    gone = [replace(record, values={**record.values, "T_mean": None}) for record in val_records]
    (finding,) = check(store("new", gone), committed, [], [])
    assert "T_mean was 25.0, is - (s00 25.0 to -" in finding.message


def test_a_metric_that_was_not_asked_for_is_missing_only_when_all_are(store, val_records, committed):
    fewer = [replace(record, values={"J_mean": 0.6, "J_decay": 0.1}) for record in val_records]
    new = store("new", fewer)
    assert check(new, committed, [], []) == []
    (finding,) = check(new, committed, [], [], whole=True)
    assert finding.kind == "missing"
    assert (
        "mpnet (tiny) on DAVIS 2016 (davis16, val) under davis16-unsupervised: no T_mean" in finding.message
    )


def test_a_sequence_that_others_have_and_this_method_lost_is_missing(store, make_record):
    both = [make_record("a", "x"), make_record("a", "y"), make_record("b", "x"), make_record("b", "y")]
    committed = store("committed", both)
    (finding,) = check(store("new", both[:3]), committed, [], [])
    assert finding.kind == "missing"
    assert "b on DAVIS 2016 (davis16, val) under davis16-unsupervised: no record of y" in finding.message


def test_methods_that_were_not_run_are_missing_only_when_all_are_asked_for(store, make_record):
    committed = store("committed", [make_record("a"), make_record("b")])
    new = store("new", [make_record("a")])
    assert check(new, committed, [], []) == []
    (finding,) = check(new, committed, [], [], whole=True)
    assert (finding.kind, finding.message.split(" ", 1)[0]) == ("missing", "b")


def test_a_check_that_compares_nothing_does_not_pass(store, make_record, committed):
    (finding,) = check(store("new", [make_record("other")]), committed, [], [])
    assert finding.kind == "moved"
    assert "no method and sequence in common" in finding.message


def test_a_difference_from_the_paper_needs_a_reason(store, val_records, make_reported):
    root, reported = store("records", val_records), [make_reported(0.7)]
    (finding,) = check(root, None, reported, [])
    assert finding.kind == "differs"
    assert "J_mean is 60.0, published 70.0 (Doe et al., table 3)" in finding.message
    assert check(root, None, reported, [DEVIATION]) == []


def test_tables_that_are_not_what_the_records_give_are_found(store, val_records, tmp_path):
    root, tables = store("records", val_records), tmp_path / "tables"
    assert [finding.kind for finding in check(root, None, [], [], tables=tables)] == ["outdated"] * 4
    build(root, [], [], tables)
    for name in ("leaderboard.md", "leaderboard.tex"):
        (tables / name).write_text("typed by hand")
    markdown, latex = (finding.message for finding in check(root, None, [], [], tables=tables))
    assert "leaderboard.md is not what its records give" in markdown
    assert "leaderboard.tex is not what its records give" in latex
