import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.frame_folder import open_folder
from vosbench.formats.image import write_frame


def write(folder, *names, size=(4, 6)):
    for index, name in enumerate(names):
        write_frame(folder / name, np.full((*size, 3), index, np.uint8))


def test_natural_order_of_mixed_images(tmp_path):
    write(tmp_path / "cat", "frame10.png", "frame2.PNG", "frame1.bmp")
    (tmp_path / "cat/notes.txt").write_text("passed over")
    (tmp_path / "cat/.frame3.png").write_text("hidden")
    video = open_folder(tmp_path / "cat")
    assert video.name == "cat"
    assert video.frame_names == ("frame1", "frame2", "frame10")
    assert [int(frame[0, 0, 0]) for frame in video.frames] == [2, 1, 0]


def test_name_of_the_working_folder(tmp_path, monkeypatch):
    from pathlib import Path

    write(tmp_path / "cat", "0.png")
    monkeypatch.chdir(tmp_path / "cat")
    assert open_folder(Path()).name == "cat"


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"no images in this folder$"):
        open_folder(tmp_path)


def test_folder_of_folders_hints_at_one(tmp_path):
    write(tmp_path / "cat", "0.png")
    with pytest.raises(InputError, match=r"it has folders, give one of them, e\.g\. .*cat$"):
        open_folder(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder of frames"):
        open_folder(tmp_path / "cat")


def test_two_images_of_one_stem(tmp_path):
    write(tmp_path, "0.png", "0.bmp")
    with pytest.raises(InputError, match=r"0\.png: has the same name as 0\.bmp"):
        open_folder(tmp_path)


def test_different_sizes_name_the_odd_one(tmp_path):
    write(tmp_path, "0.png", "1.png")
    write(tmp_path, "2.png", size=(4, 7))
    with pytest.raises(InputError, match=r"2\.png: 7x4 pixels, but 0\.png has 6x4"):
        open_folder(tmp_path)


def test_broken_image_is_named(tmp_path):
    write(tmp_path, "0.png")
    (tmp_path / "1.png").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"1\.png: not a readable image"):
        open_folder(tmp_path)


def test_a_name_with_a_raised_digit_is_no_number(tmp_path):
    write(tmp_path, "a\u00b2.png", "a1.png")
    assert open_folder(tmp_path).frame_names == ("a1", "a\u00b2")
