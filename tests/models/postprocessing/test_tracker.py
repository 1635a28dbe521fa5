from pathlib import Path

import numpy as np
import pytest
import torch

from vosbench.models.postprocessing.tracker import OverlapTracker, merge_static

GOLDEN = Path(__file__).parents[2] / "golden" / "tracker"
MASKS, SCORES = np.zeros((5, 4, 6), bool), np.full(5, 0.95)
NONE = (np.zeros((0, 1, 40), bool), np.zeros(0))


def pixels(*chosen):
    """A mask of one row of 40 pixels."""
    mask = np.zeros((1, 40), bool)
    for item in chosen:
        mask[0, item] = True
    return mask


OBJECT = pixels(slice(10))


def frame(*detections):
    """Detections, each (mask, score) or (mask, score, may start), as a frame."""
    masks, scores, *rest = zip(*detections, strict=True)
    return (np.stack(masks), np.array(scores), *(np.array(values) for values in rest))


def video(length, **frames):
    """Frames named f0, f1, ... hold detections, all others none."""
    return [frame(*frames[f"f{t}"]) if f"f{t}" in frames else NONE for t in range(length)]


def tracks(frames, **options):
    """Track numbers of the detections, frame by frame."""
    return [found.tolist() for found in OverlapTracker(**options).assign(frames)]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", ["assignment_conflict", "gap_limits", "two_objects", "weak_start_and_dip"])
def test_equal_to_the_released_tracker_bit_for_bit(name, bidirectional):
    golden = np.load(GOLDEN / f"{name}.npz")
    settings = {key: golden[key].item() for key in ("alpha_high", "alpha_low", "t_inactive", "iou_min")}
    tracker = OverlapTracker(**settings, bidirectional=bidirectional)
    here = [golden["frame"] == t for t in range(golden["n_frames"])]
    frames = [(golden["mask"][chosen], golden["score"][chosen]) for chosen in here]
    direction = "bidirectional" if bidirectional else "forward"
    ids = tracker(frames)
    assert ids.dtype == np.uint8
    assert np.array_equal(ids, golden[f"labels_{direction}"])
    assert np.array_equal(np.concatenate(tracker.assign(frames)) - 1, golden[f"track_{direction}"])


def test_an_overlap_of_exactly_a_tenth_is_no_match():
    half = pixels(slice(5))
    exactly, above = pixels(0, slice(10, 15)), pixels(0, slice(10, 14))  # 1 of 10, 1 of 9
    assert tracks([frame((half, 0.95)), frame((exactly, 0.95))]) == [[1], [2]]
    assert tracks([frame((half, 0.95)), frame((above, 0.95))]) == [[1], [1]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.9])
def test_a_score_equal_to_a_threshold_does_not_pass_it_whatever_its_precision(dtype, threshold):
    exactly = np.array([threshold], dtype)
    above = np.nextafter(exactly, np.array([1], dtype))
    mask = OBJECT[None]
    starts = {"alpha_high": threshold, "alpha_low": 0.5}
    assert tracks([(mask, exactly)], **starts) == [[0]]
    assert tracks([(mask, above)], **starts) == [[1]]
    continues = {"alpha_high": 0.95, "alpha_low": threshold}
    first = (mask, np.array([0.99], dtype))
    assert tracks([first, (mask, exactly)], **continues) == [[1], [0]]
    assert tracks([first, (mask, above)], **continues) == [[1], [1]]


def test_forward_a_gap_of_ten_frames_is_bridged_one_of_eleven_is_not():
    assert tracks(video(11, f0=[(OBJECT, 0.95)], f10=[(OBJECT, 0.8)]))[10] == [1]
    assert tracks(video(12, f0=[(OBJECT, 0.95)], f11=[(OBJECT, 0.8)]))[11] == [0]
    assert tracks(video(12, f0=[(OBJECT, 0.95)], f11=[(OBJECT, 0.95)]))[11] == [2]


def test_backward_a_track_is_extended_to_nine_frames_before_its_start_not_ten():
    assert tracks(video(10, f0=[(OBJECT, 0.8)], f9=[(OBJECT, 0.95)]))[0] == [1]
    assert tracks(video(11, f0=[(OBJECT, 0.8)], f10=[(OBJECT, 0.95)]))[0] == [0]


def test_backward_steps_add_up():
    weak = {f"f{t}": [(OBJECT, 0.8)] for t in range(0, 27, 9)}
    assert [found for found in tracks(video(28, **weak, f27=[(OBJECT, 0.95)])) if found] == [[1]] * 4


