from dataclasses import replace

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record
from vosbench.evaluation.store import (
    content_hash,
    current_record,
    environment,
    hash_videos,
    read_failures,
    read_records,
)
from vosbench.video import Video


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
        provenance={"content": {"masks": "m"}},
    )


def video(**changes):
    frames = [np.full((2, 3, 3), t, np.uint8) for t in range(2)]
    return replace(Video("dog", frames, ("00000", "00001"), {0: np.zeros((2, 3), np.uint8)}), **changes)


def test_a_record_is_found_again_only_under_its_key_and_with_its_masks(tmp_path):
    path = tmp_path / "dog.json"
    assert current_record(path, "k", "m") is None
    record().write(path)
    assert current_record(path, "other", "m") is None
    assert current_record(path, "k", "other masks") is None
    assert current_record(path, "k", None) is None
    found = current_record(path, "k", "m")
    assert found.values == {"J_mean": 0.5, "T_mean": None}


def test_a_record_of_an_earlier_version_does_not_say_what_it_scored(tmp_path):
    path = tmp_path / "dog.json"
    replace(record(), provenance={}).write(path)
    assert current_record(path, "k", "m") is None


def test_records_are_read_without_the_left_overs_of_a_killed_writer(tmp_path):
    for name in ("dog", "camel"):
        record(sequence=name).write(tmp_path / "davis16" / f"{name}.json")
    (tmp_path / "davis16" / ".dog.abc.json").write_text("{")
    assert [found.sequence for found in read_records(tmp_path)] == ["camel", "dog"]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "dog.json").write_text("{")
    with pytest.raises(InputError, match=r"dog\.json: not a vosbench record"):
        current_record(tmp_path / "dog.json", "k", "m")


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
    [plain], [again], [changed] = (hash_videos([each]) for each in (video(), video(), video(**change)))
    assert plain == again
    assert plain.everything != changed.everything
    assert (plain.frames != changed.frames) == ("annotations" not in change)
    assert (plain.truth != changed.truth) == ("annotations" in change)


def test_a_video_under_other_annotations_has_the_frames_in_common():
    other = video(annotations={0: np.ones((2, 3), np.uint8)})
    assert hash_videos([video(), other]) == [*hash_videos([video()]), *hash_videos([other])]
    with pytest.raises(ValueError, match="different frames"):
        hash_videos([video(), video(frame_names=("00000", "00002"))])


def test_failures_are_read_from_beside_the_records(tmp_path):
    failure = Failure("mpnet", "tiny", "davis16", "official", "val", "dog", "p", "no room", "vosbench", "now")
    assert read_failures(tmp_path) == []
    failure.write(tmp_path / "failures/davis16/p/mpnet/dog.json")
    assert read_failures(tmp_path) == [failure]
    (tmp_path / "failures/cat.json").write_text("{}")
    with pytest.raises(InputError, match=r"cat\.json: not a file of a failure"):
        read_failures(tmp_path)


def test_the_environment_names_versions_and_machine():
    found = environment()
    assert set(found["versions"]) >= {"vosbench", "python", "torch", "numpy", "pytorch-lightning"}
    assert found["machine"]["cores"] >= 1
