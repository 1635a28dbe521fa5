import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import savemat
from scipy.sparse import csc_array

from vosbench.errors import InputError
from vosbench.formats.mat5 import read_struct

MAP = np.arange(24, dtype=np.uint8).reshape(4, 6) % 5


def saved(fields, name="GTinst", *, compressed=True):
    content = io.BytesIO()
    savemat(content, {name: fields}, do_compression=compressed)
    return content.getvalue()


def full():
    boundaries = np.empty((2, 1), object)
    boundaries[:, 0] = [csc_array(np.eye(4)), csc_array(np.eye(4))]
    return {"Boundaries": boundaries, "Segmentation": MAP, "Categories": np.array([[3], [15]], np.uint8)}


@pytest.mark.parametrize("compressed", [True, False])
def test_numeric_fields_of_a_struct_as_sbd_has_them(tmp_path, compressed):
    path = tmp_path / "a.mat"
    path.write_bytes(saved(full(), compressed=compressed))
    fields = read_struct(path, "GTinst")
    assert set(fields) == {"Segmentation", "Categories"}
    np.testing.assert_array_equal(fields["Segmentation"], MAP)
    assert fields["Segmentation"].dtype == np.uint8
    assert fields["Categories"].tolist() == [[3], [15]]


TYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64])
SHAPES = st.tuples(st.integers(0, 9), st.integers(0, 9))
ARRAYS = st.tuples(TYPES, SHAPES).flatmap(lambda pair: arrays(*pair))


@given(first=ARRAYS, second=ARRAYS, compressed=st.booleans())
def test_what_scipy_writes_is_read(tmp_path_factory, first, second, compressed):
    path = tmp_path_factory.mktemp("round") / "a.mat"
    path.write_bytes(saved({"a": first, "longer_name": second}, compressed=compressed))
    fields = read_struct(path, "GTinst")
    for name, expected in (("a", first), ("longer_name", second)):
        np.testing.assert_array_equal(fields[name], expected)
        assert fields[name].shape == expected.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a MATLAB file"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF", "not a MATLAB file of version 5"),
        (saved(full(), "other"), "no struct GTinst"),
        (saved(MAP), "no struct GTinst"),
        (saved(full())[:-1], "damaged or truncated"),
    ],
)
def test_other_files_are_explained(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.mat: .*{message}"):
        read_struct(path, "GTinst")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.mat: no such file"):
        read_struct(tmp_path / "a.mat", "GTinst")


def outcome(path):
    """The fields, or None after a clear error."""
    try:
        return read_struct(path, "GTinst")
    except InputError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


SMALL = saved({"Segmentation": MAP})


@given(place=st.integers(0, len(SMALL) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_leaves_the_map_as_it_is(tmp_path_factory, place, bit):
    content = bytearray(SMALL)
    content[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "a.mat"
    path.write_bytes(content)
    fields = outcome(path)
    if fields is not None:
        np.testing.assert_array_equal(fields["Segmentation"], MAP)


@given(end=st.integers(0, len(SMALL) - 1))
def test_a_truncated_file_is_an_error(tmp_path_factory, end):
    path = tmp_path_factory.mktemp("cut") / "a.mat"
    path.write_bytes(SMALL[:end])
    assert outcome(path) is None


PLAIN = saved(full(), compressed=False)


@given(places=st.lists(st.integers(128, len(PLAIN) - 1), max_size=6), value=st.integers(0, 255))
@example(places=[132], value=255)
def test_damage_without_checksum_never_crashes(tmp_path_factory, places, value):
    content = bytearray(PLAIN)
    for place in places:
        content[place] = value
    path = tmp_path_factory.mktemp("plain") / "a.mat"
    path.write_bytes(content)
    for array in (outcome(path) or {}).values():
        assert array.ndim >= 2
        assert array.nbytes <= len(content)
