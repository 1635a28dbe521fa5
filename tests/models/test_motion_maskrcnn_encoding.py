"""Flow as the motion stream of Motion Mask R-CNN sees it."""

import math

import pytest
import torch

from vosbench.models.motion_maskrcnn.encoding import FlowImage

MAGNITUDE, ANGLE = 1, 2


def constant(u, v, size=(4, 6)):
    return torch.tensor([u, v], dtype=torch.float32)[:, None, None].expand(2, *size).contiguous()


def code(u, v, size=(4, 6), **keys):
    """The three channels of constant flow."""
    image = FlowImage(**keys)(constant(u, v, size))
    assert image.shape == (3, *size)
    assert torch.equal(image, image[:, :1, :1].expand_as(image))
    return image[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("vector", "exact", "stored"),
    [
        ((1, 0), 127.5, 127),
        ((0, 1), 191.25, 191),
        ((-1, 0), 255, 255),
        ((-1, -0.0), 0, 0),
        ((0, -1), 63.75, 63),
    ],
)
def test_angle_code(vector, exact, stored):
    assert code(*vector)[ANGLE] == stored
    assert code(*vector, quantise_8bit=False)[ANGLE] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("quantise_8bit", [True, False])
def test_magnitude_is_six_at_the_diagonal_and_beyond(quantise_8bit):
    # the diagonal of 300x400 is 500
    for pixels, expected in ((100, 1.2), (500, 6), (10_000, 6), (0, 0)):
        found = code(pixels, 0, (300, 400), quantise_8bit=quantise_8bit)
        assert found[MAGNITUDE] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("channel_order", ["bgr_code", "paper"])
def test_unit_range_is_half_turns_and_four_pixels(channel_order):
    keys = {"quantise_8bit": False, "flow_range": "unit", "channel_order": channel_order}
    angle = ANGLE if channel_order == "bgr_code" else 0
    for vector, direction, magnitude in (((1, 0), 0, 0.25), ((0, 4), 0.5, 1), ((0, -6), -0.5, 1.5)):
        found = code(*vector, (30, 40), **keys)
        assert found[angle] == pytest.approx(direction, abs=1e-6)
        assert found[MAGNITUDE] == pytest.approx(magnitude)
    # clipped at the diagonal of 30x40 as in the released range
    assert code(100, 0, (30, 40), **keys)[MAGNITUDE] == pytest.approx(50 / 4)


def test_order_of_channels():
    assert code(0, 1, (3, 4)) == [0, pytest.approx(6 / 5), 191]
    assert code(0, 1, (3, 4), channel_order="paper") == [191, pytest.approx(6 / 5), 0]


def test_eight_bits_of_magnitude_between_its_extremes():
    flow = torch.zeros(2, 1, 3)
    flow[0, 0] = torch.tensor([1.0, 1.501, 2.0])
    magnitude = FlowImage()(flow)[MAGNITUDE, 0] * math.hypot(1, 3) / 6
    # 0.501 of the range is code 127 of 255 when truncated
    assert magnitude.tolist() == pytest.approx([1, 1 + 127 / 255, 2])


def test_slow_pixels_can_lose_their_angle():
    flow = torch.zeros(2, 1, 3)
    flow[1, 0] = torch.tensor([0.25, 0.5, 1.0])
    for quantise in (True, False):
        image = FlowImage(quantise_8bit=quantise, low_magnitude_threshold=0.5)(flow)
        assert image[ANGLE, 0].tolist() == pytest.approx([0] + [191 if quantise else 191.25] * 2)
        assert image[MAGNITUDE, 0].min() > 0
    assert (FlowImage()(flow)[ANGLE] == 191).all()


def test_a_mirrored_field_has_the_angle_of_the_mirrored_vector():
    """The released code flips the picture and keeps the angle."""
    from vosbench.data.transforms.clip_transforms import Clip, mirror

    flow = constant(3, 4)[None]
    clip = mirror(
        Clip(torch.zeros(1, 3, 4, 6, dtype=torch.uint8), torch.zeros(1, 4, 6, dtype=torch.uint8), flow)
    )
    assert torch.equal(FlowImage()(clip.flow)[0], FlowImage()(constant(-3, 4)))


@pytest.mark.parametrize("quantise_8bit", [True, False])
def test_unknown_flow_does_not_spread(quantise_8bit):
    flow = constant(0, 1)
    flow[:, 0, 0] = math.nan
    image = FlowImage(quantise_8bit=quantise_8bit)(flow)
    assert image.isfinite().all()
    assert image[ANGLE, 0, 0] == 0
    assert image[ANGLE, 1, 1] == pytest.approx(191 if quantise_8bit else 191.25)


def test_a_batch_is_encoded_field_by_field():
    fields = torch.stack([constant(1, 0), constant(0, 20)])
    assert torch.equal(FlowImage()(fields), torch.stack([FlowImage()(field) for field in fields]))
