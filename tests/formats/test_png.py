import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.png import (
    ColourError,
    davis_palette,
    decode_mask,
    read_ids,
    read_palette,
    rewrite_colours,
    write_ids,
)


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


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_ids_survive_writing_and_reading(tmp_path_factory, height, width, seed):
    path = tmp_path_factory.mktemp("png") / "ids.png"
    ids = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    write_ids(path, ids)
    assert np.array_equal(read_ids(path), ids)
    assert np.array_equal(read_palette(path), davis_palette())


def test_a_short_palette_is_padded_with_black(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.save(tmp_path / "a.png")
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
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_ids(tmp_path / "a.png")


# --- colours --------------------------------------------------------------------------------------


def truth():
    """Three objects of different size; the background is the largest."""
    ids = np.zeros((40, 60), np.uint8)
    ids[2:12, 3:20] = 1
    ids[15:35, 5:30] = 2
    ids[5:30, 40:50] = 3
    return ids


def coloured(ids):
    return Image.fromarray(davis_palette()[ids])


def indexed(ids, colours):
    image = Image.fromarray(ids)
    image.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return image


def read(path, image, by_object=True, save=None):
    file = path / "a.png"
    image.save(file, **(save or {}))
    return decode_mask(file.read_bytes(), file, by_object=by_object)


GREY_RAMP = [[level] * 3 for level in range(256)]
YOUTUBE_VOS = [[0, 0, 0], [236, 95, 103], [249, 145, 87], [250, 200, 99]]


@pytest.mark.parametrize(
    ("image", "save"),
    [
        (lambda ids: indexed(ids, davis_palette()), {}),
        (lambda ids: indexed(ids, davis_palette()), {"bits": 2}),
        (lambda ids: indexed(ids, davis_palette()[:4]), {}),
        (lambda ids: indexed(ids, davis_palette()), {"transparency": 0}),
        (lambda ids: indexed(ids, GREY_RAMP), {}),
        (lambda ids: Image.fromarray(ids).convert("P"), {}),
        (lambda ids: Image.fromarray(ids), {}),
        (lambda ids: indexed(ids, YOUTUBE_VOS), {}),
        (lambda ids: indexed(ids, [[9, 9, 9], *YOUTUBE_VOS[1:]]), {}),
        (lambda ids: indexed(ids, [[0] * 3] * 4), {}),
        (lambda ids: indexed(ids, [[0] * 3, [85] * 3, [170] * 3, [255] * 3]), {}),
        (lambda ids: indexed(ids, [[255] * 3, *YOUTUBE_VOS[1:]]), {"transparency": 0}),
    ],
)
@pytest.mark.parametrize("by_object", [True, False])
def test_usual_palettes_leave_the_indices_as_they_are(tmp_path, image, save, by_object):
    ids = truth()
    found = read(tmp_path, image(ids), save=save, by_object=by_object)
    assert np.array_equal(found.values, ids)
    assert found.remark is None


@pytest.mark.parametrize(
    "reorder",
    [
        lambda image: image.quantize(),
        lambda image: image.quantize(4, method=Image.Quantize.MAXCOVERAGE),
        lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE),
        lambda image: indexed(np.array([1, 2, 0, 3], np.uint8)[truth()], davis_palette()[[2, 0, 1, 3]]),
    ],
)
def test_a_palette_in_another_order_is_read_by_its_colours(tmp_path, reorder):
    image = reorder(coloured(truth()))
    assert not np.array_equal(np.asarray(image), truth())
    found = read(tmp_path, image)
    assert np.array_equal(found.values, truth())
    assert found.remark == "palette in another order: read the ids of its DAVIS colours"
    assert np.array_equal(read_ids(tmp_path / "a.png"), truth())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_black_and_white_in_another_order_are_levels(tmp_path, mode):
    image = Image.fromarray((truth() > 0) * np.uint8(255)).convert(mode).quantize(2)
    assert np.asarray(image)[0, 0] == 1
    found = read(tmp_path, image)
    assert np.array_equal(found.values, (truth() > 0) * 255)
    assert found.remark == "palette in another order: read the grey levels of its colours"


def test_soft_levels_behind_a_palette_are_the_levels(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    found = read(tmp_path, Image.fromarray(ramp).quantize(8))
    assert np.abs(found.values.astype(int) - ramp).max() <= 20
    # the same behind a palette that does begin with black
    colours = np.array([[0] * 3, [200] * 3, [90] * 3], np.uint8)
    found = read(tmp_path, indexed(np.array([[0, 1, 2]], np.uint8), colours))
    assert found.values.tolist() == [[0, 200, 90]]
    assert found.remark == "read the grey levels of the palette"


def test_white_of_the_web_palette_is_white(tmp_path):
    image = Image.fromarray((truth() > 0) * np.uint8(255)).convert("RGB").convert("P")
    assert np.asarray(image).max() == 225
    assert np.array_equal(read(tmp_path, image).values, (truth() > 0) * 255)


def test_colours_of_the_web_palette_are_no_ids(tmp_path):
    image = coloured(truth()).convert("P")
    with pytest.raises(ColourError, match=r"web palette, .* the ids are lost; write the ids as a grey PNG"):
        read(tmp_path, image)
    assert np.array_equal(read(tmp_path, image, by_object=False).values, truth() > 0)


@pytest.mark.parametrize(
    "image",
    [
        indexed(truth(), [[255] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]),
        indexed(truth(), [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98]]),
        coloured(np.full((4, 4), 1, np.uint8)).quantize(),
        Image.new("L", (4, 4), 255).quantize(),
    ],
)
@pytest.mark.parametrize("by_object", [True, False])
def test_without_black_nobody_knows_the_background(tmp_path, image, by_object):
    indices = np.asarray(image)
    with pytest.raises(ColourError, match=r"none is black.*if the indices are right: Image") as refusal:
        read(tmp_path, image, by_object=by_object)
    rewrite = str(refusal.value).rpartition("if the indices are right: ")[2]
    exec(rewrite, {"Image": Image, "numpy": np, "file": tmp_path / "a.png"})
    assert np.array_equal(read_ids(tmp_path / "a.png"), indices)


