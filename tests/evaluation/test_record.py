"""A record survives the disk unchanged, and nothing else passes for one."""

import dataclasses
import json
import math

import pytest

from vosbench.errors import InputError
from vosbench.evaluation.record import Record, record_path


@pytest.fixture
def record():
    return Record(
        model="mpnet",
        size="tiny",
        dataset="davis16",
        edition="official",
        split="val",
        sequence="dog",
        protocol="davis16-unsupervised",
        frames=60,
        key="ab12",
        values={"J_mean": 0.5, "T_mean": 0.25},
        per_frame={"J": [0.25, 0.75]},
        seconds_per_frame={"segment": 0.01},
        provenance={"versions": {"torch": "2.11.0"}},
    )


def test_what_is_written_is_what_is_read(tmp_path, record):
    path = record_path(tmp_path, "davis16", record.protocol, record.model, record.sequence)
    record.write(path)
    assert path == tmp_path / "davis16" / "davis16-unsupervised" / "mpnet" / "dog.json"
    assert Record.read(path) == record


def test_undefined_values_are_written_as_null(tmp_path, record):
    path = tmp_path / "dog.json"
    dataclasses.replace(record, values={"T_mean": math.nan}, per_frame={"T": [math.nan, 1.0]}).write(path)
    assert "NaN" not in path.read_text()
    read = Record.read(path)
    assert read.values == {"T_mean": None}
    assert read.per_frame == {"T": [None, 1.0]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "mpnet"}', "\xff"])
def test_another_file_is_not_a_record(tmp_path, text):
    path = tmp_path / "dog.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"dog\.json: not a vosbench record"):
        Record.read(path)


def test_a_record_of_another_schema_is_refused(tmp_path, record):
    path = tmp_path / "dog.json"
    path.write_text(json.dumps(dataclasses.asdict(record) | {"schema": 99}))
    with pytest.raises(InputError, match="record schema 99"):
        Record.read(path)
