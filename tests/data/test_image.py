import numpy as np
import pytest
from PIL import Image

from vosbench.data.formats.image import image_size, read_frame, write_frame
from vosbench.errors import InputError


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


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_frame(tmp_path / "a.png")


def test_unknown_suffix_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"'\.xyz'"):
        write_frame(tmp_path / "a.xyz", np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())
