from dataclasses import replace

import numpy as np
import pytest

from vosbench.benchmark.record import Record
from vosbench.benchmark.store import content_hash, current_record, environment, read_records, video_hash
from vosbench.data.video import Video
from vosbench.errors import InputError


def record(sequence="dog", key="k"):
    return Record(
        model="centre_box",
        size="",
        dataset="davis16",
        edition="official",
        split="val",
        sequence=sequence,
        protocol="davis16-unsupervised",
        frames=3,
        key=key,
        values={"J_mean": 0.5, "T_mean": float("nan")},
        per_frame={"J": [0.5]},
        seconds_per_frame={"segment": 0.1},
    )


def video(**changes):
    frames = [np.full((2, 3, 3), t, np.uint8) for t in range(2)]
    return replace(Video("dog", frames, ("00000", "00001"), {0: np.zeros((2, 3), np.uint8)}), **changes)


def test_a_record_is_found_again_only_under_its_key(tmp_path):
    path = tmp_path / "dog.json"
    assert current_record(path, "k") is None
    record().write(path)
    assert current_record(path, "other") is None
    found = current_record(path, "k")
    assert found.values == {"J_mean": 0.5, "T_mean": None}


def test_records_are_read_without_the_left_overs_of_a_killed_writer(tmp_path):
    for name in ("dog", "camel"):
        record(sequence=name).write(tmp_path / "davis16" / f"{name}.json")
    (tmp_path / "davis16" / ".dog.abc.json").write_text("{")
    assert [found.sequence for found in read_records(tmp_path)] == ["camel", "dog"]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "dog.json").write_text("{")
    with pytest.raises(InputError, match=r"dog\.json: not a vosbench record"):
        current_record(tmp_path / "dog.json", "k")


def test_the_order_of_keys_does_not_matter_to_a_hash_but_values_do():
    assert content_hash({"a": 1, "b": [2, 3]}) == content_hash({"b": [2, 3], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "cat"},
        {"frame_names": ("00000", "00002")},
        {"frames": [np.zeros((2, 3, 3), np.uint8)] * 2},
        {"frames": [np.full((3, 2, 3), t, np.uint8) for t in range(2)]},
        {"annotations": {0: np.ones((2, 3), np.uint8)}},
        {"annotations": {1: np.zeros((2, 3), np.uint8)}},
    ],
)
def test_any_change_of_a_video_changes_its_hash(change):
    assert video_hash(video()) == video_hash(video())
    assert video_hash(video(**change)) != video_hash(video())


def test_the_environment_names_versions_and_machine():
    found = environment()
    assert set(found["versions"]) >= {"vosbench", "python", "torch", "numpy", "pytorch-lightning"}
    assert found["machine"]["cores"] >= 1
