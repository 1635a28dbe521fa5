import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.pfm import read_flow_pfm, read_pfm, write_pfm


@pytest.mark.parametrize("shape", [(2, 3), (4, 5, 3), (1, 1)])
def test_what_is_written_is_read(tmp_path, shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 1.5
    write_pfm(tmp_path / "a.pfm", values)
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
    read = read_pfm(tmp_path / "a.pfm")
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, [[[1, 2, 3]], [[4, 5, 6]]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P6\n2 2\n255\n", "not a PFM"),
        (b"", "not a PFM"),
        (b"Pf\n2 2\n1-1\n", "not a number"),
        (b"Pf\n2 2\n-1.0\n" + bytes(15), "truncated, 15 bytes"),
        (b"Pf\n2 2\n-1.0\n" + bytes(17), "too long, 17 bytes"),
        (b"Pf\n2 0\n-1.0\n", "2x0"),
        (b"Pf\n2 2\n0\n" + bytes(16), "scale 0"),
        (b"PF\n" + b"9" * 5000 + b" 2\n-1.0\n", "not a PFM"),
        # 4 * 4294967296 * 2147483648 is 0 in 64 bits
        (b"Pf\n4294967296 2147483648\n-1.0\n", "not a PFM"),
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


def test_flow_is_the_first_two_channels(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    write_pfm(tmp_path / "a.pfm", values)
    flow = read_flow_pfm(tmp_path / "a.pfm")
    assert flow.shape == (2, 2, 4)
    np.testing.assert_array_equal(flow, values[..., :2].transpose(2, 0, 1))


@pytest.mark.parametrize(("scale", "order"), [(b"-1.0", "<f4"), (b"2.5", ">f4")])
def test_flow_without_a_third_channel_is_told_by_the_length(tmp_path, scale, order):
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    content = b"PF\n2 3\n" + scale + b"\n" + values[::-1].astype(order).tobytes()
    (tmp_path / "a.pfm").write_bytes(content)
    np.testing.assert_array_equal(read_flow_pfm(tmp_path / "a.pfm"), values.transpose(2, 0, 1))
    with pytest.raises(InputError, match="truncated"):
        read_pfm(tmp_path / "a.pfm")


def test_flow_of_one_channel_is_refused(tmp_path):
    write_pfm(tmp_path / "a.pfm", np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"a\.pfm: one channel"):
        read_flow_pfm(tmp_path / "a.pfm")
