import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vosbench.data.formats.png import davis_palette, read_ids, read_palette, write_ids
from vosbench.errors import InputError


def test_palette_is_the_voc_one():
    palette = davis_palette()
    assert palette[:6].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
    ]
    assert palette[8].tolist() == [64, 0, 0]
    assert palette[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_ids_survive_writing_and_reading(tmp_path_factory, height, width, seed):
    path = tmp_path_factory.mktemp("png") / "ids.png"
    ids = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    write_ids(path, ids)
    assert np.array_equal(read_ids(path), ids)
    assert np.array_equal(read_palette(path), davis_palette())


def test_given_palette_is_kept_and_padded_with_black(tmp_path):
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    write_ids(tmp_path / "a.png", np.array([[0, 1, 7]], np.uint8), palette)
    assert read_ids(tmp_path / "a.png").tolist() == [[0, 1, 7]]
    assert read_palette(tmp_path / "a.png")[:3].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]


def test_writing_makes_folders_and_leaves_one_file(tmp_path):
    write_ids(tmp_path / "new" / "a.png", np.zeros((2, 2), np.uint8))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_ids_must_be_uint8(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        write_ids(tmp_path / "a.png", np.zeros((2, 2), np.int64))


def test_grey_levels_are_ids(tmp_path):
    Image.fromarray(np.array([[0, 255, 17]], np.uint8)).save(tmp_path / "a.png")
    assert read_ids(tmp_path / "a.png").tolist() == [[0, 255, 17]]
    assert read_palette(tmp_path / "a.png") is None


def test_one_bit_mask_is_zero_and_one(tmp_path):
    Image.fromarray(np.array([[False, True, True]])).save(tmp_path / "a.png")
    ids = read_ids(tmp_path / "a.png")
    assert ids.dtype == np.uint8
    assert ids.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bit_grey_gives_stored_levels(tmp_path, bits):
    # Pillow cannot write few-bit grey, so the file is made by hand.
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = bytes([0b00_01_10_11]) if bits == 2 else bytes([0x01, 0x23])
    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert read_ids(tmp_path / "a.png").tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bit_palette_gives_indices(tmp_path, bits):
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8))
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(tmp_path / "a.png", bits=bits)
    assert read_ids(tmp_path / "a.png").tolist() == [[0, 1, 1]]
    assert read_palette(tmp_path / "a.png")[:2].tolist() == [[9, 9, 9], [200, 0, 0]]


@pytest.mark.parametrize(("mode", "words"), [("RGB", "RGB"), ("RGBA", "alpha"), ("LA", "alpha")])
def test_colour_mask_is_refused(tmp_path, mode, words):
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"a\.png: mask is .*{words}.*indexed"):
        read_ids(tmp_path / "a.png")


def test_sixteen_bit_mask_is_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: mask has 16 bits"):
        read_ids(tmp_path / "a.png")


@pytest.mark.parametrize("kept", [10, 20, 60, 900, -40])
def test_truncated_png_names_the_file(tmp_path, kept):
    ids = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    write_ids(tmp_path / "a.png", ids)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.png: .*(truncated|damaged)"):
        read_ids(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xe0 a jpeg"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: not a PNG"):
        read_ids(tmp_path / "a.png")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: cannot be read"):
        read_ids(tmp_path / "a.png")