def test_backward_fills_holes_with_what_the_next_mask_overlaps_not_the_last():
    left, right = pixels(slice(10)), pixels(slice(20, 30))
    both = pixels(slice(30))
    # forward nothing that is left over in frame 1 overlaps left; frame 2 does, and right overlaps it
    frames = [frame((left, 0.95)), frame((right, 0.8)), frame((both, 0.95))]
    assert tracks(frames, bidirectional=False) == [[1], [0], [1]]
    assert tracks(frames) == [[1], [1], [1]]
    # the other way round the hole is filled going forward, or not at all
    assert tracks([frame((both, 0.95)), frame((right, 0.8)), frame((left, 0.95))]) == [[1], [1], [2]]


def test_a_track_collects_no_second_detection_of_a_frame():
    assert tracks([frame((OBJECT, 0.95), (OBJECT, 0.8))] * 2) == [[1, 0], [1, 0]]


def test_an_object_first_weak_is_extended_to_its_first_frames_only_by_the_backward_pass():
    frames = [frame((OBJECT, score)) for score in (0.8, 0.8, 0.95, 0.8)]
    assert tracks(frames) == [[1], [1], [1], [1]]
    assert tracks(frames, bidirectional=False) == [[0], [0], [1], [1]]


def test_an_object_first_static_is_extended_to_its_first_frames_only_by_the_backward_pass():
    frames = [frame((OBJECT, 0.99, False)), frame((OBJECT, 0.95, True)), frame((OBJECT, 0.99, False))]
    assert tracks(frames) == [[1], [1], [1]]
    assert tracks(frames, bidirectional=False) == [[0], [1], [1]]


def test_a_static_detection_never_starts_a_track():
    frames = [frame((OBJECT, 0.99, False))] * 3
    assert tracks(frames) == [[0]] * 3
    assert not OverlapTracker()(frames).any()


def test_the_track_seen_last_chooses_first():
    old, new = pixels(slice(10)), pixels(slice(8, 20))
    both = pixels(slice(3, 15))  # overlaps the old track by 7/15, the new one by 7/17
    assert tracks([frame((old, 0.95)), frame((new, 0.95)), frame((both, 0.8))]) == [[1], [2], [2]]
    assert tracks([frame((old, 0.95), (new, 0.95)), frame((both, 0.8))]) == [[1, 2], [1]]


def test_tracks_of_one_age_share_so_that_overlaps_add_up_to_the_most():
    a, b = pixels(slice(10)), pixels(slice(10, 20))
    near_both, near_a = pixels(slice(2, 14)), pixels(slice(0, 5))
    # alone, a would take near_both (0.57 against 0.5), and nothing would be left for b
    assert tracks([frame((a, 0.99), (b, 0.98)), frame((near_both, 0.8), (near_a, 0.8))]) == [[1, 2], [2, 1]]


def test_overlaps_too_small_to_match_still_count_in_the_sum():
    a, b = pixels(slice(10)), pixels(slice(20, 30))
    better, good = pixels(slice(6), 20), pixels(slice(5, 10))
    # a: 6/11 with better, 5/10 with good; b: 1/16 with better. 5/10 + 1/16 is more than 6/11 + 0
    frames = [frame((a, 0.99), (b, 0.98)), frame((better, 0.95), (good, 0.95))]
    assert tracks(frames) == [[1, 2], [3, 1]]


def test_among_equal_assignments_higher_scores_come_first_then_the_order_given():
    twins = [(OBJECT, 0.8), (OBJECT, 0.85)]
    assert tracks([frame((OBJECT, 0.95)), frame(*twins)]) == [[1], [0, 1]]
    assert tracks([frame((OBJECT, 0.95)), frame((OBJECT, 0.8), (OBJECT, 0.8))]) == [[1], [1, 0]]
    assert tracks([frame((OBJECT, 0.95), (OBJECT, 0.99)), frame(*twins)]) == [[1, 2], [1, 2]]


def test_tracks_count_from_one_in_the_order_their_detections_were_given():
    a, b, c = (pixels(slice(start, start + 5)) for start in (0, 10, 20))
    frames = [frame((b, 0.95), (a, 0.99)), frame((c, 0.91), (a, 0.95))]
    assert tracks(frames) == [[1, 2], [3, 2]]
    ids = OverlapTracker()(frames)
    assert [ids[0, 0, 10], ids[0, 0, 0], ids[1, 0, 20], ids[1, 0, 0]] == [1, 2, 3, 2]


