import math

import numpy as np
import pytest

from vosbench.benchmark.evaluate import SequenceScore, overall, score_sequence, stability_note
from vosbench.benchmark.protocols import load_protocol
from vosbench.errors import InputError

DAVIS16 = load_protocol("davis16-unsupervised")
SEMI = load_protocol("davis17-semi-supervised")
UNSUPERVISED = load_protocol("davis17-unsupervised")


def row(*values):
    """One frame of a single row, as (1, W)."""
    return np.array([values], np.uint8)


def video(*frames):
    return np.stack([row(*frame) for frame in frames])


def targets(*frames):
    return {index: row(*frame) for index, frame in enumerate(frames)}


def test_j_by_hand_over_the_inner_frames_only():
    target = targets((0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 0), (1, 0, 0, 0))
    pred = video((1, 1, 1, 1), (1, 0, 0, 0), (0, 1, 1, 1), (0, 0, 0, 0))
    score = score_sequence(pred, target, DAVIS16, ("j",))
    assert score.per_frame["J"] == [0.5, 0.5]
    assert score.values == {"J_mean": 0.5, "J_recall": 0.0, "J_decay": 0.0}


def test_every_nonzero_id_is_the_one_foreground():
    target = targets((0, 0), (1, 255), (0, 0))
    pred = video((0, 0), (3, 7), (0, 0))
    assert score_sequence(pred, target, DAVIS16, ("j",)).values["J_mean"] == 1.0


def test_all_metrics_of_a_perfect_still_square():
    ids = np.zeros((6, 40, 40), np.uint8)
    ids[:, 10:25, 10:25] = 1
    score = score_sequence(ids, dict(enumerate(ids)), DAVIS16)
    assert score.values == {
        "J_mean": 1.0,
        "J_recall": 1.0,
        "J_decay": 0.0,
        "F_mean": 1.0,
        "F_recall": 1.0,
        "F_decay": 0.0,
        "T_mean": 0.0,
    }
    assert {letter: len(values) for letter, values in score.per_frame.items()} == {"J": 4, "F": 4, "T": 3}


def test_t_is_five_times_the_mean_pair_and_reads_the_prediction_only():
    from vosbench.metrics.functional import temporal_stability

    ids = np.zeros((5, 40, 40), np.uint8)
    for t, side in enumerate((5, 10, 20, 14, 30)):
        ids[t, 2 : 2 + side, 3 : 3 + side + t] = 1
    import torch

    pairs = temporal_stability(torch.from_numpy(ids[1:4] != 0))
    score = score_sequence(ids, dict(enumerate(np.zeros_like(ids))), DAVIS16, ("t",))
    assert score.per_frame["T"] == pytest.approx((5 * pairs).tolist())
    assert score.values["T_mean"] == pytest.approx(5 * float(pairs.mean()))
    assert score.values["T_mean"] > 0


def test_t_of_empty_masks_is_undefined():
    ids = np.zeros((5, 8, 8), np.uint8)
    assert math.isnan(score_sequence(ids, dict(enumerate(ids)), DAVIS16, ("t",)).values["T_mean"])


def test_a_sequence_without_an_inner_frame_has_no_value():
    ids = np.ones((2, 4, 4), np.uint8)
    values = score_sequence(ids, dict(enumerate(ids)), DAVIS16, ("j",)).values
    assert all(math.isnan(value) for value in values.values())


def test_sizes_that_differ_are_named():
    with pytest.raises(InputError, match="frame 1: the prediction is 3x1, the ground truth 2x1"):
        score_sequence(np.zeros((3, 1, 3), np.uint8), targets((0, 0), (0, 0), (0, 0)), DAVIS16)


def test_missing_ground_truth_is_named():
    with pytest.raises(InputError, match="no ground truth for frame 1"):
        score_sequence(np.zeros((3, 1, 2), np.uint8), {0: row(0, 0)}, DAVIS16)


