"""Flow pictures that others painted, beside those of `vosbench.flow.encodings.colour_wheel`."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from vosbench.flow.encodings import colour_wheel
from vosbench.flow.estimators import DIS
from vosbench.formats.flo import read_flo
from vosbench.formats.image import read_frame

pytestmark = pytest.mark.real_data

DIRECTIONS, MAGNITUDES = 720, 256


def paint(flow, max_magnitude=None):
    return colour_wheel(torch.from_numpy(flow), max_magnitude).permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def wheel():
    """Directions in radians and magnitudes as shares of the largest, and the tree of their colours."""
    angles = np.linspace(-np.pi, np.pi, DIRECTIONS, endpoint=False)
    angle, share = np.meshgrid(angles, np.linspace(0, 1, MAGNITUDES))
    flow = np.stack([share * np.cos(angle), share * np.sin(angle)]).astype(np.float32)
    colours = paint(flow, max_magnitude=1.0).reshape(-1, 3).astype(np.float64)
    return angle.ravel(), share.ravel(), cKDTree(colours)


@pytest.fixture(scope="module")
def estimate():
    return DIS()


def test_the_picture_of_sintel_by_flowiz_is_ours_but_for_rounding(real_data):
    folder = real_data("flow_samples") / "flow_samples/sintel"
    ours, theirs = paint(read_flo(folder / "frame_0001.flo")), read_frame(folder / "frame_0001.flo.png")
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


@pytest.mark.parametrize("index", range(10))
def test_pictures_of_the_fusionseg_authors_say_the_same_of_bear(real_data, wheel, estimate, index):
    folder = real_data("fusionseg_sample") / "fusionseg_sample"
    frames = {
        t: read_frame(folder / f"images/{t:05d}.jpg") for t in (index, index + 1, index - 1) if 0 <= t < 10
    }
    picture = read_frame(folder / f"motion_images/{index:05d}.png")
    assert picture.shape == frames[index].shape == (289, 513, 3)
    angle, share, colours = wheel
    distance, nearest = colours.query(picture.reshape(-1, 3).astype(np.float64))
    theirs, length = (values[nearest].reshape(picture.shape[:2]) for values in (angle, share))

    # every colour is one of our wheel, up to the fineness of the table
    assert distance.max() < 2.5
    # the fastest pixel of each frame is fully saturated: the maximum of the frame is the scale
    assert length.max() > 0.99

    # the estimator is another one, but both see where things move: forward, in the last frame backward
    flow = estimate(frames[index], frames[index + 1 if index < 9 else index - 1])
    magnitude, ours = np.hypot(*flow), np.arctan2(flow[1], flow[0])
    sure = (magnitude > np.median(magnitude)) & (length > 0.1)
    assert sure.mean() > 0.3
    turned = np.degrees(np.abs(np.angle(np.exp(1j * (theirs - ours)))))[sure]
    assert np.median(turned) < 3
    assert np.percentile(turned, 90) < 8
    assert np.corrcoef(length.ravel(), magnitude.ravel())[0, 1] > 0.8
