import base64
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.png import write_ids
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.mask_runs import encode
from vosbench.leaderboard.html.pictures import album
from vosbench.video import Video

FRAMES = 9
BUDGET = 1_000_000


@pytest.fixture
def video():
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 24, 32, 3)).astype(np.uint8)
    truth = {i: np.eye(24, 32, dtype=np.uint8) for i in range(FRAMES)}
    return Video("bear", list(noise), tuple(f"{i:05d}" for i in range(FRAMES)), truth)


@pytest.fixture
def boards(make_record):
    return make_boards([make_record(model, frames=FRAMES, j=(0.5,) * 7) for model in ("one", "two")])


@pytest.fixture
def masks(tmp_path):
    """Masks of method "one": frame i is all i."""
    for i in range(FRAMES):
        write_ids(tmp_path / "davis16" / "one" / "bear" / f"{i:05d}.png", np.full((24, 32), i, np.uint8))
    return tmp_path


def test_every_frame_that_counts_is_pictured(boards, video, masks):
    found = album(boards, {"davis16": [video]}, masks, budget=BUDGET)
    pictures = found.of["davis16", "bear"]
    # the protocol leaves out the first and the last frame
    assert pictures.indices == (1, 2, 3, 4, 5, 6, 7)
    assert pictures.names == video.frame_names
    assert pictures.size == (32, 24)
    assert found.note == ""
    image = Image.open(io.BytesIO(base64.b64decode(pictures.images[0])))
    assert (image.format, image.size) == ("WEBP", (32, 24))


def test_masks_and_ground_truth_travel_as_runs(boards, video, masks):
    pictures = album(boards, {"davis16": [video]}, masks, budget=BUDGET).of["davis16", "bear"]
    wanted = b"".join(encode(np.full((24, 32), i, np.uint8)) for i in range(1, 8))
    assert zlib.decompress(base64.b64decode(pictures.masks["one"])) == wanted
    assert pictures.truth == (0, 1, 2, 3, 4, 5, 6)
    assert zlib.decompress(base64.b64decode(pictures.truth_runs)) == 7 * encode(
        np.eye(24, 32, dtype=np.uint8)
    )


def test_a_method_without_all_masks_of_a_sequence_is_not_drawn_on_it(boards, video, masks):
    (masks / "davis16" / "one" / "bear" / "00003.png").unlink()
    assert album(boards, {"davis16": [video]}, masks, budget=BUDGET).of["davis16", "bear"].masks == {}


def test_frames_without_ground_truth_are_told_apart(make_record, video, masks):
    record = make_record("one", protocol="davis16-unsupervised", frames=FRAMES)
    sparse = Video(video.name, video.frames, video.frame_names, {3: np.ones((24, 32), np.uint8)})
    pictures = album(make_boards([record]), {"davis16": [sparse]}, masks, budget=BUDGET).of["davis16", "bear"]
    assert [pictures.indices[place] for place in pictures.truth] == [3]


def test_pictures_are_thinned_until_they_fit_and_the_page_says_so(boards, video, masks):
    whole = album(boards, {"davis16": [video]}, masks, budget=BUDGET).of["davis16", "bear"].size_on_page
    found = album(boards, {"davis16": [video]}, masks, budget=whole - 1)
    pictures = found.of["davis16", "bear"]
    assert pictures.indices == (1, 3, 5, 7)
    assert pictures.size_on_page < whole
    assert found.note == "To keep this file small, pictures show one in 2 frames."


def test_the_number_of_frames_that_are_encoded_is_limited(boards, video, masks, monkeypatch):
    monkeypatch.setattr("vosbench.leaderboard.html.pictures.MOST_FRAMES", 3)
    found = album(boards, {"davis16": [video]}, masks, budget=BUDGET)
    assert found.of["davis16", "bear"].indices == (1, 4, 7)
    assert "one in 3" in found.note


def test_where_nothing_fits_there_are_no_pictures_and_the_page_says_so(boards, video, masks):
    found = album(boards, {"davis16": [video]}, masks, budget=10)
    assert found.of == {}
    assert "left out" in found.note


def test_a_video_that_no_board_shows_is_not_pictured(boards, video, masks):
    other = Video("dog", video.frames, video.frame_names)
    assert list(album(boards, {"davis16": [other, video], "fbms": [video]}, masks, budget=BUDGET).of) == [
        ("davis16", "bear")
    ]


def test_a_mask_of_another_size_is_named(boards, video, masks):
    write_ids(masks / "davis16" / "one" / "bear" / "00002.png", np.ones((6, 8), np.uint8))
    with pytest.raises(InputError, match=r"00002\.png: not the size of the frames of bear"):
        album(boards, {"davis16": [video]}, masks, budget=BUDGET)


def test_a_video_of_which_no_frame_counts_is_not_pictured(make_record, video, masks):
    records = [make_record("one", dataset="fbms", split="test", protocol="fbms-binary", frames=FRAMES)]
    unlabelled = Video(video.name, video.frames, video.frame_names)
    assert album(make_boards(records), {"fbms": [unlabelled]}, masks, budget=BUDGET).of == {}


def test_numbers_that_others_reported_get_no_masks_of_ours(make_record, video, masks):
    ours = make_record("two", frames=FRAMES, j=(0.5,) * 7)
    told = {"reported": {"title": "One", "source": "a paper", "licence": "", "note": "", "file": ""}}
    theirs = make_record("one", size="", frames=FRAMES, j=(0.9,) * 7, provenance=told)
    boards = make_boards([ours], published=[theirs])
    assert [row.kind for row in boards[0].rows] == ["reported", "measured"]
    assert album(boards, {"davis16": [video]}, masks, budget=BUDGET).of["davis16", "bear"].masks == {}
