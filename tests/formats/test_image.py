import struct
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.image import image_size, read_frame, write_frame


def test_png_and_ppm_keep_every_pixel(tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for name in ("a.png", "a.ppm", "a.bmp"):
        write_frame(tmp_path / name, frame)
        assert np.array_equal(read_frame(tmp_path / name), frame)
        assert image_size(tmp_path / name) == (5, 7)


def test_jpeg_keeps_red_in_the_first_channel(tmp_path):
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[..., 0] = 200
    write_frame(tmp_path / "a.jpg", frame)
    assert np.abs(read_frame(tmp_path / "a.jpg").astype(int) - frame).max() <= 3


def test_grey_and_palette_become_rgb(tmp_path):
    Image.fromarray(np.array([[7, 9]], np.uint8)).save(tmp_path / "grey.png")
    assert read_frame(tmp_path / "grey.png").tolist() == [[[7, 7, 7], [9, 9, 9]]]
    image = Image.fromarray(np.array([[1, 0]], np.uint8))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.save(tmp_path / "palette.png")
    assert read_frame(tmp_path / "palette.png").tolist() == [[[4, 5, 6], [1, 2, 3]]]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.ppm"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5])
def test_truncated_image_is_one_line_naming_the_file(tmp_path, capfd, name, part):
    frame = np.random.default_rng(0).integers(0, 256, (60, 70, 3)).astype(np.uint8)
    write_frame(tmp_path / name, frame)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match=rf"^[^\n]*{name}: not a readable image[^\n]*$"):
        read_frame(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: more than 8 bits"):
        read_frame(tmp_path / "a.png")


def test_sixteen_bit_colours_are_not_cut_to_eight(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), 40_000, np.uint16))
    with pytest.raises(InputError, match=r"a\.png: more than 8 bits"):
        read_frame(tmp_path / "a.png")


def test_other_formats_are_not_opened_whatever_the_suffix_says(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        read_frame(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_frame, image_size])
def test_a_picture_larger_than_any_video_is_refused_by_its_header(tmp_path, read):
    (tmp_path / "a.ppm").write_bytes(b"P6\n9000 9000\n255\n" + bytes(10_000))
    with pytest.raises(InputError, match=r"a\.ppm: 9000x9000 pixels; is the file damaged"):
        read(tmp_path / "a.ppm")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
def test_a_black_frame_of_full_size_is_read(tmp_path, name):
    options = {"compression": "tiff_lzw"} if name == "a.tif" else {}
    Image.new("RGB", (1920, 1080)).save(tmp_path / name, **options)
    assert read_frame(tmp_path / name).shape == (1080, 1920, 3)
    Image.new("1", (1920, 1080)).save(tmp_path / "one_bit.png", optimize=True)
    assert read_frame(tmp_path / "one_bit.png").shape == (1080, 1920, 3)


def test_a_tiff_without_its_last_strips_is_refused(tmp_path):
    Image.new("RGB", (5, 6)).save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    # tag 257, the height, becomes 60; the only strip has 6 rows
    changed = content.replace(struct.pack("<HHIHH", 257, 3, 1, 6, 0), struct.pack("<HHIHH", 257, 3, 1, 60, 0))
    changed = changed.replace(struct.pack("<HHII", 257, 4, 1, 6), struct.pack("<HHII", 257, 4, 1, 60))
    assert changed != content
    (tmp_path / "a.tif").write_bytes(changed)
    with pytest.raises(InputError, match=r"a\.tif: not a readable image"):
        read_frame(tmp_path / "a.tif")


def test_a_chunk_that_claims_gigabytes_takes_none(tmp_path):
    write_frame(tmp_path / "a.png", np.zeros((9, 13, 3), np.uint8))
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(content[:at] + struct.pack(">I", 2**31 - 1) + content[at + 4 :])
    tracemalloc.start()
    try:
        assert not read_frame(tmp_path / "a.png").any()
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_frame(tmp_path / "a.png")


def test_unknown_suffix_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"'\.xyz'"):
        write_frame(tmp_path / "a.xyz", np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())