def test_other_colours_in_another_order(tmp_path):
    image = indexed(np.array([1, 0, 2, 3], np.uint8)[truth()], np.array(YOUTUBE_VOS)[[1, 0, 2, 3]])
    with pytest.raises(ColourError, match="black is not index 0"):
        read(tmp_path, image)
    assert np.array_equal(read(tmp_path, image, by_object=False).values, truth() > 0)


def test_colours_of_other_ids_behind_black_are_refused_where_ids_matter(tmp_path):
    image = coloured(truth()).quantize(method=Image.Quantize.FASTOCTREE)
    assert np.asarray(image)[0, 0] == 0
    assert not np.array_equal(np.asarray(image), truth())
    with pytest.raises(ColourError, match=r"index \d has the DAVIS colour of id \d") as refusal:
        read(tmp_path, image)
    assert np.array_equal(read(tmp_path, image, by_object=False).values > 0, truth() > 0)
    by_colour, _, by_index = refusal.value.advice.removeprefix("if the colours are right: ").rpartition("; ")
    assert by_index == "if the indices are: Image.fromarray(numpy.array(Image.open(file))).save(file)"
    exec(by_colour, {"file": tmp_path / "a.png"})
    assert np.array_equal(read_ids(tmp_path / "a.png"), truth())


def test_an_index_without_a_colour_has_lost_its_higher_bits(tmp_path):
    image = Image.fromarray((truth() > 0).astype(np.uint8))
    image.putpalette([0, 0, 0])
    found = read(tmp_path, image, save={"bits": 1})
    assert np.array_equal(found.values, truth() > 0)
    assert "Pillow keeps only the lowest bits" in found.remark


def test_a_damaged_palette_is_noticed(tmp_path):
    write_ids(tmp_path / "a.png", truth())
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[data.index(b"PLTE") + 4] = 255
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png: .*checksum of the palette"):
        read_ids(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("picture", "words", "expected"),
    [
        (coloured(truth()), "RGB; .* in the colours of DAVIS", truth()),
        (coloured(truth()).convert("RGBA"), "RGB with alpha; .* in the colours of DAVIS", truth()),
        (Image.fromarray(truth() * np.uint8(80)).convert("RGB"), "RGB; .* in grey", truth() * 80),
        (Image.fromarray(truth() * np.uint8(80)).convert("LA"), "grey with alpha; .* in grey", truth() * 80),
        (
            Image.merge("LA", [Image.new("L", (60, 40), 255), Image.fromarray(truth() * np.uint8(80))]),
            "grey with alpha; .* in grey",
            truth() * 80,
        ),
        (
            Image.merge("LA", [Image.new("L", (60, 40)), Image.fromarray(truth() * np.uint8(80))]),
            "in its transparency only",
            truth() * 80,
        ),
    ],
)
def test_the_way_out_of_a_picture_is_exact(tmp_path, picture, words, expected):
    picture.save(tmp_path / "a.png")
    with pytest.raises(ColourError, match=words) as refusal:
        read_ids(tmp_path / "a.png")
    exec(refusal.value.code, {"file": tmp_path / "a.png"})
    assert np.array_equal(read_ids(tmp_path / "a.png"), expected)


def test_colours_that_mean_nothing_have_no_way_out(tmp_path):
    Image.new("RGB", (3, 2), (200, 10, 30)).save(tmp_path / "a.png")
    with pytest.raises(ColourError, match=r"save it as an indexed .*not those of DAVIS") as refusal:
        read_ids(tmp_path / "a.png")
    assert refusal.value.code == ""
    with pytest.raises(InputError, match="write its ids as an indexed"):
        rewrite_colours(tmp_path / "a.png")


@given(st.permutations(range(4)))
def test_no_order_of_a_palette_gives_wrong_ids(tmp_path_factory, order):
    """Either the ids are right or the file is refused."""
    ids = truth()
    new = np.argsort(order).astype(np.uint8)
    path = tmp_path_factory.mktemp("png")
    image = indexed(new[ids], davis_palette()[list(order)])
    with suppress(ColourError):
        assert np.array_equal(read(path, image).values, ids)
    assert np.array_equal(read(path, image, by_object=False).values > 0, ids > 0)
