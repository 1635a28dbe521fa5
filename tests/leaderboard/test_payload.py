import json

import numpy as np
import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.payload import payload
from vosbench.leaderboard.html.pictures import Album, SequencePictures
from vosbench.video import Video


@pytest.fixture
def read():
    def make(records, videos=None, album=None, **more):
        text = payload(make_boards(records, **more), videos or {}, album or Album({}))
        return json.loads(text)["boards"][0]

    return make


def test_a_row_has_its_values_as_shown_and_unrounded(read, make_record):
    (row,) = read([make_record(j=(0.5, 0.75))])["rows"]
    assert row["name"] == "mpnet (tiny)"
    assert row["values"]["J_mean"] == [0.625, "62.5"]
    assert row["records"]["bear"]["values"]["T_mean"] == [0.25, "25.0"]
    assert row["records"]["bear"]["key"] == "k"
    assert row["path"] == "davis16/davis16-unsupervised/mpnet/"


def test_an_undefined_value_is_null(read, make_record):
    (row,) = read([make_record(values={"J_mean": 0.5, "T_mean": None})])["rows"]
    assert row["records"]["bear"]["values"]["T_mean"] is None
    assert row["values"]["T_mean"] is None


def test_values_of_frames_are_thousandths_at_the_frames_that_count(read, make_record):
    board = read([make_record(frames=5, per_frame={"J": [0.5, None, 0.1234], "T": [0.1, 0.2]})])
    assert board["sequences"]["bear"] == {"frames": 5, "at": [1, 2, 3]}
    assert board["rows"][0]["records"]["bear"]["frames"] == {"J": [500, None, 123]}


def test_the_video_says_which_frames_of_a_sparsely_labelled_one_count(read, make_record):
    record = make_record(
        dataset="fbms", split="test", protocol="fbms-binary", frames=9, per_frame={"J": [0.1, 0.2, 0.3]}
    )
    spread = read([record])["sequences"]["bear"]["at"]
    assert spread == [0, 4, 8]
    frame = np.zeros((2, 2, 3), np.uint8)
    truth = {i: np.zeros((2, 2), np.uint8) for i in (1, 2, 7)}
    video = Video("bear", [frame] * 9, tuple("abcdefghi"), truth)
    assert read([record], {"fbms": [video]})["sequences"]["bear"]["at"] == [1, 2, 7]


def test_what_all_records_of_a_row_share_is_said_once(read, make_record):
    records = [
        make_record(sequence=name, provenance={"command": "c", "data_hash": name}) for name in ("bear", "dog")
    ]
    (row,) = read(records)["rows"]
    assert row["provenance"] == {"command": "c"}
    assert row["records"]["dog"]["provenance"] == {"data_hash": "dog"}


def test_a_published_number_comes_with_its_verdict(read, val_records, make_reported):
    (row,) = read(val_records, reported=[make_reported(0.7, note="a doubt")])["rows"]
    (item,) = row["published"]
    assert (item["metric"], item["measured"], item["published"], item["difference"]) == (
        "J_mean", "60.0", "70.0", "-10.0",
    )  # fmt: skip
    assert item["verdict"] == "differs"
    assert item["remarks"] == ["a doubt"]


def test_pictures_are_found_by_label_and_sequence(make_record):
    pictures = SequencePictures(
        (4, 3), ("00000", "00001"), (1,), ("aW1n",), (0,), "cnVucw", {"mpnet": "bWFzaw"}
    )
    text = payload(make_boards([make_record()]), {}, Album({("davis16", "bear"): pictures}))
    assert json.loads(text)["pictures"]["davis16"]["bear"] == {
        "width": 4,
        "height": 3,
        "names": ["00000", "00001"],
        "indices": [1],
        "images": ["aW1n"],
        "truth": {"at": [0], "runs": "cnVucw"},
        "masks": {"mpnet": "bWFzaw"},
    }


@pytest.mark.parametrize("evil", ["</script>", "<!--", "\u2028", "<script>"])
def test_no_name_ends_the_script_element(make_record, evil):
    text = payload(make_boards([make_record(evil, evil)]), {}, Album({}))
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text)["boards"][0]["rows"][0]["model"] == evil
