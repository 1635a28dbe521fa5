from dataclasses import replace

import pytest

from vosbench.errors import InputError
from vosbench.leaderboard import assemble
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.tables import protocol_notes
from vosbench.leaderboard.verdicts import Deviation
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import METRIC_VERSION


def test_editions_splits_and_protocols_never_share_a_board(make_record):
    records = [
        make_record(edition="mini"),
        make_record(),
        make_record(split="train"),
        make_record(protocol="davis17-unsupervised"),
    ]
    boards = make_boards(records)
    assert [(board.label, board.split, board.protocol.id) for board in boards] == [
        ("davis16", "train", "davis16-unsupervised"),
        ("davis16", "val", "davis16-unsupervised"),
        ("davis16", "val", "davis17-unsupervised"),
        ("davis16-mini", "val", "davis16-unsupervised"),
    ]


def test_boards_of_a_split_come_in_the_order_of_their_protocols(make_record):
    tasks = ("instances-semi-supervised", "matlab", "semi-supervised", "unsupervised")
    boards = make_boards([make_record(protocol=f"davis16-{task}") for task in tasks])
    assert [board.protocol.id for board in boards] == [
        "davis16-unsupervised",
        "davis16-semi-supervised",
        "davis16-instances-semi-supervised",
        "davis16-matlab",
    ]


def test_the_data_set_value_is_the_mean_over_sequences(make_record):
    (board,) = make_boards(
        [make_record(sequence="a", j=(0.2,)), make_record(sequence="b", j=(0.6, 0.6, 0.6))]
    )
    assert board.rows[0].values["J_mean"] == pytest.approx(0.4)


def test_t_counts_only_the_listed_sequences_and_the_note_says_so(make_record):
    records = [
        make_record(sequence="blackswan", values={"J_mean": 0.5, "T_mean": 0.2}),
        make_record(sequence="breakdance", values={"J_mean": 0.5, "T_mean": 0.9}),
    ]
    (board,) = make_boards(records)
    assert board.rows[0].values["T_mean"] == pytest.approx(0.2)
    assert "over 1 of 2 sequences" in board.notes[0]


def test_a_note_names_its_methods_when_they_differ(make_record):
    empty = make_record("other", "blackswan", values={"J_mean": 0.0, "T_mean": None})
    (board,) = make_boards([make_record(sequence="blackswan"), empty])
    assert [note.rpartition("(")[2] for note in board.notes] == ["tiny))", "other)"]
    assert "undefined (empty masks), left out: blackswan" in board.notes[1]


def test_methods_are_ranked_and_those_without_all_sequences_come_last(make_record):
    records = [
        make_record("weak", "a", (0.2,)),
        make_record("weak", "b", (0.2,)),
        make_record("strong", "a", (0.7,)),
        make_record("strong", "b", (0.7,)),
        make_record("partial", "a", (0.9,)),
    ]
    (board,) = make_boards(records)
    assert [row.model for row in board.rows] == ["strong", "weak", "partial"]


def test_the_best_value_is_that_of_a_complete_row(make_record):
    records = [
        make_record("all", "a", (0.7,)),
        make_record("all", "b", (0.7,)),
        make_record("one", "a", (0.9,)),
    ]
    (board,) = make_boards(records, split_sizes={("davis16", "val"): 2})
    assert [board.complete(row) for row in board.rows] == [True, False]
    assert board.ranked("J_mean")[0] == 0.7
    assert make_boards(records)[0].ranked("J_mean") == []


def test_a_method_without_a_value_on_a_sequence_that_counts_is_not_the_best_there(make_record):
    """T of empty masks is left out of a mean; a mean over fewer sequences must not win for that."""

    def make(model, sequence, t):
        return make_record(model, sequence, values={"J_mean": 0.5, "T_mean": t})

    records = [
        make(model, sequence, t)
        for model, ts in {"x": (0.1, None), "y": (0.2, 0.3), "z": (0.3, 0.3)}.items()
        for sequence, t in zip(("blackswan", "camel"), ts, strict=True)
    ]
    (board,) = make_boards(records, split_sizes={("davis16", "val"): 2})
    rows = {row.model: row for row in board.rows}
    assert rows["x"].values["T_mean"] == 0.1
    assert not board.competes(rows["x"], "T_mean")
    assert board.competes(rows["x"], "J_mean")
    assert board.ranked("T_mean")[0] == pytest.approx(0.25)


def test_a_sequence_that_does_not_count_for_t_needs_none(make_record):
    records = [
        make_record(model, name, values={"J_mean": 0.5, "T_mean": t})
        for model in ("x", "y")
        for name, t in {"blackswan": 0.1, "bmx-trees": None}.items()
    ]
    (board,) = make_boards(records, split_sizes={("davis16", "val"): 2})
    assert all(board.competes(row, "T_mean") for row in board.rows)


def test_the_split_decides_how_many_sequences_there_are(make_record):
    assert make_boards([make_record()])[0].expected == 20
    assert make_boards([make_record(edition="mini")])[0].expected == 1
    sizes = {("davis16-mini", "val"): 6}
    assert make_boards([make_record(edition="mini")], split_sizes=sizes)[0].expected == 6


def test_the_frame_rate_counts_flow_and_segmentation_but_not_scoring(make_record):
    records = [
        make_record(sequence="a", frames=10, seconds_per_frame={"flow": 0.1, "segment": 0.1, "score": 5.0}),
        make_record(sequence="b", frames=30, seconds_per_frame={"flow": 0.3, "segment": 0.1, "score": 5.0}),
    ]
    # 0.2 and 0.4 seconds per frame
    assert make_boards(records)[0].rows[0].frames_per_second == pytest.approx(1 / 0.3)


