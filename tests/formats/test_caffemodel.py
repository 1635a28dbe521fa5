"""Caffe models, written here as Caffe writes them, are read back; damaged ones are refused by name."""

import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.formats.caffemodel import read_caffemodel

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(2, 3, 2, 1)).astype(np.float32)
BIAS = RANDOM.normal(size=4).astype(np.float32)


def varint(value):
    value %= 2**64
    digits = b""
    while value > 0x7F:
        digits += bytes([value & 0x7F | 0x80])
        value >>= 7
    return digits + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def shape(dimensions, packed=True):
    if packed:
        return message(7, message(1, b"".join(map(varint, dimensions))))
    return message(7, b"".join(number(1, side) for side in dimensions))


def legacy_shape(*sides):
    return b"".join(number(field, side) for field, side in enumerate(sides, start=1))


def packed(values, field=5, kind="<f4"):
    return message(field, np.asarray(values, kind).tobytes())


def unpacked(values, field=5):
    return b"".join(varint(field << 3 | 5) + struct.pack("<f", value) for value in np.ravel(values))


def blob(values):
    return packed(values) + shape(np.shape(values))


def layer(name, *blobs, kind="Convolution"):
    """A layer as Caffe's second version writes it, with a blob of every parameter."""
    head = message(1, name.encode()) + message(2, kind.encode()) + message(3, b"data") + message(4, b"out")
    spec = message(6, varint(3 << 3 | 5) + struct.pack("<f", 10.0))
    return message(100, head + spec + b"".join(message(7, each) for each in blobs) + number(10, 1))


def layer_v1(name, *blobs):
    return message(
        2,
        message(2, b"data")
        + message(4, name.encode())
        + number(5, 4)
        + b"".join(message(6, each) for each in blobs)
        + varint(7 << 3 | 5)
        + struct.pack("<f", 1.0),
    )


def network(*layers):
    return message(1, b"net") + message(3, b"data") + number(4, 1) + b"".join(layers)


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        path = tmp_path / "a.caffemodel"
        path.write_bytes(content)
        return read_caffemodel(path)

    return read_bytes


def check(found, expected):
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert found[key].dtype == np.float32
        assert found[key].dtype.isnative
        np.testing.assert_array_equal(found[key], values, strict=True)


def test_layers_become_blobs_by_name_and_index(read):
    found = read(network(layer("data", kind="Input"), layer("conv1", blob(WEIGHT), blob(BIAS))))
    check(found, {"conv1/0": WEIGHT, "conv1/1": BIAS})


@pytest.mark.parametrize("write", [layer, layer_v1])
@pytest.mark.parametrize("data", [packed, unpacked])
@pytest.mark.parametrize("dimensions", [shape, lambda sides: shape(sides, packed=False)])
def test_all_ways_to_store_the_same_blob(read, write, data, dimensions):
    check(read(network(write("a/b", data(WEIGHT) + dimensions(WEIGHT.shape)))), {"a/b/0": WEIGHT})


def test_both_versions_of_layers_in_one_file(read):
    content = network(layer_v1("old", blob(BIAS)), layer("new", blob(WEIGHT)))
    check(read(content), {"old/0": BIAS, "new/0": WEIGHT})


def test_blobs_from_before_shapes_keep_their_four_axes(read):
    content = network(layer_v1("fc", legacy_shape(1, 1, 1, 4) + packed(BIAS)))
    check(read(content), {"fc/0": BIAS.reshape(1, 1, 1, 4)})


def test_doubles_are_rounded_and_preferred_to_floats(read):
    doubles = np.array([0.1, 1e-50, 1 / 3])
    content = network(layer("a", packed([1, 2, 3]) + packed(doubles, 8, "<f8") + shape([3])))
    check(read(content), {"a/0": doubles.astype(np.float32)})


def test_gradients_are_left_out(read):
    check(read(network(layer("a", blob(BIAS) + packed(9 * BIAS, 6)))), {"a/0": BIAS})


def test_a_scalar_has_no_axes(read):
    check(read(network(layer("a", packed([2.0]) + message(7, b"")))), {"a/0": np.float32(2).reshape(())})


def test_data_in_several_pieces_are_one_blob(read):
    pieces = packed(BIAS[:1]) + shape([4]) + unpacked(BIAS[1:3]) + packed(BIAS[3:])
    check(read(network(layer("a", pieces))), {"a/0": BIAS})


