import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.file_checks import ids_size, labels_size, map_size, picture_size
from vosbench.formats.pfm import write_pfm
from vosbench.formats.pnm import write_pnm

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 255, (9, 13, 3), np.uint8)


def encoded(kind, picture=PICTURE, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


CONTENTS = {
    "baseline.jpg": (picture_size, encoded("JPEG")),
    "progressive.jpg": (picture_size, encoded("JPEG", progressive=True)),
    "frame.png": (picture_size, encoded("PNG")),
    "frame.bmp": (picture_size, encoded("BMP")),
    "ids.png": (ids_size, encoded("PNG", PICTURE[..., 0] % 3)),
    "labels.png": (labels_size, encoded("PNG", PICTURE[..., 0] % 3)),
}


@pytest.fixture(params=sorted(CONTENTS))
def case(request, tmp_path):
    size, content = CONTENTS[request.param]
    path = tmp_path / request.param
    path.write_bytes(content)
    return path, size, content


def test_the_size_of_a_whole_file(case):
    path, size, _ = case
    assert size(path) == (9, 13)


@pytest.mark.parametrize("suffix", [".pgm", ".ppm", ".pfm"])
def test_maps(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    if suffix == ".pfm":
        write_pfm(path, PICTURE.astype(np.float32))
    else:
        write_pnm(path, PICTURE if suffix == ".ppm" else PICTURE[..., 0])
    assert map_size(path) == (9, 13)
    content = path.read_bytes()
    for length in [*range(40), *range(40, len(content), 31), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=rf"map{suffix}: "):
            map_size(path)


def test_every_truncation_is_noticed(case):
    path, size, content = case
    # the checksum of the last chunk of a PNG and the padding of the last row of a BMP hold nothing
    spare = {".png": 4, ".bmp": 2}.get(path.suffix, 0)
    for length in range(len(content) - spare):
        path.write_bytes(content[:length])
        with pytest.raises(InputError) as caught:
            size(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_give_a_size_or_one_line(case, flips):
    path, size, content = case
    changed = bytearray(content)
    for position, bit in flips:
        changed[position % len(content)] ^= 1 << bit
    path.write_bytes(changed)
    problem = ""
    try:
        height, width = size(path)
        assert height > 0
        assert width > 0
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem
    assert not problem or problem.startswith(f"{path}: ")


def test_bytes_after_the_end_do_no_harm(tmp_path):
    path = tmp_path / "frame.jpg"
    path.write_bytes(encoded("JPEG") + bytes(100))
    assert picture_size(path) == (9, 13)


def test_missing_empty_and_unreadable(tmp_path):
    path = tmp_path / "frame.jpg"
    for check in (picture_size, ids_size, map_size, labels_size):
        with pytest.raises(InputError, match=r"frame\.jpg: missing"):
            check(path)
    path.touch()
    for check in (picture_size, ids_size, map_size, labels_size):
        with pytest.raises(InputError, match=r"frame\.jpg: empty file"):
            check(path)
    path.write_text("no picture at all")
    with pytest.raises(InputError, match=r"frame\.jpg: damaged or truncated \(no picture\)"):
        picture_size(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"frame\.jpg: cannot be read \(Is a directory\)"):
        picture_size(path)