def test_semi_supervised_compares_equal_ids_and_means_over_objects():
    target = targets((1, 1, 2, 2), (1, 1, 2, 2), (1, 1, 2, 2))
    pred = video((0, 0, 0, 0), (1, 1, 2, 1), (0, 0, 0, 0))
    score = score_sequence(pred, target, SEMI, ("j",))
    assert score.objects == 2
    assert score.values["J_mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_semi_supervised_counts_void_as_background():
    target = targets((1, 0), (1, 255), (1, 0))
    pred = video((1, 0), (1, 1), (1, 0))
    assert score_sequence(pred, target, SEMI, ("j",)).values["J_mean"] == 0.5


def test_a_missing_object_is_an_empty_mask():
    target = targets((1, 2), (1, 2), (1, 2))
    pred = video((1, 0), (1, 0), (1, 0))
    assert score_sequence(pred, target, SEMI, ("j",)).values["J_mean"] == 0.5


def test_an_id_beyond_the_first_frames_objects_is_refused():
    with pytest.raises(InputError, match=r"id 3; protocol davis17-semi-supervised allows 1\.\.2"):
        score_sequence(video((0, 0), (3, 0), (0, 0)), targets((1, 2), (1, 2), (1, 2)), SEMI)


def test_ground_truth_without_objects_is_refused():
    with pytest.raises(InputError, match="frame 0 has no object"):
        score_sequence(video((0, 0), (0, 0)), targets((0, 255), (0, 0)), UNSUPERVISED)


def test_one_object_scores_the_same_under_davis16_and_davis17_semi_supervised():
    random = np.random.default_rng(0)
    target = (random.random((6, 12, 12)) > 0.5).astype(np.uint8)
    pred = (random.random((6, 12, 12)) > 0.5).astype(np.uint8)
    target[0, 0, 0] = 1
    one, other = (
        score_sequence(pred, dict(enumerate(target)), rules, ("j", "f")) for rules in (DAVIS16, SEMI)
    )
    assert {name: other.values[name] for name in one.values} == one.values
    assert other.values["JF_mean"] == pytest.approx((one.values["J_mean"] + one.values["F_mean"]) / 2)


def test_matching_finds_swapped_ids_and_ignores_surplus_proposals():
    target = targets((1, 1, 2, 2, 0), (1, 1, 2, 2, 0))
    pred = video((9, 9, 4, 4, 6), (9, 9, 4, 4, 6))
    score = score_sequence(pred, target, UNSUPERVISED, ("j",))
    assert score.values["J_mean"] == 1.0


def test_matching_is_one_to_one():
    target = targets((1, 1, 2), (1, 1, 2))
    pred = video((5, 5, 5), (5, 5, 5))
    # proposal 5 fits object 1 with 2/3; object 2 gets an empty mask
    assert score_sequence(pred, target, UNSUPERVISED, ("j",)).values["J_mean"] == pytest.approx(1 / 3)


def test_unsupervised_leaves_void_pixels_out_and_counts_the_first_frame():
    target = targets((1, 255), (1, 255))
    pred = video((1, 1), (0, 0))
    score = score_sequence(pred, target, UNSUPERVISED, ("j",))
    assert score.per_frame["J"] == [1.0, 0.0]


def test_more_than_twenty_proposals_are_refused():
    with pytest.raises(InputError, match=r"id 21; protocol davis17-unsupervised allows 1\.\.20"):
        score_sequence(video((21, 0)), targets((1, 0)), UNSUPERVISED)


def scores(**values):
    return {
        name.replace("_", "-"): SequenceScore({"J_mean": j, "T_mean": t}) for name, (j, t) in values.items()
    }


def test_overall_means_j_over_all_and_t_over_the_counting_sequences():
    given = scores(blackswan=(0.5, 0.1), camel=(0.7, 0.3), dog=(0.9, 5.0))
    assert overall(given, DAVIS16) == pytest.approx({"J_mean": 0.7, "T_mean": 0.2})
    assert "over 2 of 3 sequences" in stability_note(given, DAVIS16)


def test_overall_means_t_over_all_where_no_sequence_is_listed():
    given = scores(scene_0=(0.5, 0.1), scene_1=(0.7, 0.3))
    assert overall(given, DAVIS16)["T_mean"] == pytest.approx(0.2)
    assert "over all 2 sequences" in stability_note(given, DAVIS16)


@pytest.mark.parametrize("undefined", [math.nan, None])
def test_undefined_values_are_left_out_and_named(undefined):
    given = scores(blackswan=(0.5, 0.1), camel=(0.7, undefined))
    assert overall(given, DAVIS16)["T_mean"] == 0.1
    assert stability_note(given, DAVIS16).endswith("left out: camel")


def test_nothing_defined_is_nan():
    assert math.isnan(overall(scores(blackswan=(0.5, math.nan)), DAVIS16)["T_mean"])


def test_davis17_means_over_objects():
    given = {
        "a": SequenceScore({"J_mean": 0.9}, objects=1),
        "b": SequenceScore({"J_mean": 0.3}, objects=2),
    }
    assert overall(given, SEMI)["J_mean"] == pytest.approx(0.5)
    assert stability_note(given, SEMI) is None
