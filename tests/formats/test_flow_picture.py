import math

import numpy as np
import pytest
import torch
from PIL import Image

from vosbench.errors import InputError
from vosbench.flow.encodings import angle_magnitude, colour_wheel, magnitude_range
from vosbench.formats.flow_picture import range_path, read_angle_magnitude


def write_picture(path, flow):
    """As the released converter writes it, through our encoder, which equals it (see test_encodings)."""
    tensor = torch.from_numpy(flow)
    Image.fromarray(angle_magnitude(tensor).movedim(0, -1).numpy()).save(path)
    range_path(path).write_text(" ".join(map(str, magnitude_range(tensor).tolist())))


def test_vectors_by_hand(tmp_path):
    codes = np.zeros((1, 4, 3), np.uint8)
    codes[0, :, 0] = 127, 255, 191, 127
    codes[0, :, 1] = 255, 255, 51, 0
    Image.fromarray(codes).save(tmp_path / "00000.png")
    (tmp_path / "00000_magnitude_minmax.txt").write_text("0.0 10.0")
    flow = read_angle_magnitude(tmp_path / "00000.png")
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow[:, 0, 0], [10, 0], atol=1e-5)
    np.testing.assert_allclose(flow[:, 0, 1], [-10, 0], atol=1e-5)
    np.testing.assert_allclose(flow[:, 0, 2], [0, 2], atol=0.02)
    assert flow[:, 0, 3].tolist() == [0, 0]


def test_what_is_lost_is_half_an_angle_level_and_one_of_magnitude(tmp_path):
    flow = np.random.default_rng(0).normal(0, 20, (2, 40, 50)).astype(np.float32)
    write_picture(tmp_path / "a.png", flow)
    read = read_angle_magnitude(tmp_path / "a.png")
    before, after = np.hypot(*flow), np.hypot(*read)
    step = (before.max() - before.min()) / 255
    assert (after <= before + 1e-3).all()
    assert (before - after).max() <= step + 1e-3
    turned = np.angle((read[0] + 1j * read[1]) / (flow[0] + 1j * flow[1]))[after > 0]
    assert np.abs(turned).max() <= math.pi / 255 + 1e-4


def test_still_pixels_stay_still(tmp_path):
    flow = np.zeros((2, 6, 8), np.float32)
    flow[0, 2:4, 2:4] = 5
    write_picture(tmp_path / "a.png", flow)
    np.testing.assert_allclose(read_angle_magnitude(tmp_path / "a.png"), flow, atol=1e-5)


def test_a_colour_wheel_is_refused(tmp_path):
    wheel = colour_wheel(torch.randn(2, 6, 8)).movedim(0, -1).numpy()
    Image.fromarray(wheel).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: .*cannot be read back: a colour wheel does not show"):
        read_angle_magnitude(tmp_path / "a.png")
    range_path(tmp_path / "a.png").write_text("0 1")
    with pytest.raises(InputError, match=r"a\.png: its blue channel is not 0"):
        read_angle_magnitude(tmp_path / "a.png")


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "a b", "5 1", "nan 1", "0 inf", "-1 3", "0 1e9"])
def test_a_wrong_range_is_named(tmp_path, text):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
    range_path(tmp_path / "a.png").write_text(text)
    with pytest.raises(InputError, match=r"a_magnitude_minmax\.txt: "):
        read_angle_magnitude(tmp_path / "a.png")
