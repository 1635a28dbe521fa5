"""Average precision over seeds: from the frames of all sequences at once."""

import math

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval", reason="extra coco is not installed")

from vosbench.ablations import pooled as suite_pooled
from vosbench.ablations.pooled import DetectionRow, Pooled
from vosbench.ablations.statistics import seeded_difference, seeded_value
from vosbench.metrics.kernels.detection import DetectionPool
from vosbench.scoring.sequence import SequenceScore


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


def test_without_each_sequence_the_others_are_pooled_again():
    assert rule(()).leave_one_out(rows(True, False, False)) == pytest.approx([0, share(1, 2), share(1, 2)])


def test_the_error_is_that_of_seeds_and_of_sequences():
    found = seeded_value({0: rows(True, False, True), 1: rows(True, True, True)}, rule)
    assert found.by_seed == {0: pytest.approx(share(2, 3)), 1: pytest.approx(1)}
    assert found.mean == pytest.approx((share(2, 3) + 1) / 2)
    seeds = (1 - share(2, 3)) ** 2 / 4
    without = np.array([(share(1, 2) + 1) / 2, 1, (share(1, 2) + 1) / 2])
    sequences = 2 / 3 * ((without - without.mean()) ** 2).sum()
    assert found.interval.error == pytest.approx(math.sqrt(seeds + sequences))
    assert 0 < found.interval.low < found.mean < found.interval.high < 1


def test_of_many_frames_the_interval_is_that_of_seeds_alone(monkeypatch):
    monkeypatch.setattr(suite_pooled, "LARGEST", 3)
    both = {0: rows(True, False, True), 1: rows(True, True, True)}
    found = seeded_value(both, rule)
    assert found.interval.error == pytest.approx((1 - share(2, 3)) / 2)
    one = seeded_value({0: both[0]}, rule)
    assert one.mean == pytest.approx(share(2, 3))
    assert math.isnan(one.interval.low)


def test_two_rows_are_compared_in_pairs():
    better, worse = ({seed: rows(True, each, False) for seed in (0, 1)} for each in (True, False))
    found = seeded_difference(better, worse, rule)
    assert found.mean == pytest.approx(share(2, 3) - share(1, 3))
    # without the second sequence they are the same: one sequence of three decides nothing
    assert found.holds(strict=False) == "unclear"
    assert seeded_difference(better, better, rule).holds(strict=False) == "yes"


def test_without_an_object_there_is_no_value():
    empty = row("a", False, objects=False)
    assert empty == {"map50_det": None, "map50_seg": None}
    assert math.isnan(seeded_value({0: {"a": empty}}, rule).mean)
