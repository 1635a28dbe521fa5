import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vosbench.flow.encodings import angle_field, angle_magnitude, colour_wheel, magnitude_range, zero_mean

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "flow_encodings.npz")
CASES = sorted({name.split("__")[0] for name in GOLDEN})


def golden_flow(case):
    return torch.from_numpy(GOLDEN[f"{case}__flow"]).movedim(-1, -3)


def field_of(vector, height=300, width=400):
    return torch.tensor(vector, dtype=torch.float64)[:, None, None].expand(2, height, width)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("suffix", "largest"), [("wheel", None), ("wheel__max10", 10.0), ("wheel__max1", 1.0)]
)
def test_colour_wheel_equals_the_released_code_bit_for_bit(case, suffix, largest):
    expected = GOLDEN[f"{case}__{suffix}"]
    painted = colour_wheel(golden_flow(case), largest).movedim(-3, -1).numpy()
    np.testing.assert_array_equal(painted, expected)


@pytest.mark.parametrize("case", [name for name in CASES if f"{name}__anglemag" in GOLDEN])
def test_angle_magnitude_equals_the_released_code(case):
    painted = angle_magnitude(golden_flow(case)).movedim(-3, -1).numpy()
    np.testing.assert_array_equal(painted, GOLDEN[f"{case}__anglemag"])
    np.testing.assert_allclose(
        magnitude_range(golden_flow(case)), GOLDEN[f"{case}__anglemag_minmax"], rtol=1e-6
    )


def test_angle_magnitude_of_constant_magnitude_has_no_green():
    painted = angle_magnitude(field_of((3.0, 4.0), 4, 5))
    assert (painted[1] == 0).all()
    assert (painted[0] == int(255 * (math.atan2(4, 3) + math.pi) / (2 * math.pi))).all()


def test_angle_magnitude_of_nan_is_black():
    flow = torch.tensor([[[1.0, math.nan, 5.0]], [[0.0, 1.0, 0.0]]])
    painted = angle_magnitude(flow)
    assert painted[:, 0, 1].tolist() == [0, 0, 0]
    assert painted[1, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("encode", [colour_wheel, angle_magnitude, angle_field, zero_mean])
def test_frames_of_a_batch_are_encoded_one_by_one(encode):
    flow = torch.randn(2, 3, 2, 8, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encode(flow)[1, 2], encode(flow[1, 2]))


@pytest.mark.parametrize(
    ("vector", "angle", "magnitude"),
    [
        ((1, 0), 0, 1),
        ((0, 1), math.pi / 2, 1),
        ((0, -1), math.pi / 2, 1),
        ((-1, 0), math.pi, 1),
        ((3, 4), math.acos(0.6), 5),
        ((0, 0), 0, 0),
    ],
)
def test_angle_field_at_hand_computed_vectors(vector, angle, magnitude):
    encoded = angle_field(field_of(vector))
    assert encoded[0, 7, 9].item() == pytest.approx(angle)
    assert encoded[1, 7, 9].item() == pytest.approx(6 * magnitude / 500)


def test_magnitude_is_clipped_at_the_diagonal():
    assert angle_field(field_of((9000.0, 0.0)))[1].max().item() == pytest.approx(6)


def test_signed_angle_tells_up_from_down():
    assert angle_field(field_of((0.0, -1.0)), "signed")[0, 0, 0].item() == pytest.approx(-math.pi / 2)


@given(st.integers(0, 2**31))
def test_mirroring_flow_mirrors_the_angle(seed):
    flow = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mirrored = flow.flip(-1) * torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None]
    angle, magnitude = angle_field(flow).flip(-1)
    torch.testing.assert_close(angle_field(mirrored), torch.stack([math.pi - angle, magnitude]))


def test_zero_mean_centres_every_frame():
    flow = torch.randn(3, 2, 6, 7, dtype=torch.float64) + 5
    torch.testing.assert_close(zero_mean(flow).mean(dim=(-2, -1)), torch.zeros(3, 2, dtype=torch.float64))
