import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.leaderboard.html.mask_runs import encode, pack, shrink


def decode(runs, height, width):
    """What the script of the page does, map after map."""
    maps, ids, at = [], [], 0
    while at < len(runs):
        value, length, scale = runs[at], 0, 1
        at += 1
        while runs[at] >= 128:
            length, scale, at = length + runs[at] % 128 * scale, scale * 128, at + 1
        ids += [value] * (length + runs[at] * scale)
        at += 1
        if len(ids) == height * width:
            maps.append(np.array(ids, np.uint8).reshape(height, width))
            ids = []
    assert not ids
    return maps


def test_a_map_is_its_runs_of_equal_ids():
    assert encode(np.array([[0, 0, 0], [0, 7, 7]], np.uint8)) == bytes([0, 4, 7, 2])


def test_a_long_run_takes_a_byte_for_every_seven_bits_of_its_length():
    assert encode(np.zeros((10, 30), np.uint8)) == bytes([0, 300 % 128 + 128, 300 // 128])


@given(st.lists(arrays(np.uint8, (5, 60), elements=st.sampled_from([0, 1, 255])), min_size=1, max_size=3))
def test_maps_in_a_row_come_back(maps):
    found = decode(zlib.decompress(pack(map(encode, maps))), 5, 60)
    np.testing.assert_array_equal(found, maps)


def test_a_smaller_map_has_ids_of_the_large_one_only():
    ids = np.zeros((40, 60), np.uint8)
    ids[10:30, 20:40] = 255
    small = shrink(ids, 15, 10)
    assert small.shape == (10, 15)
    assert set(np.unique(small)) == {0, 255}
