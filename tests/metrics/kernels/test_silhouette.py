"""Packed masks: boundaries and disks, bit for bit."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.metrics.kernels.silhouette import Silhouette, match_radius


def pixels(words, width):
    """Unpack (H, words) to (H, W) bool."""
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :width].astype(bool)


def boundary(mask):
    return pixels(Silhouette(mask, 1).boundary, mask.shape[1])


def neighbourhood(mask, radius):
    return pixels(Silhouette(mask, radius).neighbourhood, mask.shape[1])


def point(height, width, y, x):
    mask = np.zeros((height, width), bool)
    mask[y, x] = True
    return mask


def test_boundary_lies_on_the_upper_left_side_of_a_change():
    expected = np.zeros((4, 4), bool)
    expected[1:3, 1:3] = True
    assert np.array_equal(boundary(point(4, 4, 2, 2)), expected)


def test_the_image_border_is_no_boundary():
    half = np.zeros((3, 3), bool)
    half[:, 2] = True
    assert not boundary(np.ones((3, 3), bool)).any()
    assert np.argwhere(boundary(half)).tolist() == [[0, 1], [1, 1], [2, 1]]


def test_the_last_pixel_compares_with_nothing():
    mask = point(3, 3, 2, 2)
    assert np.argwhere(boundary(mask)).tolist() == [[1, 1], [1, 2], [2, 1]]


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 127, 128, 129, 854])
def test_boundary_at_every_word_width(width):
    mask = np.random.default_rng(width).random((5, width)) > 0.5
    expected = np.zeros_like(mask)
    expected[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    expected[:-1] |= mask[:-1] ^ mask[1:]
    expected[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    assert np.array_equal(boundary(mask), expected)
    assert Silhouette(mask, 3).area == mask.sum()


@settings(max_examples=80)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 140)), fill=st.just(False)),
    st.sampled_from([1, 1.5, 2, 3, 4.2, 8, 70]),
)
def test_the_neighbourhood_is_the_exact_disk(mask, radius):
    points = np.argwhere(boundary(mask))
    y, x = np.indices(mask.shape)
    distance = [(y - j) ** 2 + (x - i) ** 2 <= radius**2 for j, i in points]
    expected = np.any(distance, axis=0) if distance else np.zeros_like(mask)
    assert np.array_equal(neighbourhood(mask, radius), expected)


def test_nothing_wraps_around_the_border():
    mask = np.zeros((40, 64), bool)
    mask[:, :1] = True
    near = neighbourhood(mask, 8)
    assert near[:, :9].all()
    assert not near[:, 9:].any()


def test_the_radius_of_the_two_resolutions_of_davis():
    assert match_radius(480, 854) == 8
    assert match_radius(1080, 1920) == 18
    assert match_radius(480, 854, 2.5) == 2.5
