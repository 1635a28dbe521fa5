"""FlyingThings3D, moving objects told apart."""

import shutil

import numpy as np
import pytest

from vosbench.data.datasets.ft3d import FlyingThings3D
from vosbench.data.datasets.ft3d_motion import moving_instances
from vosbench.data.mini import write_mini
from vosbench.formats.pfm import write_pfm


def moving():
    """Two squares that touch at a corner, one by itself, a speck."""
    mask = np.zeros((40, 60), bool)
    mask[2:10, 2:10] = mask[10:18, 10:18] = mask[20:30, 40:50] = True
    mask[35, 5] = True
    return mask


def test_pixels_that_touch_are_one_object():
    ids = moving_instances(moving(), smallest=0.01)
    assert ids.dtype == np.uint8
    assert np.array_equal(ids > 0, moving())
    assert (ids[5, 5], ids[15, 15], ids[25, 45], ids[35, 5]) == (1, 1, 2, 255)


def test_the_numbers_of_objects_tell_them_apart():
    objects = np.full((40, 60), 7, np.float32)
    objects[:, :30] = 12
    objects[:9] = 3
    ids = moving_instances(moving(), objects, smallest=0.0)
    # in the order of their numbers, of what moves; an object in two pieces has one id
    assert (ids[5, 5], ids[25, 45], ids[15, 15], ids[9, 5], ids[35, 5]) == (1, 2, 3, 3, 3)
    assert np.array_equal(ids > 0, moving())


def test_more_objects_than_ids_are_void():
    mask = np.zeros((40, 60), bool)
    mask[::2, ::2] = True
    objects = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    ids = moving_instances(mask, objects, smallest=0.0)
    assert mask.sum() == 600
    assert set(np.unique(ids)) == set(range(256))
    assert (ids == 255).sum() == 600 - 254


def test_where_nothing_moves_there_is_nothing():
    assert not moving_instances(np.zeros((4, 4), bool)).any()
    assert not moving_instances(np.zeros((4, 4), bool), np.ones((4, 4), np.float32)).any()


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("ft3d")
    write_mini("ft3d", root, seed=3, scenes=1, test_scenes=1, frames=3, size=(72, 128))
    return root


def test_the_reader_takes_object_numbers_where_there_are_some(mini, tmp_path):
    plain = FlyingThings3D(mini)[0].annotations[0]
    regions = FlyingThings3D(mini, instances=True)[0].annotations[0]
    assert np.array_equal(regions > 0, plain > 0)
    shutil.copytree(mini, tmp_path / "copy")
    objects = np.zeros((72, 128), np.float32)
    objects[:, 64:] = 1
    write_pfm(tmp_path / "copy/ft3d/object_index/TRAIN/A/0000/left/0006.pfm", objects)
    split = FlyingThings3D(tmp_path / "copy", instances=True)[0].annotations[0]
    assert np.array_equal(split > 0, plain > 0)
    left, right = (set(np.unique(half)) - {0, 255} for half in (split[:, :64], split[:, 64:]))
    assert left | right
    assert not left & right
