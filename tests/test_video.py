"""Video and Segmentation are lazy, and refuse parts that do not fit."""

import numpy as np
import pytest

from vosbench.video import DeferredMapping, LazyMapping, LazySequence, Segmentation, Video


def test_a_lazy_sequence_makes_an_item_only_when_asked():
    asked = []
    items = LazySequence(lambda i: asked.append(i) or i * 10, 4)
    assert len(items) == 4
    assert asked == []
    assert items[-1] == 30
    assert list(items[1:3]) == [10, 20]
    assert list(items[::-1]) == [30, 20, 10, 0]
    assert asked == [3, 1, 2, 3, 2, 1, 0]


def test_a_lazy_sequence_ends_like_a_list():
    items = LazySequence(lambda i: i, 2)
    assert list(items) == [0, 1]
    with pytest.raises(IndexError):
        items[2]


def test_a_lazy_mapping_is_sorted_and_knows_its_keys_without_loading():
    def load(index):
        raise AssertionError(f"frame {index} was loaded")

    maps = LazyMapping(load, [5, 0])
    assert list(maps) == [0, 5]
    assert 5 in maps
    assert 1 not in maps
    with pytest.raises(KeyError):
        maps[1]


def test_a_deferred_mapping_is_made_once_and_only_when_it_is_needed():
    made = []

    def make():
        made.append(True)
        return {1: "dog", 2: "car"}

    names = DeferredMapping(make)
    assert not made
    assert (names[2], list(names), len(names), 3 in names) == ("car", [1, 2], 2, False)
    assert names == {1: "dog", 2: "car"}
    assert made == [True]


def test_the_length_of_a_video_is_its_number_of_frames():
    frames = [np.zeros((2, 3, 3), np.uint8)] * 2
    assert len(Video("a", frames, ("00000", "00001"))) == 2


def test_a_segmentation_stacks_what_a_generator_yields():
    maps = (np.full((2, 3), t, np.uint8) for t in range(3))
    stacked = Segmentation(maps, 3).stack()
    assert stacked.shape == (3, 2, 3)
    assert stacked[:, 0, 0].tolist() == [0, 1, 2]


def test_a_segmentation_with_too_few_maps_is_an_error():
    with pytest.raises(RuntimeError, match="1 maps for 2 frames"):
        Segmentation([np.zeros((2, 3), np.uint8)], 2).stack()
