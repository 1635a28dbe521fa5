import math

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.metrics.kernels.temporal import PairValues
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import (
    SequenceScore,
    overall,
    score_sequence,
    stability_note,
    summary_notes,
)
from vosbench.video import LazySequence

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


def test_t_of_matlab_begins_with_the_ground_truth_of_frame_0():
    rules = load_protocol("davis16-matlab")
    ids = np.zeros((5, 40, 40), np.uint8)
    for t, side in enumerate((5, 10, 20, 14, 30)):
        ids[t, 2 : 2 + side, 3 : 3 + side + t] = 1
    target = dict(enumerate(ids[::-1]))
    pairs = PairValues("matlab")
    for mask in (target[0], *ids[1:4]):
        pairs.add(mask != 0)
    score = score_sequence(ids, target, rules, ("t",))
    assert score.per_frame["T"] == pytest.approx([5 * value for value in pairs.values])
    assert len(score.per_frame["T"]) == 3
    assert score.per_frame["T"][1:] != pytest.approx(
        score_sequence(ids, target, DAVIS16, ("t",)).per_frame["T"], rel=1e-3
    )
    del target[0]
    with pytest.raises(InputError, match="no ground truth for frame 0, where T of protocol davis16-matlab"):
        score_sequence(ids, target, rules, ("t",))
    assert score_sequence(ids, target, rules, ("j",)).per_frame.keys() == {"J"}


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


def test_frames_are_asked_for_one_by_one_and_only_those_that_count():
    ids = np.ones((6, 4, 4), np.uint8)
    asked = []

    def load(index):
        asked.append(index)
        return ids[index]

    score_sequence(LazySequence(load, 6), dict(enumerate(ids)), DAVIS16)
    assert asked == [1, 2, 3, 4]


def test_jf_of_the_semi_supervised_protocol_of_davis16():
    random = np.random.default_rng(1)
    pred, target = (random.random((2, 5, 12, 12)) > 0.5).astype(np.uint8)
    values = score_sequence(pred, dict(enumerate(target)), load_protocol("davis16-semi-supervised")).values
    assert values["JF_mean"] == (values["J_mean"] + values["F_mean"]) / 2


def test_iou_is_the_mean_over_annotated_frames():
    target = {0: row(1, 1, 0, 0), 3: row(0, 0, 0, 0), 5: row(2, 1, 0, 255)}
    pred = np.concatenate([video((3, 0, 0, 0))] + [video((0, 0, 0, 0))] * 4 + [video((1, 1, 1, 1))])
    score = score_sequence(pred, target, load_protocol("segtrack-iou"))
    # half of the object; both empty; two of three, void left out
    assert score.per_frame["J"] == [0.5, 1.0, pytest.approx(2 / 3)]
    assert score.values == {"iou_mean": pytest.approx((0.5 + 1 + 2 / 3) / 3)}


def test_the_first_annotated_frame_is_given_to_semi_supervised_methods():
    target = {2: row(1, 0), 4: row(1, 0), 6: row(1, 1)}
    pred = np.concatenate([video((0, 0))] * 3 + [video((1, 0))] * 4)
    score = score_sequence(pred, target, load_protocol("youtube-objects-semi-supervised"))
    assert score.per_frame["J"] == [1.0, 0.5]


VOLUMES = {0: row(1, 1, 0, 0), 2: row(1, 0, 2, 255)}


def test_volumes_are_compared_over_all_annotated_frames():
    pred = video((7, 7, 0, 0), (9, 9, 9, 9), (7, 0, 0, 5))
    proposed = score_sequence(pred, VOLUMES, load_protocol("fbms-proposed"))
    # id 7 is object 1 (3 pixels); id 5 lies in void, which counts as background: 3 of 4 predicted pixels
    assert proposed.values["precision"] == 3 / 4
    assert proposed.values["recall"] == 3 / 4
    assert proposed.values["n_objects"] == 1
    assert proposed.objects == 2
    binary = score_sequence(pred, VOLUMES, load_protocol("fbms-binary")).values
    assert binary == {"precision": 1.0, "recall": 3 / 4, "f_measure": pytest.approx(6 / 7)}


def test_the_official_measure_has_the_background_as_a_region():
    pred = video((1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 2, 0))
    values = score_sequence(pred, VOLUMES, load_protocol("fbms-official")).values
    assert values == {"precision": 1.0, "recall": 1.0, "f_measure": 1.0, "n_objects": 2.0}


def test_the_moving_only_protocol_counts_objects():
    pred = video((1, 2, 3, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    values = score_sequence(pred, VOLUMES, load_protocol("fbms-moving")).values
    assert values["delta_obj"] == 1
    assert set(values) == {"precision", "recall", "f_measure", "n_objects", "delta_obj"}


def test_pixels_in_no_track_have_no_weight_in_the_official_measure():
    target = {0: row(1, 1, 1, 0)}
    tracks = video((1, 1, 255, 0))
    values = score_sequence(tracks, target, load_protocol("fbms-official"), partial=True).values
    assert values["recall"] == 1.0


def test_detections_are_not_masks():
    with pytest.raises(InputError, match="davis16-map50 scores detections"):
        score_sequence(video((0,)), {0: row(1)}, load_protocol("davis16-map50"))


def fbms_scores():
    return {
        "cats01": SequenceScore({"precision": 1.0, "recall": 0.5, "f_measure": 2 / 3, "n_objects": 1}, {}, 2),
        "dogs01": SequenceScore({"precision": 0.5, "recall": 0.1, "f_measure": 1 / 6, "n_objects": 2}, {}, 3),
    }


def test_the_official_f_is_taken_from_mean_precision_and_recall():
    values = overall(fbms_scores(), load_protocol("fbms-official"))
    assert values["f_measure"] == pytest.approx(2 * 0.75 * 0.3 / 1.05)
    assert values["n_objects"] == 3
    assert summary_notes(fbms_scores(), load_protocol("fbms-official")) == [
        "n_objects: of 5 in the ground truth"
    ]


@pytest.mark.parametrize("protocol", ["fbms-proposed", "davis17-proposed", "fbms-moving"])
def test_the_proposed_f_and_that_of_moving_labels_are_means(protocol):
    values = overall(fbms_scores(), load_protocol(protocol))
    assert values["f_measure"] == pytest.approx((2 / 3 + 1 / 6) / 2)


def test_youtube_objects_means_over_classes_and_shows_each():
    given = {
        "bird_0001": SequenceScore({"iou_mean": 0.5}),
        "bird_0002": SequenceScore({"iou_mean": 0.7}),
        "car_0001": SequenceScore({"iou_mean": 0.2}),
    }
    values = overall(given, load_protocol("youtube-objects-unsupervised"))
    assert values == pytest.approx({"iou_mean": 0.4, "iou_mean/bird": 0.6, "iou_mean/car": 0.2})
