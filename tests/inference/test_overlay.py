import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.image import read_frame
from vosbench.formats.png import write_ids
from vosbench.formats.video_file import VideoFile, open_video, write_video
from vosbench.inference.overlay import is_video, overlay, write_overlay
from vosbench.video import Video


def test_inside_is_mixed_contour_is_full_outside_is_untouched():
    frame = np.full((5, 5, 3), 100, np.uint8)
    ids = np.zeros((5, 5), np.uint8)
    ids[1:4, 1:4] = 1  # (128, 0, 0)
    drawn = overlay(frame, ids, alpha=0.5)
    assert drawn[2, 2].tolist() == [114, 50, 50]
    assert drawn[1, 1].tolist() == [128, 0, 0]
    assert drawn[3, 2].tolist() == [128, 0, 0]
    assert np.array_equal(drawn[ids == 0], frame[ids == 0])
    assert frame.min() == 100


def test_touching_objects_have_contours_between_them():
    frame = np.zeros((3, 6, 3), np.uint8)
    ids = np.array([[1, 1, 1, 2, 2, 2]] * 3, np.uint8)
    drawn = overlay(frame, ids, alpha=0.0)
    assert drawn[1].tolist() == [[0, 0, 0], [0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 0], [0, 0, 0]]


def test_nothing_to_draw():
    frame = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    assert np.array_equal(overlay(frame, np.zeros((4, 4), np.uint8)), frame)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.fixture
def masked(tmp_path):
    frames = [np.full((32, 48, 3), 100, np.uint8)] * 3
    for index in range(3):
        ids = np.zeros((32, 48), np.uint8)
        ids[:, : 16 * (index + 1)] = 1
        write_ids(tmp_path / f"masks/{index}.png", ids)
    return Video("cat", frames, ("0", "1", "2")), tmp_path / "masks"


def test_folder_gets_a_picture_per_frame(tmp_path, masked):
    write_overlay(tmp_path / "seen", *masked)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    picture = read_frame(tmp_path / "seen/1.jpg").astype(int)
    assert np.abs(picture[10, 10] - (114, 50, 50)).max() < 8
    assert np.abs(picture[10, 45] - 100).max() < 8


def test_video_shows_every_frame_at_the_rate_of_the_source(tmp_path, masked):
    video, masks = masked
    write_overlay(tmp_path / "seen.mp4", video, masks)
    seen = VideoFile(tmp_path / "seen.mp4")
    assert (len(seen), seen.fps) == (3, 24)
    write_video(tmp_path / "source.mp4", video.frames, fps=10)
    source = open_video(tmp_path / "source.mp4")
    for index in range(3):
        (masks / f"{index}.png").rename(masks / f"0000{index}.png")
    write_overlay(tmp_path / "again.mp4", source, masks)
    assert VideoFile(tmp_path / "again.mp4").fps == 10


def test_suffix_decides_between_file_and_folder(tmp_path):
    assert is_video(tmp_path / "a.MP4")
    assert not is_video(tmp_path / "a")
    with pytest.raises(InputError, match=r"a\.gif: overlays are written to a folder or a \.mp4"):
        is_video(tmp_path / "a.gif")
