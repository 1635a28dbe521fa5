import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.camera import read_cameras, write_cameras


def test_what_is_written_is_read_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    cameras = {frame: (rng.normal(size=(4, 4)), rng.normal(size=(4, 4))) for frame in (6, 7, 15)}
    write_cameras(tmp_path / "camera_data.txt", cameras)
    read = read_cameras(tmp_path / "camera_data.txt")
    assert list(read) == [6, 7, 15]
    for frame, poses in cameras.items():
        np.testing.assert_array_equal(read[frame], poses)


def test_the_official_text_is_read_row_by_row(tmp_path):
    numbers = " ".join(str(n) for n in range(16))
    (tmp_path / "c.txt").write_text(f"Frame 6\nL {numbers}\nR {numbers.replace('3', '4')}\n\n")
    left, right = read_cameras(tmp_path / "c.txt")[6]
    assert left[0, 3] == 3
    assert left[3, 0] == 12
    assert right[0, 3] == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "blocks of three lines"),
        ("Frame 6\nL 1\n", "blocks of three lines"),
        ("Shot 6\nL 1\nR 1\n", "line 1: expected 'Frame'"),
        ("Frame 6\nL 1 2\nR 1\n", "line 2: expected 'L' and 16"),
        (f"Frame 6\nL{' 1' * 16}\nL{' 1' * 16}\n", "line 3: expected 'R' and 16"),
        (f"Frame 6\nL{' x' * 16}\nR{' 1' * 16}\n", "line 2: one of the 16"),
        (f"Frame 6\nL{' 1' * 16}\nR{' inf' * 16}\n", "line 3: one of the 16 values is not finite"),
        (f"Frame {'6' * 5000}\nL{' 1' * 16}\nR{' 1' * 16}\n", "line 1: expected 'Frame'"),
        (f"Frame 6\nL{' 1' * 16}\nR{' 1' * 16}\n" * 2, "line 4: a second block of frame 6"),
        (f"Frame \u00b2\nL{' 1' * 16}\nR{' 1' * 16}\n", "no plain text"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, text, reason):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(InputError, match=rf"c\.txt.*{reason}"):
        read_cameras(tmp_path / "c.txt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"c\.txt: no such file"):
        read_cameras(tmp_path / "c.txt")
