"""Parts of region detectors on maps whose corners are the corners of the picture."""

import torch
from torchvision.models.detection.image_list import ImageList

from tests.rounding import assert_rounded
from vosbench.models.layers.detection import region_pool, region_proposals

CORNERS = (65, 97)
"""Sides of one more than a multiple of 32: maps at 1/4, 1/8, ... have their corners on the picture's."""
GRIDS = [(17, 25), (9, 13), (5, 7), (3, 4), (2, 2)]


def anchors(strides=None):
    rpn = region_proposals(4, (8, 16, 32, 64, 128), (1.0,), (9, 9, 9, 9), 9, strides)
    images = ImageList(torch.zeros(1, 3, *CORNERS), [CORNERS])
    (boxes,) = rpn.anchor_generator(images, [torch.zeros(1, 4, *grid) for grid in GRIDS])
    return boxes.split([height * width for height, width in GRIDS])


def test_anchors_have_the_strides_that_are_given():
    for boxes, grid, stride in zip(anchors((4, 8, 16, 32, 64)), GRIDS, (4, 8, 16, 32, 64), strict=True):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        assert centres[0].tolist() == [0, 0]
        assert centres[-1].tolist() == [(grid[1] - 1) * stride, (grid[0] - 1) * stride]


def test_anchors_without_strides_are_those_of_torchvision():
    finest = anchors()[0]
    assert ((finest[-1, :2] + finest[-1, 2:]) / 2).tolist() == [24 * (97 // 25), 16 * (65 // 17)]


def test_regions_may_all_be_pooled_from_one_level():
    level = torch.arange(25.0).expand(1, 1, 17, 25)
    boxes = [torch.tensor([[8.0, 0.0, 88.0, 64.0]])]
    for name, stride in (("0", 4), ("1", 8)):
        pooled = region_pool(2, 16, (name,))({name: level}, boxes, [CORNERS])
        # the middles of the halves of the box
        assert_rounded(pooled[0, 0, 0], torch.tensor([28.0, 68.0]) / stride)
