from dataclasses import replace

import numpy as np
import pytest

from vosbench.benchmark.record import record_path
from vosbench.data.video import Video
from vosbench.errors import InputError
from vosbench.report.leaderboard import build, check, write_report
from vosbench.report.verdicts import Deviation, Tolerance

DEVIATION = Deviation("davis16-unsupervised", "davis16", "mpnet", "tiny", "J_mean", "narrow network")


@pytest.fixture
def store(tmp_path):
    """Writes records below a named folder, as a comparison does."""

    def write(name, records):
        root = tmp_path / name
        for record in records:
            label = "davis16-mini" if record.edition == "mini" else "davis16"
            record.write(record_path(root, label, record.protocol, record.model, record.sequence))
        return root

    return write


def shifted(records, amount):
    return [replace(r, values={**r.values, "J_mean": r.values["J_mean"] + amount}) for r in records]


def test_build_writes_the_same_files_from_the_same_records(store, val_records, make_reported, tmp_path):
    root = store("records", val_records)
    first = build(root, [make_reported()], [], tmp_path / "a")
    second = build(root, [make_reported()], [], tmp_path / "b")
    assert [path.name for path in first] == ["leaderboard.md", "leaderboard.html"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert "mpnet (tiny)" in first[0].read_text(encoding="utf-8")


def test_records_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        build(tmp_path / "absent", [], [], tmp_path)


def test_a_comparison_gets_its_report_with_pictures(store, make_record, tmp_path):
    store("records", [make_record(edition="mini", frames=4)])
    frames = [np.zeros((8, 8, 3), np.uint8)] * 4
    video = Video("bear", frames, ("0", "1", "2", "3"), {1: np.ones((8, 8), np.uint8)})
    page = write_report(tmp_path, videos={"davis16-mini": [video, video]})[1].read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert ">1/2<" in page
    plain = write_report(tmp_path, videos={"davis16-mini": [video]}, pictures=False)[1]
    assert "<img" not in plain.read_text(encoding="utf-8")


def test_all_is_well(store, val_records, make_reported, tmp_path):
    root = store("records", val_records)
    reported = [make_reported(0.6)]
    build(root, reported, [], tmp_path / "tables")
    assert check(root, root, reported, [], tables=tmp_path / "tables") == []


def test_a_number_that_moved_is_found_in_either_direction(store, val_records):
    committed = store("committed", val_records)
    for amount, now in ((-0.01, "59.0"), (0.01, "61.0")):
        (finding,) = check(store("new", shifted(val_records, amount)), committed, [], [])
        assert finding.kind == "moved"
        assert f"J_mean was 60.0, is {now}" in finding.message
        assert "mpnet (tiny) on DAVIS 2016" in finding.message


def test_a_number_may_move_by_the_tolerance(store, val_records):
    committed, new = store("committed", val_records), store("new", shifted(val_records, 0.005))
    assert check(new, committed, [], []) == []
    assert len(check(new, committed, [], [], tolerance=Tolerance(moved=0.001))) == 1


def test_only_sequences_that_both_have_are_compared(store, val_records, make_record):
    committed = store("committed", val_records)
    new = store("new", [*val_records[:2], make_record(sequence="extra", j=(0.0,))])
    assert check(new, committed, [], []) == []


def test_a_value_that_vanished_has_moved(store, val_records):
    committed = store("committed", val_records)
    gone = [replace(record, values={**record.values, "T_mean": None}) for record in val_records]
    (finding,) = check(store("new", gone), committed, [], [])
    assert "T_mean was 25.0, is -" in finding.message


def test_a_check_that_compares_nothing_does_not_pass(store, val_records, make_record):
    committed = store("committed", val_records)
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
    assert [finding.kind for finding in check(root, None, [], [], tables=tables)] == ["outdated"] * 2
    build(root, [], [], tables)
    (tables / "leaderboard.md").write_text("typed by hand")
    (finding,) = check(root, None, [], [], tables=tables)
    assert "leaderboard.md is not what its records give" in finding.message