def test_unpacked_numbers_whose_bytes_look_like_tags(read):
    tag = varint(5 << 3 | 5)
    values = np.frombuffer(tag * 4 * 50, "<f4")
    check(read(network(layer("a", unpacked(values) + shape([50])))), {"a/0": values})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no layer has weights"),
        (network(layer("data")), "no layer has weights"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b'name: "ResNet"\nlayer {\n', "a field 13 of kind 6"),
        (b"\x80\x02}q\x00.", "a field 32 of kind 0|should follow|not end|kind"),
        (network(layer("a", packed(BIAS))), r"4 numbers for a blob of size \[0, 0, 0, 0\]"),
        (network(layer("a", packed(BIAS) + shape([5]))), r"4 numbers for a blob of size \[5\]"),
        (network(layer("a", shape([2**62, 4]))), "0 numbers for a blob"),
        (network(layer("a", packed(BIAS) + shape([-2, -2]))), "4 numbers for a blob"),
        (network(layer("a", packed(BIAS) + shape([1] * 40 + [4]))), "4 numbers for a blob"),
        (network(layer("a", message(5, bytes(7)) + shape([1]))), "7 bytes of numbers"),
        (network(layer("a", blob(BIAS)), layer("a", blob(BIAS))), "two layers 'a'"),
        (network(layer("", blob(BIAS))), "no name"),
        (network(layer("a\nb", blob(BIAS))), "a name that is no text"),
        (network(message(100, message(1, b"\xff\xfe"))), "decode"),
        (network(varint(100 << 3 | 2) + varint(2**40)), "bytes where 1099511627776 should follow"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x08" * 2**20, "more than 262144 fields"),
    ],
    ids=lambda value: value if isinstance(value, str) else "_",
)
def test_what_is_no_sound_model_is_refused_in_one_line(read, content, complaint):
    with pytest.raises(InputError, match=complaint) as raised:
        read(content)
    assert "a.caffemodel: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.caffemodel: cannot be read"):
        read_caffemodel(tmp_path / "none.caffemodel")


@pytest.mark.parametrize("data", [packed, lambda values: unpacked(values[:1]) * len(values)])
def test_memory_is_for_the_weights_and_one_layer_more(tmp_path, data):
    values = np.ones(2**19, np.float32)
    one = packed(values) + shape([2**19]) if data is packed else data(values) + shape([2**19])
    path = tmp_path / "a.caffemodel"
    path.write_bytes(network(*(layer(f"layer{index}", one) for index in range(6))))
    tracemalloc.start()
    started = time.process_time()
    found = read_caffemodel(path)
    took = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(blob.nbytes for blob in found.values()) == 6 * values.nbytes
    # a layer with a tag to every number, twice in pieces, and the weights
    assert peak < 6 * values.nbytes + 4 * len(one) + 2**20
    assert took < 5


FUZZ = settings(
    max_examples=100,
    deadline=5000,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SOUND = network(
    layer("data"),
    layer("conv1", blob(WEIGHT), blob(BIAS)),
    layer_v1("fc", legacy_shape(1, 1, 1, 4) + unpacked(BIAS)),
    layer("bn", packed(BIAS, 8, "<f8") + shape([4])),
)


def outcome(path, content):
    """Read this content: the weights, or None when it is refused as it should be."""
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        found = read_caffemodel(path)
    except InputError as error:
        message = str(error)
        assert path.name in message, message
        assert "\n" not in message, message
        found = None
    else:
        assert all(blob.dtype == np.float32 and blob.size > 0 for blob in found.values())
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < 2**22
    return found


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_file_that_is_cut_off_is_refused_or_ends_between_layers(tmp_path, traced):
    whole = outcome(tmp_path / "a.caffemodel", SOUND)
    for end in range(0, len(SOUND), 2):
        found = outcome(tmp_path / "a.caffemodel", SOUND[:end])
        if found is not None:
            check(found, {key: whole[key] for key in list(whole)[: len(found)]})
            assert len(found) in (2, 3)


def test_a_flipped_bit_is_refused_or_changes_no_more_than_one_layer(tmp_path, traced):
    whole = outcome(tmp_path / "a.caffemodel", SOUND)
    for position in range(0, len(SOUND), 2):
        content = bytearray(SOUND)
        content[position] ^= 1 << position % 8
        found = outcome(tmp_path / "a.caffemodel", bytes(content))
        if found is not None:
            same = [key for key in found if key in whole and np.array_equal(found[key], whole[key])]
            assert len(same) >= len(whole) - 2


@FUZZ
@given(st.data())
def test_damage_is_named_or_harmless(tmp_path, traced, data):
    at = data.draw(st.integers(0, len(SOUND) - 1))
    length = data.draw(st.integers(0, 40))
    patch = data.draw(
        st.binary(max_size=40) | st.just(b"\xff" * 9 + b"\x01") | st.just(SOUND[at : at + length])
    )
    outcome(tmp_path / "a.caffemodel", SOUND[:at] + patch + SOUND[at + length :])


@settings(
    max_examples=150,
    deadline=5000,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=200))
def test_noise_is_harmless(tmp_path, traced, content):
    outcome(tmp_path / "a.caffemodel", content)