def test_one_sequence_on_a_busy_machine_does_not_move_the_frame_rate(make_record):
    seconds = {"a": 0.12, "b": 0.11, "soapbox": 12.2, "d": 0.12, "e": 0.13}
    records = [
        make_record(sequence=name, seconds_per_frame={"segment": each}) for name, each in seconds.items()
    ]
    assert make_boards(records)[0].rows[0].frames_per_second == pytest.approx(1 / 0.12)


def test_without_timing_there_is_no_frame_rate(make_record):
    assert make_boards([make_record(seconds_per_frame={})])[0].rows[0].frames_per_second is None


def test_published_numbers_stand_beside_official_editions_only(val_records, make_record, make_reported):
    mini = [make_record(edition="mini", sequence=f"s{i}") for i in range(20)]
    official, miniature = make_boards(val_records + mini, [make_reported(0.6)])
    assert [item.verdict.kind for item in official.rows[0].comparisons] == ["reproduced"]
    assert miniature.rows[0].comparisons == ()


def test_the_headline_is_the_published_number_of_the_same_split(val_records, make_reported):
    other = make_reported(0.5, split="trainval")
    (board,) = make_boards(val_records, [other, make_reported(0.6)])
    assert board.rows[0].headline("J_mean").published.value == 0.6
    assert board.rows[0].headline("F_mean") is None
    assert board.headline(board.rows[0]).published.value == 0.6


def test_a_label_stands_beside_the_published_numbers_of_its_method(val_records, make_record, make_reported):
    labelled = [
        make_record("mine", each.sequence, size="tiny", provenance={"config": {"model": "mpnet"}})
        for each in val_records
    ]
    (board,) = make_boards([*val_records, *labelled], [make_reported(0.6)])
    assert {row.model: row.method for row in board.rows} == {"mpnet": "mpnet", "mine": "mpnet"}
    assert all(row.headline("J_mean").published.value == 0.6 for row in board.rows)


def test_the_headline_is_of_the_first_column_with_a_published_number(val_records, make_reported):
    (board,) = make_boards(val_records, [make_reported(0.3, metric="T_mean")])
    assert board.metrics[0] == "J_mean"
    assert board.headline(board.rows[0]).metric == "T_mean"


def test_a_mean_over_objects_weighs_sequences_by_their_objects(make_record):
    changes = {"dataset": "davis17", "protocol": "davis17-semi-supervised"}
    records = [
        make_record(sequence="a", values={"J_mean": 0.2}, provenance={"objects": 3}, **changes),
        make_record(sequence="b", values={"J_mean": 0.6}, provenance={"objects": 1}, **changes),
    ]
    assert make_boards(records)[0].rows[0].values["J_mean"] == pytest.approx(0.3)


def test_two_records_of_one_cell_are_refused(make_record):
    with pytest.raises(InputError, match="two records of mpnet on davis16/bear"):
        make_boards([make_record(), make_record()])


@pytest.fixture
def raised(monkeypatch):
    """DAVIS 2016 under a second version of its protocol."""

    def load(name):
        return replace(load_protocol(name), version=2)

    monkeypatch.setattr(assemble, "load_protocol", load)
    return load("davis16-unsupervised")


def made_under(make_record, protocol, metric_version=METRIC_VERSION, **changes):
    config = {"protocol": protocol.definition(), "metric_version": metric_version}
    return make_record(provenance={"config": config}, **changes)


def test_a_record_of_an_earlier_version_of_its_protocol_is_no_number_beside_current_ones(make_record, raised):
    old = load_protocol("davis16-unsupervised")
    records = [
        made_under(make_record, old, sequence="a", j=(0.9,)),
        made_under(make_record, raised, sequence="b", j=(0.3,)),
        made_under(make_record, old, model="other", sequence="a", j=(0.9,)),
    ]
    (board,) = make_boards(records)
    mixed, outdated = board.rows
    assert mixed.values["J_mean"] == pytest.approx(0.3)
    assert "is of version 1 of davis16-unsupervised" in mixed.failures["a"]
    assert (outdated.records, outdated.values) == ({}, {})
    assert board.sequences == ("a", "b")


def test_a_record_of_other_metrics_is_no_number_beside_current_ones(make_record):
    rules = load_protocol("davis16-unsupervised")
    records = [
        made_under(make_record, rules, sequence="a", metric_version=METRIC_VERSION - 1),
        made_under(make_record, rules, sequence="b"),
    ]
    (board,) = make_boards(records)
    assert set(board.rows[0].records) == {"b"}
    assert f"and {METRIC_VERSION - 1} of the metrics" in board.rows[0].failures["a"]


def test_a_board_says_which_rows_were_trained_or_selected_on_its_sequences(val_records):
    selection = [{"name": "davis16", "edition": "official", "split": "val", "sequences": ["s03"]}]
    val_records[3].provenance["training"] = {"data": {"sequences": ["s03"]}, "selection": selection}
    reason = Deviation("davis16-unsupervised", "davis16", "mpnet", "tiny", "leak", "known and small")
    (board,) = make_boards(val_records, deviations=[reason])
    trained, selected = [note for note in board.notes if note.startswith("leak: ")]
    assert "scored on what it was trained on: s03;" in trained
    assert "scored on what it was selected on: s03;" in selected
    assert selected.endswith("; known and small")
    assert trained in protocol_notes(board)