def test_where_masks_overlap_the_higher_score_is_seen_on_equal_scores_the_later_track():
    whole, part = pixels(slice(20)), pixels(slice(18, 24))
    ids = OverlapTracker()([frame((whole, 0.99), (part, 0.95)), frame((whole, 0.95), (part, 0.95))])
    assert ids[0, 0, 16:26].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 0, 0]
    assert ids[1, 0, 16:26].tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 0, 0]


def test_detections_without_a_track_are_not_painted():
    ids = OverlapTracker()([frame((OBJECT, 0.95), (pixels(slice(30, 40)), 0.85))])
    assert np.flatnonzero(ids[0, 0]).tolist() == list(range(10))


def test_an_empty_mask_overlaps_nothing_and_shows_nothing():
    frames = [frame((pixels(), 0.95), (OBJECT, 0.8))] * 2
    assert tracks(frames) == [[1, 0], [2, 0]]
    assert not OverlapTracker()(frames).any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_frames_without_detections_are_background(bidirectional):
    tracker = OverlapTracker(bidirectional=bidirectional)
    assert np.array_equal(tracker([NONE] * 3), np.zeros((3, 1, 40)))
    assert tracker([NONE]).shape == (1, 1, 40)
    ids = tracker([NONE, frame((OBJECT, 0.95)), NONE])
    assert ids.any(axis=(1, 2)).tolist() == [False, True, False]
    assert [found.tolist() for found in tracker.assign([NONE, frame((OBJECT, 0.95))])] == [[], [1]]


def test_a_single_frame_is_enough():
    assert np.array_equal(OverlapTracker()([frame((OBJECT, 0.95))])[0] == 1, OBJECT)


def test_no_frames_have_no_size():
    assert list(OverlapTracker().track([])) == []
    with pytest.raises(ValueError, match="no frames"):
        OverlapTracker()(iter([]))


def test_scores_of_mixed_precision_training_are_taken():
    scores = torch.tensor([0.95], dtype=torch.bfloat16, requires_grad=True)
    assert OverlapTracker()([(torch.ones(1, 4, 6, dtype=torch.bool), scores)]).all()


def test_static_detections_overlapping_a_moving_one_by_a_tenth_are_left_out():
    half = pixels(slice(5))
    exactly, below = pixels(0, slice(10, 15)), pixels(0, slice(10, 16))  # 1 of 10, 1 of 11
    masks, scores, may_start = merge_static(
        frame((half, 0.75)), frame((exactly, 0.99), (below, 0.8), (half, 0.9))
    )
    assert np.array_equal(masks, [half, below])
    assert scores.tolist() == [0.75, 0.8]
    assert may_start.tolist() == [True, False]
    assert len(merge_static(frame((half, 0.75)), frame((exactly, 0.99)), iou_max=0.11)[0]) == 2


def test_a_moving_detection_that_does_not_count_hides_no_static_one():
    merged = merge_static(frame((OBJECT, 0.7)), frame((OBJECT, 0.9)))
    assert merged[2].tolist() == [True, False]
    assert len(merge_static(frame((OBJECT, 0.7)), frame((OBJECT, 0.9)), alpha_low=0.6)[0]) == 1


def test_without_moving_detections_the_static_ones_stay_and_the_reverse():
    masks, scores, may_start = merge_static(NONE, frame((OBJECT, 0.9)))
    assert (masks.shape, scores.tolist(), may_start.tolist()) == ((1, 1, 40), [0.9], [False])
    assert merge_static(frame((OBJECT, 0.9)), NONE)[2].tolist() == [True]
    assert merge_static(NONE, NONE)[0].shape == (0, 1, 40)


def test_merged_detections_are_what_the_tracker_takes():
    moving, still = frame((OBJECT, 0.95)), frame((OBJECT, 0.9), (pixels(slice(20, 30)), 0.99))
    tensors = tuple(map(torch.from_numpy, still))
    frames = [merge_static(NONE, tensors), merge_static(moving, tensors), merge_static(NONE, tensors)]
    assert tracks(frames) == [[1, 0], [1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("moving", "static", "problem"),
    [
        ((MASKS, SCORES[1:]), (MASKS, SCORES), r"moving detections: scores are \(4,\) for 5 masks"),
        ((MASKS, SCORES), (MASKS[0], SCORES), "static detections: masks are"),
        ((MASKS, SCORES, SCORES > 0), (MASKS, SCORES), "moving detections: 3 arrays; give masks and scores$"),
        ((MASKS, SCORES), NONE, r"moving masks are \(4, 6\), static ones \(1, 40\)"),
    ],
)
def test_detections_that_cannot_be_merged_are_named(moving, static, problem):
    with pytest.raises(ValueError, match=problem):
        merge_static(moving, static)
