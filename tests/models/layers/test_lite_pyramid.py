import pytest
import torch

from tests.rounding import assert_rounded
from vosbench.models.layers.efficientnet_lite import EfficientNetLite0
from vosbench.models.layers.lite_pyramid import GROUPS, LEVELS, LiteFeatures, LitePyramid, fitted, fitted_size


def maps(height, width, seed=0):
    torch.manual_seed(seed)
    sides = [(height // 2**k + 1, width // 2**k + 1) for k in (1, 2, 3, 4, 4, 5)]
    return [
        torch.randn(2, channels, *side)
        for channels, side in zip(EfficientNetLite0.channels[:GROUPS], sides, strict=True)
    ]


@torch.no_grad()
def test_the_pyramid_ends_at_a_quarter_and_sees_each_of_its_levels():
    pyramid, seen = LitePyramid().eval(), maps(64, 96)
    result = pyramid(seen)
    assert result.shape == (2, 64, 17, 25)
    assert (result >= 0).all()
    for level, values in enumerate(seen):
        other = pyramid([*seen[:level], values + 1, *seen[level + 1 :]])
        assert torch.equal(other, result) == (level not in LEVELS)


@torch.no_grad()
def test_the_whole_picture_is_seen_at_each_point():
    pyramid, seen = LitePyramid().eval(), maps(256, 256)
    changed = [values.clone() for values in seen]
    changed[LEVELS[-1]][..., -1, -1] += 100
    assert ((pyramid(changed) - pyramid(seen)).abs().sum(dim=1) > 0).float().mean() > 0.9


@pytest.mark.parametrize(
    ("size", "expected"),
    [((33, 65), (33, 65)), ((288, 513), (289, 513)), ((240, 427), (225, 417)), ((5, 7), (33, 33))],
)
def test_pictures_are_fitted_to_sides_of_one_more_than_a_multiple_of_32(size, expected):
    assert fitted(torch.zeros(1, 3, *size)).shape[-2:] == expected


def test_sizes_with_a_given_shorter_side_need_no_fitting():
    assert fitted_size(480, 854, 257) == fitted_size(240, 427, 257) == (257, 449)
    assert fitted_size(427, 240, 225) == (385, 225)
    assert fitted(torch.zeros(1, 1, 257, 449)).shape == (1, 1, 257, 449)


def test_fitting_keeps_the_corners():
    picture = torch.arange(40.0)[None, None, :, None] + torch.arange(50.0)
    found = fitted(picture)[0, 0]
    assert found.shape == (33, 65)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert_rounded(found[row, column], picture[0, 0, row, column])


@torch.no_grad()
def test_features_are_at_a_quarter_of_the_fitted_picture():
    features = LiteFeatures().eval()
    assert features(torch.randn(1, 3, 64, 96)).shape == (1, features.channels, 17, 25)
    assert sum(p.numel() for p in features.body.parameters()) == 2_353_408
    assert sum(p.numel() for p in EfficientNetLite0().blocks[-1].parameters()) == 605_440
