import json
from dataclasses import replace

import pytest

from vosbench.errors import InputError
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.baseline import baseline_text, identity, read_baseline


def test_a_baseline_keeps_values_and_what_they_follow_from(make_record, tmp_path):
    record = make_record(provenance={"objects": 3, "data_hash": "d" * 64, "weights": {"sha256": "a" * 64}})
    path = tmp_path / "baseline.json"
    path.write_text(baseline_text([record]))
    (read,) = read_baseline(path)
    for name in ("model", "size", "dataset", "edition", "split", "protocol", "sequence", "frames", "values"):
        assert getattr(read, name) == getattr(record, name), name
    assert read.provenance["objects"] == 3
    assert identity(read) == identity(record) == {"data": "d" * 12, "weights": "a" * 12}


def test_a_folder_of_records_is_a_baseline_whatever_the_version_of_its_rules(make_record, tmp_path):
    rules = {"protocol": {"version": 0}, "metric_version": 0}
    make_record(provenance={"config": rules}).write(tmp_path / "bear.json")
    (read,) = read_baseline(tmp_path)
    assert "config" not in read.provenance
    assert identity(read)["metric version"] == "0"
    (board,) = make_boards([read])
    assert set(board.rows[0].records) == {"bear"}


def test_time_speed_and_order_do_not_show(make_record):
    records = [make_record(sequence=name) for name in ("a", "b")]
    later = [
        replace(each, seconds_per_frame={"segment": 9.0}, provenance={**each.provenance, "time": "later"})
        for each in reversed(records)
    ]
    assert baseline_text(records) == baseline_text(later)


def test_it_is_json_with_a_line_per_sequence(make_record):
    text = baseline_text([make_record(sequence="a"), make_record(sequence="b"), make_record("other")])
    assert len(json.loads(text)["rows"]) == 2
    assert sum('"values"' in line for line in text.splitlines()) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 1, "rows": [{}]}'])
def test_another_file_is_one_line(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x.json: not a baseline"):
        read_baseline(path)


def test_another_schema_and_no_file_say_so(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"schema": 2, "rows": []}')
    with pytest.raises(InputError, match="baseline schema 2, this version reads 1"):
        read_baseline(path)
    with pytest.raises(InputError, match="no such folder"):
        read_baseline(tmp_path / "absent")
