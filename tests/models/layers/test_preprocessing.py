"""How pixels are scaled for published weights."""

import pytest
import torch

from vosbench.models.layers.preprocessing import SCALINGS, normalise

# one pixel: red 255, green 128, blue 0
PIXEL = torch.tensor([255, 128, 0], dtype=torch.uint8)[:, None, None]


def test_caffe_has_blue_first_and_subtracts_a_mean():
    expected = [0 - 104.008, 128 - 116.669, 255 - 122.675]
    assert normalise(PIXEL, "caffe").flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_detectron_is_caffe_with_a_mean_of_its_own():
    expected = [0 - 102.9801, 128 - 115.9465, 255 - 122.7717]
    assert normalise(PIXEL, "detectron").flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_torchvision_has_red_first_and_unit_deviation():
    expected = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    assert normalise(PIXEL, "torchvision").flatten().tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("convention", SCALINGS)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 6, 3, 4, 5)])
def test_any_number_of_dimensions_and_either_type(convention, shape):
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    kept = frames.clone()
    found = normalise(frames, convention)
    assert found.dtype == torch.float32
    assert found.shape == shape
    assert torch.equal(found, normalise(frames.float(), convention))
    assert normalise(frames.double(), convention).dtype == torch.float64
    assert torch.equal(frames, kept)


def test_another_convention_is_a_mistake():
    with pytest.raises(
        ValueError, match="unknown convention 'bgr'; choose from caffe, detectron, torchvision"
    ):
        normalise(PIXEL, "bgr")
