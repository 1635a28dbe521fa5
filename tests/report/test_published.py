import importlib.util
from pathlib import Path

import pytest

from vosbench.errors import InputError
from vosbench.report.board import make_boards
from vosbench.report.facts import provenance
from vosbench.report.published import load_published

FOLDER = Path(__file__).parents[2] / "leaderboards" / "third_party"


@pytest.fixture(scope="module")
def boards():
    """All published rows, on boards of their own."""
    return {board.protocol.id: board for board in make_boards(load_published())}


def test_twenty_one_methods_on_twenty_sequences_each_under_the_rules_of_its_task():
    records = load_published()
    assert len(records) == 21 * 20
    of = {
        task: {record.model for record in records if record.protocol == f"davis16-{task}"}
        for task in ("unsupervised", "semi-supervised")
    }
    assert {name: len(methods) for name, methods in of.items()} == {
        "unsupervised": 11,
        "semi-supervised": 10,
    }
    assert {"osvos", "msk", "bvs"} <= of["semi-supervised"]
    assert {"fst", "nlc", "cut"} <= of["unsupervised"]


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


@pytest.mark.real_data
def test_the_file_is_what_its_script_writes(real_data):
    source = real_data("davis16_published_eval") / "davis16_published_eval"
    spec = importlib.util.spec_from_file_location("published_davis16", FOLDER / "davis16.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.text(script.content(source)) == (FOLDER / "davis16.json").read_text(encoding="utf-8")
