"""The DAVIS measures as torchmetrics."""

import math

import pytest
import torch
from torchmetrics import MetricCollection

from vosbench.metrics import ContourAccuracy, JFMeasure, RegionSimilarity, TemporalStability
from vosbench.metrics.functional import temporal_stability


def video(*rows):
    """One row of ids per frame -> (T, 1, W) ids."""
    return torch.tensor([[row] for row in rows], dtype=torch.uint8)


HALF = (video([1, 0], [1, 0], [1, 0], [1, 0]), video([1, 0], [1, 1], [1, 1], [1, 0]))


def test_inner_frames_drop_the_first_and_the_last():
    for frames, expected in (("inner", 0.5), ("all", 0.75)):
        measure = RegionSimilarity(frames=frames)
        measure.update(*HALF)
        assert measure.compute()["J_mean"] == expected


def test_t_of_matlab_begins_with_the_ground_truth_of_frame_0():
    pred, target = torch.zeros(2, 5, 40, 40, dtype=torch.uint8)
    for t, side in enumerate((5, 10, 20, 14, 30)):
        pred[t, 2 : 2 + side, 3 : 3 + side + t] = 1
        target[t, 4 : 2 + side, 3 : 9 + side] = 2
    measure = TemporalStability(toolkit="matlab")
    measure.update(pred, target)
    pairs = temporal_stability(torch.cat([target[:1], pred[1:4]]) != 0, toolkit="matlab")
    assert measure.compute()["T_mean"].item() == pytest.approx(5 * pairs.mean().item())
    of_python = temporal_stability(pred[1:4] != 0)
    assert not torch.isclose(pairs[1:], of_python, rtol=1e-3).any()


def test_t_of_matlab_is_of_one_object_at_a_time():
    pred = torch.zeros(4, 40, 40, dtype=torch.uint8)
    for t in range(4):
        pred[t, 2 : 9 + t, 3 : 12 + 2 * t], pred[t, 20:30, 3 : 13 + t] = 1, 2
    measure = TemporalStability(objects="ids", toolkit="matlab")
    measure.update(pred, pred)
    each = [5 * temporal_stability(pred[:3] == i, toolkit="matlab").mean().item() for i in (1, 2)]
    assert measure.compute()["T_mean"].item() == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"toolkit": "octave"}, "toolkit must be 'python' or 'matlab', got 'octave'"),
        ({"toolkit": "matlab", "frames": "all"}, "toolkit='matlab' takes frames='inner' only"),
    ],
)
def test_what_no_toolkit_computes_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TemporalStability(**arguments)


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
        (video([1], [2], [1]), video([1], [2], [1]), "holds id 2, the first ground truth only 1..1"),
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


def test_matching_gives_each_object_one_id_for_the_whole_video():
    target = video([1, 1, 2, 2], [1, 1, 2, 2])
    # id 7 is object 2 in one frame and object 1 in the other, id 4 the same thing reversed but for a pixel
    pred = video([4, 4, 7, 7], [7, 7, 4, 0])
    measure = RegionSimilarity(frames="all", objects="match")
    measure.update(pred, target)
    # 4 -> 1 and 7 -> 2: (1 + 0) / 2 each; the other way round: (0 + 0.5) / 2 and (0 + 1) / 2
    assert measure.compute()["J_mean"] == 0.5


def test_matching_with_void_leaves_those_pixels_to_nobody():
    target = video([1, 1, 255, 0])
    measure = RegionSimilarity(frames="all", objects="match")
    measure.update(video([3, 3, 3, 0]), target, target == 255)
    assert measure.compute()["J_mean"] == 1


def test_surplus_ids_cost_nothing_and_objects_without_an_id_score_zero():
    measure = JFMeasure(frames="all", objects="match")
    measure.update(video([1, 1, 0, 0, 5, 5]), video([1, 1, 2, 2, 0, 0]))
    assert measure.compute()["J_mean"] == 0.5


def test_jf_is_the_mean_of_both():
    random = torch.Generator().manual_seed(0)
    pred, target = (torch.randint(0, 3, (4, 12, 12), generator=random) for _ in range(2))
    target[0, 0, 0] = 2
    values = {}
    for measure in (JFMeasure("all", "ids"), RegionSimilarity("all", "ids"), ContourAccuracy("all", "ids")):
        measure.update(pred, target)
        for name, value in measure.compute().items():
            assert values.setdefault(name, value) == value
    assert values["JF_mean"] == (values["J_mean"] + values["F_mean"]) / 2


def test_void_plays_no_part_in_stability():
    masks = torch.zeros(5, 40, 40, dtype=torch.uint8)
    masks[:, 10:30, 10:30] = 1
    masks[2, 5:35, 18:22] = 1
    plain, with_void = TemporalStability(), TemporalStability()
    plain.update(masks, masks)
    with_void.update(masks, masks, masks == 1)
    assert plain.compute() == with_void.compute()
    assert plain.compute()["T_mean"] > 0
