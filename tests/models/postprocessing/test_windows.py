import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.models.postprocessing.windows import plan_windows, stream_windows


def starts(length, **options):
    return [frames.start for frames in plan_windows(length, **options)]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, []), (1, [0]), (130, [0]), (131, [0, 1]), (180, [0, 50]), (300, [0, 50, 100, 150, 170])],
)
def test_windows_of_130_frames_every_50_the_last_moved_back_to_the_end(length, expected):
    assert starts(length) == expected


def test_short_video_is_one_short_window():
    assert plan_windows(7) == [range(7)]
    assert plan_windows(300)[-1] == range(170, 300)


plans = st.tuples(st.integers(0, 60), st.integers(1, 20)).flatmap(
    lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), st.integers(1, pair[1]))
)


@given(plans)
def test_every_frame_is_covered_and_every_window_full(plan):
    length, window, step = plan
    windows = plan_windows(length, window, step)
    assert {index for frames in windows for index in frames} == set(range(length))
    assert all(len(frames) == min(window, length) for frames in windows)
    distances = np.diff([frames.start for frames in windows])
    assert all(distances[:-1] == step)
    assert all((distances > 0) & (distances <= step))


@pytest.mark.parametrize(("length", "window", "step"), [(-1, 5, 2), (9, 0, 0), (9, 5, 0), (9, 5, 6)])
def test_windows_that_leave_gaps_are_refused(length, window, step):
    with pytest.raises(ValueError, match=f"{length} frames in windows of {window} at steps of {step}"):
        plan_windows(length, window, step)


@given(plans, st.integers(0, 2**32 - 1))
def test_a_frame_gets_the_average_of_all_windows_that_see_it(plan, seed):
    length, window, step = plan
    windows = plan_windows(length, window, step)
    said = [np.random.default_rng([seed, i]).random((len(w), 2, 3)) for i, w in enumerate(windows)]
    given_items = []

    def run(items):
        given_items.append(items)
        return said[len(given_items) - 1]

    streamed = list(stream_windows(range(length), length, run, window=window, step=step))
    assert given_items == [list(frames) for frames in windows]
    assert len(streamed) == length
    for index, value in enumerate(streamed):
        seen = [said[i][index - frames.start] for i, frames in enumerate(windows) if index in frames]
        np.testing.assert_allclose(value, np.mean(seen, axis=0), rtol=1e-12)


def test_by_hand():
    """Windows 0-3, 2-5 and 3-6 of seven frames say 1, 2 and 6."""
    said = iter([1.0, 2.0, 6.0])
    streamed = stream_windows(range(7), 7, lambda items: np.full(len(items), next(said)), window=4, step=2)
    assert list(streamed) == [1, 1, 1.5, 3, 4, 4, 6]


def test_results_keep_their_type_and_shape():
    run = lambda items: np.ones((len(items), 2, 5), np.float32)  # noqa: E731
    streamed = list(stream_windows(range(9), 9, run, window=4, step=1))
    assert {(value.dtype, value.shape) for value in streamed} == {(np.dtype(np.float32), (2, 5))}


def test_a_frame_comes_as_soon_as_no_later_window_sees_it():
    read = []

    def items():
        for index in range(300):
            read.append(index)
            yield index

    streamed = stream_windows(items(), 300, lambda window: np.array(window, np.float64))
    assert read == []
    for index in range(50):
        assert next(streamed) == index
    assert len(read) == 130
    assert next(streamed) == 50
    assert len(read) == 180
    assert list(streamed) == list(range(51, 300))


class Feature:
    """Counts how many of its kind are alive."""

    alive: weakref.WeakSet

    def __init__(self, index):
        self.index = index
        self.alive.add(self)


def test_2000_frames_hold_one_window_of_items_and_of_results():
    Feature.alive = weakref.WeakSet()
    most = 0

    def run(items):
        nonlocal most
        most = max(most, len(Feature.alive))
        return np.stack([np.full(8192, item.index, np.float64) for item in items])

    tracemalloc.start()
    count = 0
    for index, value in enumerate(stream_windows(map(Feature, range(2000)), 2000, run)):
        assert value[0] == value[-1] == index
        most = max(most, len(Feature.alive))
        count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2000
    assert most == 130
    assert not Feature.alive
    # a result has 64 KB: those of a window are kept, and twice as many exist while one is run
    assert peak < 4 * 130 * 65536


def test_number_of_items_must_be_the_length():
    run = lambda items: np.zeros(len(items))  # noqa: E731
    with pytest.raises(ValueError, match="5 items for a video of 6 frames"):
        list(stream_windows(range(5), 6, run, window=4, step=2))
    with pytest.raises(ValueError, match="more than 4 items for a video of 4 frames"):
        list(stream_windows([None] * 5, 4, run, window=3, step=2))


def test_a_window_gives_a_result_per_item():
    with pytest.raises(ValueError, match="2 results for a window of 3 items"):
        list(stream_windows(range(3), 3, lambda items: np.zeros(2), window=3, step=1))
