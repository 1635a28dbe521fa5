"""The quick way through a mask file gives what Pillow gives, and never a wrong array."""

import io
import struct
import zlib

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vosbench.formats.png_pixels import decode_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def write(kinds, differences, pieces=1):
    """A PNG of rows with the filter types and differences given, whatever they decode to."""
    height, width = differences.shape
    stream = zlib.compress(
        b"".join(bytes([k]) + row.tobytes() for k, row in zip(kinds, differences, strict=True))
    )
    step = -(-len(stream) // pieces)
    parts = [chunk(b"IDAT", stream[at : at + step]) for at in range(0, len(stream), step)]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return SIGNATURE + header + chunk(b"tEXt", b"Title\0mask") + b"".join(parts) + chunk(b"IEND", b"")


def pillow(data):
    return np.array(Image.open(io.BytesIO(data)))


@st.composite
def files(draw):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
    values = st.sampled_from([0, 0, 0, 1, 255, 7, 128])
    differences = draw(hnp.arrays(np.uint8, shape, elements=values))
    kinds = draw(st.lists(st.integers(0, 4), min_size=shape[0], max_size=shape[0]))
    return write(kinds, differences, draw(st.integers(1, 3))), shape


@settings(max_examples=200)
@given(files())
def test_every_filter_is_undone_as_pillow_does(file):
    data, shape = file
    assert np.array_equal(decode_pixels(data, *shape), pillow(data))


@settings(max_examples=60)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 2))
)
def test_masks_written_by_pillow_come_back(ids):
    for mode in ("L", "P"):
        buffer = io.BytesIO()
        image = Image.fromarray(ids)
        if mode == "P":
            image.putpalette(list(range(256)) * 3)
        image.save(buffer, "PNG")
        pixels = decode_pixels(buffer.getvalue(), *ids.shape)
        assert np.array_equal(pixels, ids)
        assert pixels.flags.writeable


@settings(max_examples=60)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 15)),
    st.sampled_from([1, 2, 4]),
)
def test_several_pixels_in_a_byte(ids, bits):
    ids %= 2**bits
    image = Image.fromarray(ids)
    image.putpalette(list(range(3 * 2**bits)))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=bits)
    assert buffer.getvalue()[24] == bits
    assert np.array_equal(decode_pixels(buffer.getvalue(), *ids.shape, bits), ids)


def test_by_hand():
    differences = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 5], [9, 9, 9], [1, 0, 0]], np.uint8)
    # none, sub, up, average, Paeth
    expected = [[1, 0, 0], [1, 2, 2], [1, 2, 7], [9, 14, 19], [10, 14, 19]]
    assert decode_pixels(write([0, 1, 2, 3, 4], differences), 5, 3).tolist() == expected


IDS = np.zeros((30, 40), np.uint8)
IDS[5:20, 7:30] = 1


@pytest.fixture
def data():
    buffer = io.BytesIO()
    Image.fromarray(IDS).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_truncated_file_is_refused_wherever_it_ends(data):
    for end in range(33, len(data) - 16):
        with pytest.raises(ValueError, match=r"."):
            decode_pixels(data[:end], *IDS.shape)


def test_a_flipped_bit_is_found_or_harmless(data):
    for at in range(33 * 8, len(data) * 8):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << (at % 8)
        try:
            pixels = decode_pixels(bytes(damaged), *IDS.shape)
        except ValueError:
            continue
        assert np.array_equal(pixels, IDS)


def test_more_or_fewer_pixels_than_the_header_says(data):
    for shape in ((30, 41), (29, 40), (31, 40)):
        with pytest.raises(ValueError, match="bytes of pixels instead of"):
            decode_pixels(data, *shape)


def test_a_stream_that_never_ends_is_not_followed():
    bomb = zlib.compress(bytes(50_000_000))
    data = SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="42 bytes of pixels instead of 41"):
        decode_pixels(data, 1, 40)


def test_an_unknown_filter_is_refused():
    with pytest.raises(ValueError, match="unknown filter type 5"):
        decode_pixels(write([5], np.zeros((1, 3), np.uint8)), 1, 3)
