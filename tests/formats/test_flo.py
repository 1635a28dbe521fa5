import struct

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.flo import read_flo, write_flo


def test_layout_by_hand(tmp_path):
    # 2 wide, 1 high: pixel 0 moves (1, 2), pixel 1 moves (3, 4); the tag spells PIEH
    content = b"PIEH" + struct.pack("<ii", 2, 1) + struct.pack("<4f", 1, 2, 3, 4)
    (tmp_path / "a.flo").write_bytes(content)
    flow = read_flo(tmp_path / "a.flo")
    assert flow.dtype == np.float32
    assert flow.tolist() == [[[1, 3]], [[2, 4]]]
    write_flo(tmp_path / "b.flo", flow)
    assert (tmp_path / "b.flo").read_bytes() == content


def test_any_float32_survives(tmp_path):
    flow = np.random.default_rng(0).normal(0, 50, (2, 6, 9)).astype(np.float32)
    write_flo(tmp_path / "a.flo", flow)
    assert np.array_equal(read_flo(tmp_path / "a.flo"), flow)


@pytest.mark.parametrize("change", [lambda c: c[:5], lambda c: c[:-1], lambda c: c + b"x", lambda c: b""])
def test_wrong_length_names_the_file(tmp_path, change):
    write_flo(tmp_path / "a.flo", np.zeros((2, 3, 4), np.float32))
    (tmp_path / "a.flo").write_bytes(change((tmp_path / "a.flo").read_bytes()))
    with pytest.raises(InputError, match=r"a\.flo: "):
        read_flo(tmp_path / "a.flo")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.flo").write_bytes(b"not a flow file at all")
    with pytest.raises(InputError, match=r"a\.flo: not a \.flo file"):
        read_flo(tmp_path / "a.flo")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.flo: no such file"):
        read_flo(tmp_path / "a.flo")


def test_shape_is_checked(tmp_path):
    with pytest.raises(ValueError, match="2, H, W"):
        write_flo(tmp_path / "a.flo", np.zeros((3, 4, 2), np.float32))
