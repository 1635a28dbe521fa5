"""Average precision over seeds: from the frames of all sequences at once."""

import math

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="extra coco is not installed")

from vosbench.benchmark import suite_pooled
from vosbench.benchmark.evaluate import SequenceScore
from vosbench.benchmark.suite_pooled import DetectionRow, Pooled
from vosbench.benchmark.suite_statistics import seeded_difference, seeded_value
from vosbench.metrics.kernels.detection import DetectionPool


def row(name, found, frames=2, objects=True):
    """A sequence with one object per frame, which is found or not; nothing wrong is found."""
    ids = np.zeros((6, 8), np.uint8)
    ids[1:4, 1:5] = objects
    pool = DetectionPool()
    for number in range(frames):
        masks = [ids == 1] if found else []
        pool.add_masks(masks, [0.9] * len(masks), target_ids=ids, image_id=f"{name}/{number}")
    return DetectionRow(SequenceScore(pool.compute(), evidence=tuple(pool.records)))


def rows(*found, **given):
    return {f"s{index}": row(f"s{index}", each, **given) for index, each in enumerate(found)}


def rule(names):
    return Pooled("map50_seg")


def share(found, frames):
    """Average precision when nothing wrong is found: the recalls reached out of 0, 0.01, ..., 1."""
    return (math.floor(100 * found / frames + 1e-9) + 1) / 101


def test_the_value_pools_frames_whatever_the_length_of_a_sequence():
    unequal = {"a": row("a", True, frames=1), "b": row("b", False, frames=3)}
    assert seeded_value({0: unequal}, rule).mean == pytest.approx(share(1, 4))


def test_sequences_and_seeds_are_redrawn():
    found = seeded_value({0: rows(True, False), 1: rows(True, True)}, rule)
    assert found.by_seed == {0: pytest.approx(share(1, 2)), 1: pytest.approx(1)}
    assert found.mean == pytest.approx((share(1, 2) + 1) / 2)
    assert found.interval.low < share(1, 2)
    assert found.interval.high == pytest.approx(1)


def test_of_many_frames_seeds_alone_are_redrawn(monkeypatch):
    monkeypatch.setattr(suite_pooled, "LARGEST", 3)
    both = {0: rows(True, False), 1: rows(True, True)}
    found = seeded_value(both, rule)
    assert (found.interval.low, found.interval.high) == (pytest.approx(share(1, 2)), pytest.approx(1))
    one = seeded_value({0: both[0]}, rule)
    assert one.mean == pytest.approx(share(1, 2))
    assert math.isnan(one.interval.low)


def test_two_rows_are_redrawn_in_pairs():
    better, worse = ({seed: rows(True, each, False) for seed in (0, 1)} for each in (True, False))
    found = seeded_difference(better, worse, rule)
    assert found.mean == pytest.approx(share(2, 3) - share(1, 3))
    # a draw without the second sequence is a tie, never a loss
    assert found.interval.low == pytest.approx(0)
    assert found.holds(strict=False) == "yes"


def test_without_an_object_there_is_no_value():
    empty = row("a", False, objects=False)
    assert empty == {"map50_det": None, "map50_seg": None}
    assert math.isnan(seeded_value({0: {"a": empty}}, rule).mean)
