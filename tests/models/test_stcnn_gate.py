"""What STCNN sees of the past: the frames before, and where the object was."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vosbench.models.stcnn.gate import GateSettings, SpatialGate, gate, grow
from vosbench.models.stcnn.generator import past_indices, scale_past


@pytest.mark.parametrize(
    ("t", "delta", "start", "wanted"),
    [
        (2, 4, "paper", [0, 0, 0, 1]),
        (0, 4, "paper", [0, 0, 0, 0]),
        (4, 4, "paper", [0, 1, 2, 3]),
        (9, 3, "paper", [6, 7, 8]),
        (1, 4, "code", [0, 0, 0, 1]),
        (3, 4, "code", [0, 1, 2, 3]),
        (4, 4, "code", [0, 1, 2, 3]),
    ],
)
def test_past_frames(t, delta, start, wanted):
    assert past_indices(t, delta, start) == wanted


def test_pixels_of_past_frames_become_minus_one_to_one():
    assert scale_past(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


def test_no_past_of_a_negative_frame():
    with pytest.raises(ValueError, match="no frame -1"):
        past_indices(-1)


@given(
    mask=arrays(
        bool, array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.integers(0, 9).map(bool)
    ),
    density=st.integers(0, 3),
    reach=st.integers(1, 50),
)
def test_a_mask_grows_as_opencv_dilates_it_by_an_ellipse(mask, density, reach):
    mask = mask & (np.random.default_rng(density).random(mask.shape) < 0.3**density)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    np.testing.assert_array_equal(grow(mask, reach), cv2.dilate(mask.astype(np.uint8), ellipse) > 0)


def test_gate_removes_what_is_far():
    previous = np.zeros((200, 300), bool)
    previous[100, 100] = True
    found = gate(np.full((200, 300), 0.9, np.float32), previous, GateSettings())
    assert found[100, 100] == found[100, 138] == found[62, 100] == np.float32(0.9)
    assert found[100, 142] == found[58, 100] == found[130, 135] == 0
    assert not np.any(found[~grow(previous, 80)])
    # of an ellipse of 80 pixels, which is about pi 40^2
    assert abs(np.count_nonzero(found) - math.pi * 40**2) < 150


def test_gate_says_nothing_with_50_pixels_and_speaks_with_51():
    probability = np.full((40, 90), 0.9)
    for columns, gated in ((10, False), (51, True)):
        previous = np.zeros((40, 90), bool)
        # an ellipse of one pixel leaves the mask as it is
        previous[: 50 // columns if not gated else 1, :columns] = True
        assert previous.sum() == (51 if gated else 50)
        found = gate(probability, previous, GateSettings(reach=1))
        assert bool((found == 0).any()) == gated
    assert np.array_equal(gate(probability, np.zeros((40, 90), bool), GateSettings()), probability)


def test_gate_follows_the_gated_object_of_its_video():
    first = np.zeros((10, 400), np.uint8)
    first[:, :10] = 1
    probability = np.zeros((10, 400), np.float32)
    probability[:, 30:40], probability[:, 300:310] = 0.41, 0.9
    follower = SpatialGate(first)
    found = follower.step(probability)
    assert found[:, 300:].max() == 0
    assert np.array_equal(np.flatnonzero(follower.previous[0]), np.arange(30, 40))
    # lost: nothing is above the threshold, so the frame after is not gated
    assert follower.step(0.5 * probability).max() < 0.4
    assert np.array_equal(follower.step(probability), probability)
    assert SpatialGate(first).step(probability)[:, 300:].max() == 0
