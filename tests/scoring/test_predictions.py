"""Masks on disk, and the note of what they were made from."""

import numpy as np
import pytest

from vosbench import temporary
from vosbench.scoring.predictions import PredictionNote, PredictionStore, ids_hash

NAMES = ("00000", "00001")


@pytest.fixture
def ids():
    return np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def made(tmp_path, ids):
    made = PredictionStore(tmp_path / "masks" / "dog", NAMES)
    made.save_ids(ids)
    made.save_note(PredictionNote("inputs", ids_hash(NAMES, ids), {"segment": 0.5}, {"device": "cpu"}))
    return made


def test_masks_on_disk_have_the_hash_of_the_ids(made, ids):
    assert made.content() == ids_hash(NAMES, ids)
    assert np.array_equal(np.stack(list(made.read_ids())), ids)


def test_what_was_made_from_the_same_inputs_is_known_again(made):
    note = made.note("inputs", made.content())
    assert note.seconds_per_frame == {"segment": 0.5}
    assert made.note("other inputs", made.content()) is None


@pytest.mark.parametrize("change", ["mask", "missing", "note", "folder"])
def test_what_was_changed_is_noticed(made, ids, change):
    if change == "mask":
        PredictionStore(made.path, NAMES).save_ids(ids[::-1])
    elif change == "missing":
        (made.path / "00001.png").unlink()
    elif change == "note":
        made.path.with_name(".dog.origin.json").write_text("{")
    else:
        made.path.rename(made.path.with_name("elsewhere"))
    assert made.note("inputs", made.content()) is None


def test_any_change_of_masks_changes_their_hash(ids):
    plain = ids_hash(NAMES, ids)
    assert ids_hash(("00000", "00002"), ids) != plain
    assert ids_hash(NAMES, ids.reshape(2, 4, 3)) != plain
    assert ids_hash(NAMES, ids + 1) != plain


def test_the_left_overs_of_a_killed_writer_are_cleared(made, ids, monkeypatch):
    monkeypatch.setattr(temporary, "_swept", set())  # another process begins
    left = made.path.with_name(".dog.abcdefgh.tmp")
    left.mkdir()
    (left / "00007.png").touch()
    made.save_ids(ids)
    assert not left.exists()
    assert sorted(path.name for path in made.path.iterdir()) == ["00000.png", "00001.png"]
