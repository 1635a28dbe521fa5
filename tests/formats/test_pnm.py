import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.pnm import read_pnm, write_pnm

SHAPES = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
)


@given(values=SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape)))
def test_what_is_written_is_read_by_us_and_by_pillow(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("pnm") / ("map.ppm" if values.ndim == 3 else "map.pgm")
    write_pnm(path, values)
    assert read_pnm(path).tolist() == values.tolist()
    assert np.array(Image.open(path)).tolist() == values.tolist()


def test_levels_are_not_stretched_and_comments_are_passed_over(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 # made by hand\n# more\n2\n1 15\n\x03\x0f")
    assert read_pnm(path).tolist() == [[3, 15]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a binary PGM or PPM"),
        (b"P2 1 1 255\n0", "not a binary PGM or PPM"),
        (b"P5 2 2 255\nabc", "truncated, 3 bytes of pixels where 2x2 needs 4"),
        (b"P6 999999 999999 255\n", "truncated, 0 bytes of pixels"),
        (b"P5 1 1 65535\n\0\0", "1x1 with maximum 65535; pixels of 8 bits"),
        (b"P5 0 4 255\n", "0x4 with maximum 255"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    path = tmp_path / "a.pgm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.pgm: {re.escape(message)}"):
        read_pnm(path)


@given(content=st.binary(max_size=60).map(lambda tail: b"P5 3 " + tail))
def test_any_bytes_give_a_map_or_one_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("pnm") / "a.pgm"
    path.write_bytes(content)
    assert outcome(path) in ("a map", f"{path}: ")


def outcome(path):
    """Return "a map", or how the message of the error begins."""
    try:
        read_pnm(path)
    except InputError as error:
        return str(error)[: len(f"{path}: ")]
    return "a map"


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pnm(tmp_path / "a.pgm")
