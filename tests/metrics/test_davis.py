"""The DAVIS measures as torchmetrics."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torchmetrics import MetricCollection

from vosbench.metrics import ContourAccuracy, RegionSimilarity, TemporalStability


def video(*rows):
    """One row of ids per frame -> (T, 1, W) ids."""
    return torch.tensor([[row] for row in rows], dtype=torch.uint8)


HALF = (video([1, 0], [1, 0], [1, 0], [1, 0]), video([1, 0], [1, 1], [1, 1], [1, 0]))


def test_inner_frames_drop_the_first_and_the_last():
    for frames, expected in (("inner", 0.5), ("all", 0.75)):
        measure = RegionSimilarity(frames=frames)
        measure.update(*HALF)
        assert measure.compute()["J_mean"] == expected


def test_values_are_averaged_over_videos():
    measure = RegionSimilarity()
    measure.update(*HALF)
    measure.update(HALF[1], HALF[1])
    values = measure.compute()
    assert {name: value.item() for name, value in values.items()} == {
        "J_mean": 0.75,
        "J_recall": 0.5,
        "J_decay": 0.0,
    }


def test_union_takes_every_non_zero_id_as_one_foreground():
    measure = RegionSimilarity(frames="all")
    measure.update(video([3, 3, 0]), video([1, 255, 0]))
    assert measure.compute()["J_mean"] == 1


def test_ids_are_measured_one_by_one_and_averaged_over_objects():
    measure = RegionSimilarity(frames="all", objects="ids")
    # object 1: 1 of 2, object 2: missing
    measure.update(video([1, 1, 0, 0]), video([1, 0, 2, 2]))
    # one more object, found
    measure.update(video([0, 1, 1, 0]), video([0, 1, 1, 0]))
    assert measure.compute()["J_mean"] == pytest.approx((0.5 + 0 + 1) / 3)


def test_void_is_left_out_and_255_without_void_is_background():
    pred, target = video([1, 1, 0]), video([1, 255, 0])
    for void, expected in ((None, 0.5), (target == 255, 1.0)):
        measure = RegionSimilarity(frames="all", objects="ids")
        measure.update(pred, target, void)
        assert measure.compute()["J_mean"] == expected


def test_stability_is_five_times_the_mean_pair_and_skips_videos_without_one():
    still = torch.zeros(5, 40, 40, dtype=torch.uint8)
    still[:, 10:30, 10:30] = 1
    moving = still.clone()
    moving[2, 5:35, 18:22] = 1
    expected = TemporalStability()
    expected.update(moving, still)
    both = TemporalStability()
    both.update(moving, still)
    both.update(torch.zeros_like(still), still)
    assert both.compute() == expected.compute()
    both.update(still, still)
    assert both.compute()["T_mean"] == pytest.approx(expected.compute()["T_mean"] / 2)
    assert expected.compute()["T_mean"] > 0.01


def test_no_video_no_value():
    with pytest.warns(UserWarning, match="compute"):
        assert math.isnan(RegionSimilarity().compute()["J_mean"])


def test_a_collection_gives_every_name_and_direction():
    measures = MetricCollection([RegionSimilarity(), ContourAccuracy(), TemporalStability()])
    measures.update(*HALF)
    assert set(measures.compute()) == {
        *("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay", "T_mean")
    }
    assert [m.higher_is_better for m in measures.values()].count(True) == 2
    assert TemporalStability.higher_is_better is False


def test_reset_forgets():
    measure = RegionSimilarity()
    measure.update(*HALF)
    measure.reset()
    measure.update(HALF[1], HALF[1])
    assert measure.compute()["J_mean"] == 1


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (video([1], [1], [2]), video([1], [1], [2]), "holds id 2, the first ground truth only 1..1"),
        (video([1], [1], [1]), video([0], [1], [1]), "first frame of target_ids holds no object"),
        (video([1], [1]), video([1], [1]), "leaves none of 2 frames"),
        (video([1], [1], [1]), video([1], [1]), "sizes must agree"),
        (video([1], [1], [1]).float(), video([1], [1], [1]), "pred_ids must be"),
    ],
)
def test_says_what_is_wrong_with_the_ids(pred, target, message):
    with pytest.raises(ValueError, match=message):
        RegionSimilarity(objects="ids").update(pred, target)


@pytest.mark.parametrize("arguments", [{"frames": "most"}, {"objects": "some"}])
def test_refuses_unknown_conventions(arguments):
    with pytest.raises(ValueError, match="must be"):
        ContourAccuracy(**arguments)


WORKER = """
import sys, torch, torch.distributed as dist
from vosbench.metrics import RegionSimilarity
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
ones, half = torch.ones(3, 2, 2, dtype=torch.uint8), torch.ones(3, 2, 2, dtype=torch.uint8)
half[:, 0] = 0
measure = RegionSimilarity()
for pred in [(ones, half, half), (ones,)][rank]:
    measure.update(pred, ones)
print(measure.compute()["J_mean"].item())
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_value_of_one(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    workers = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "rendezvous")],
            stdout=subprocess.PIPE,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
            text=True,
        )
        for rank in (0, 1)
    ]
    # the mean of 1, 0.5, 0.5 and 1; a mean of the two processes' means would be 0.833
    assert [worker.communicate(timeout=120)[0].strip() for worker in workers] == ["0.75", "0.75"]
