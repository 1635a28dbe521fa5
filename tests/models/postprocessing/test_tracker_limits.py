"""What the tracker refuses, and what it costs in time and memory."""

import time
import tracemalloc

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.models.postprocessing import tracker as module
from vosbench.models.postprocessing.tracker import OverlapTracker

MASKS, SCORES = np.zeros((5, 4, 6), bool), np.full(5, 0.95)
PIXEL = np.ones((1, 1, 1), bool)


@pytest.mark.parametrize(
    ("given_frame", "problem"),
    [
        ((MASKS[0], SCORES), r"masks are \(N, H, W\).* not \(4, 6\)"),
        (([], []), r"masks are \(N, H, W\), \(0, H, W\) without detections, not \(0,\)"),
        ((MASKS[:, :, :0], SCORES), r"masks are \(N, H, W\).* not \(5, 4, 0\)"),
        ((MASKS[:, :, 1:], SCORES), r"masks are \(4, 5\), those of frame 0 \(4, 6\)"),
        ((MASKS.astype(np.float32), SCORES), "masks are bool, not float32; give mask > 0.5"),
        ((MASKS, SCORES[:4]), r"scores are \(4,\) for 5 masks"),
        ((MASKS, SCORES[:, None]), r"scores are \(5, 1\) for 5 masks"),
        ((MASKS, SCORES > 0), "scores are numbers, not bool or NaN"),
        ((MASKS, np.where(SCORES > 0, np.nan, 0)), "scores are numbers, not float64 or NaN"),
        ((MASKS, SCORES, np.ones(3, bool)), r"may_start are \(3,\) for 5 masks"),
        ((MASKS, SCORES, np.ones(5)), "may_start is bool, not float64"),
        ((MASKS,), "1 arrays; give masks and scores and, where wanted, may_start"),
        ((MASKS, SCORES, SCORES > 0, SCORES), "4 arrays"),
    ],
)
def test_a_frame_that_is_not_what_it_should_be_is_named(given_frame, problem):
    with pytest.raises(ValueError, match=f"^frame 2: {problem}"):
        OverlapTracker()([(MASKS, SCORES), (MASKS, SCORES), given_frame])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"alpha_high": 0.6}, r"alpha_high is 0.6, give at least alpha_low \(0.7\)"),
        ({"alpha_low": "0.5"}, "alpha_low is '0.5', give a number"),
        ({"alpha_high": float("nan")}, "alpha_high is nan, give a number"),
        ({"t_inactive": -1}, "t_inactive is -1, give a whole number of frames"),
        ({"t_inactive": 2.5}, "t_inactive is 2.5, give a whole number of frames"),
        ({"bidirectional": "yes"}, "bidirectional is 'yes', give true or false"),
        ({"iou_min": 1}, "iou_min is 1, give at least 0 and below 1"),
        ({"iou_min": -0.1}, "iou_min is -0.1, give at least 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, problem):
    with pytest.raises(InputError, match=f"tracker: {problem}"):
        OverlapTracker(**setting)


def one_pixel_each(number):
    return np.eye(number, dtype=bool).reshape(number, 1, number), np.full(number, 0.95)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_id_map_has_254_ids(bidirectional):
    tracker = OverlapTracker(bidirectional=bidirectional)
    assert tracker([one_pixel_each(254)]).ravel().tolist() == list(range(1, 255))
    masks, scores = one_pixel_each(255)
    later = [(masks[:254], scores[:254]), (masks, scores)]
    with pytest.raises(
        InputError, match=r"frame 1 starts track 255, but an id map has 254 ids: raise alpha_high"
    ):
        tracker(later)
    assert tracker.assign(later)[1].max() == 255


def test_too_many_tracks_are_noticed_before_the_rest_of_the_video_is_read():
    def frames():
        yield one_pixel_each(300)
        raise AssertionError("read on")

    with pytest.raises(InputError, match="frame 0 starts track 255"):
        OverlapTracker()(frames())


def test_a_forward_tracker_answers_each_frame_before_it_reads_the_next():
    read = []

    def frames():
        for t in range(3):
            read.append(t)
            yield PIXEL, [0.95]

    maps = OverlapTracker(bidirectional=False).track(frames())
    assert [(next(maps).max(), len(read)) for _ in range(3)] == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_memory_of_a_frame_may_be_used_again_for_the_next(bidirectional):
    def frames():
        masks = np.zeros((1, 1, 40), bool)
        for t in range(30):
            masks[:] = False
            masks[:, :, t : t + 10] = True
            yield masks, [0.95]

    ids = OverlapTracker(bidirectional=bidirectional)(frames())
    assert [np.flatnonzero(found).tolist() for found in ids] == [list(range(t, t + 10)) for t in range(30)]
    assert ids.max() == 1


def scene(length, number=20, height=480, width=854, radius=60):
    """Disks that wander and bounce, in memory that is used again for every frame."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = rows**2 + columns**2 <= radius**2
    low, high = radius, np.array([height, width]) - radius - 1
    centre, step = random.uniform(low, high, (number, 2)), random.normal(0, 3, (number, 2))
    masks = np.zeros((number, height, width), bool)
    for _ in range(length):
        centre += step
        step[(centre < low) | (centre > high)] *= -1
        centre = np.clip(centre, low, high)
        masks[:] = False
        for mask, (y, x) in zip(masks, centre.astype(int), strict=True):
            mask[y - radius : y + radius + 1, x - radius : x + radius + 1] = disk
        yield masks, random.uniform(0.65, 1, number)


def peak(bidirectional, length):
    tracemalloc.start()
    for _ in OverlapTracker(bidirectional=bidirectional).track(scene(length, 4, 240, 320, 50)):
        pass
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def test_going_forward_memory_does_not_grow_with_the_video():
    short = peak(bidirectional=False, length=30)
    assert peak(bidirectional=False, length=120) < 1.1 * short


def test_going_back_as_well_a_frame_costs_a_hundredth_of_its_masks():
    growth = (peak(bidirectional=True, length=120) - peak(bidirectional=True, length=30)) / 90
    assert growth < 4 * 240 * 320 / 100


@pytest.mark.parametrize("bidirectional", [False, True])
def test_work_grows_with_the_length_of_the_video_not_faster(monkeypatch, bidirectional):
    compared = []

    def counted(rows, columns):
        compared.append(len(rows) * len(columns))
        return np.zeros((len(rows), len(columns)))

    # nothing overlaps: every frame starts a track, and leaves one detection over
    monkeypatch.setattr(module, "overlaps", counted)

    def work(length):
        compared.clear()
        frames = [(np.repeat(PIXEL, 2, axis=0), [0.95, 0.8])] * length
        OverlapTracker(bidirectional=bidirectional).assign(frames)
        return sum(compared)

    assert work(80) - work(60) == work(60) - work(40)


@pytest.mark.slow
def test_1000_frames_of_20_objects_at_480p_take_less_than_a_minute():
    start = time.process_time()
    assert max(ids.max() for ids in OverlapTracker().track(scene(1000))) >= 20
    assert time.process_time() - start < 60
