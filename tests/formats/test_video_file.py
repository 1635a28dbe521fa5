import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.video_file import WRITABLE, VideoFile, open_video, write_video


def coloured(index, height=48, width=64):
    """A frame with red on top and its index below, a bit per white or black block: codecs keep those."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2] = (200, 0, 0)
    for bit in range(6):
        frame[height // 2 :, 10 * bit : 10 * bit + 10] = 255 * (index >> bit & 1)
    return frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, (coloured(index) for index in range(40)), fps=12)
    return path


def index_of(frame):
    return sum(int(frame[-10:, 10 * bit + 5].mean() > 127) << bit for bit in range(6))


def test_frames_come_back_in_order_with_their_colours(clip):
    video = open_video(clip)
    assert video.name == "clip"
    assert len(video) == 40
    assert video.frame_names[39] == "00039"
    assert [index_of(frame) for frame in video.frames] == list(range(40))
    frame = video.frames[3]
    assert (frame.shape, frame.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(frame[5, 5].astype(int) - (200, 0, 0)).max() < 25
    assert video.frames.fps == 12


def test_any_order_of_access(clip):
    frames = VideoFile(clip)
    assert [index_of(frames[index]) for index in (5, 4, 30, 31, 2, -1, 0)] == [5, 4, 30, 31, 2, 39, 0]
    assert [index_of(frame) for frame in frames[10:14]] == [10, 11, 12, 13]
    with pytest.raises(IndexError):
        frames[40]


def test_looking_back_a_little_does_not_decode_again(clip, monkeypatch):
    from vosbench.formats import video_file

    passes = []
    decode = video_file._decode
    monkeypatch.setattr(video_file, "_decode", lambda path, skip: passes.append(skip) or decode(path, skip))
    frames = VideoFile(clip)
    for index in range(1, 40):
        _ = frames[index - 1], frames[index], frames[max(index - 5, 0)]
    assert passes == [0]


def test_memory_does_not_grow_with_the_video(tmp_path):
    path = tmp_path / "long.avi"
    write_video(path, (coloured(index % 50, 120, 160) for index in range(200)), fps=25)
    frames = VideoFile(path)
    tracemalloc.start()
    for _ in frames:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 15 * 120 * 160 * 3


@pytest.mark.parametrize("suffix", sorted(WRITABLE))
def test_every_writable_container_is_readable(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    write_video(path, (coloured(index) for index in range(3)), fps=24)
    assert [index_of(frame) for frame in VideoFile(path)] == [0, 1, 2]
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_lose_at_most_a_row_and_a_column(tmp_path):
    write_video(tmp_path / "a.mp4", (coloured(index, 49, 65) for index in range(3)), fps=24)
    height, width, _ = VideoFile(tmp_path / "a.mp4")[0].shape
    assert (height, width) in {(48, 64), (49, 65)}


def test_container_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"cannot write video as '\.xyz'; use \.mp4"):
        write_video(tmp_path / "a.xyz", [coloured(0)], fps=24)


def test_no_frames_is_no_video(tmp_path):
    with pytest.raises(InputError, match="could not be encoded"):
        write_video(tmp_path / "a.mp4", [], fps=24)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["empty", "text", "half", "header"])
def test_undecodable_file_is_one_line_and_no_noise(tmp_path, clip, damage):
    content = clip.read_bytes()
    broken = {
        "empty": b"",
        "text": b"not a video\n" * 50,
        "half": content[: len(content) // 2],
        "header": content[:40],
    }
    path = tmp_path / "broken.mp4"
    path.write_bytes(broken[damage])
    # In a process of its own: FFmpeg's log level is read once per process.
    code = f"""
from pathlib import Path
from vosbench.formats.video_file import open_video
from vosbench.errors import InputError
try:
    open_video(Path({str(path)!r}))
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == f"{path}: not a video that can be decoded; convert it to mp4 or to a folder of images\n"
    )
    assert done.stderr == ""


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: no such video file"):
        open_video(tmp_path / "a.mp4")
