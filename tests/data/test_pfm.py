import numpy as np
import pytest

from vosbench.data.formats.pfm import read_pfm, write_pfm
from vosbench.errors import InputError


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("shape", [(2, 3), (4, 5, 3), (1, 1)])
def test_what_is_written_is_read(tmp_path, shape, big_endian):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 1.5
    write_pfm(tmp_path / "a.pfm", values, big_endian=big_endian)
    read = read_pfm(tmp_path / "a.pfm")
    assert read.dtype == np.float32
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, values)


def test_the_file_stores_the_bottom_row_first(tmp_path):
    write_pfm(tmp_path / "a.pfm", np.array([[1, 2], [3, 4]], np.float32))
    content = (tmp_path / "a.pfm").read_bytes()
    assert content.startswith(b"Pf\n2 2\n-1.0\n")
    np.testing.assert_array_equal(np.frombuffer(content[-16:], "<f4"), [3, 4, 1, 2])


def test_a_file_made_by_hand_in_big_endian_order(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"PF 1 2 1.0\n" + np.array([4, 5, 6, 1, 2, 3], ">f4").tobytes())
    np.testing.assert_array_equal(read_pfm(tmp_path / "a.pfm"), [[[1, 2, 3]], [[4, 5, 6]]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P6\n2 2\n255\n", "not a PFM"),
        (b"", "not a PFM"),
        (b"Pf\n2 2\n1-1\n", "not a number"),
        (b"Pf\n2 2\n-1.0\n" + bytes(15), "truncated, 15 bytes"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, reason):
    (tmp_path / "bad.pfm").write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.pfm: .*{reason}"):
        read_pfm(tmp_path / "bad.pfm")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pfm: no such file"):
        read_pfm(tmp_path / "none.pfm")


def test_two_channels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="PFM holds"):
        write_pfm(tmp_path / "a.pfm", np.zeros((2, 2, 2), np.float32))
