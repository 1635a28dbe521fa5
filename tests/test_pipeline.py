"""Reader and writer threads: same items in the same order, bounded, errors where they belong."""

import threading
import time

import pytest

from vosbench.errors import InputError
from vosbench.given import segment
from vosbench.pipeline import AHEAD, BEHIND, Reader, Writer
from vosbench.video import LazySequence, Segmentation, Video

LENGTH = 12


class Items:
    """Numbers that note what is read; one of them may be damaged."""

    def __init__(self, damaged=None):
        self.read, self.threads, self._damaged = [], set(), damaged

    def __call__(self, index):
        self.read.append(index)
        self.threads.add(threading.get_ident())
        if index == self._damaged:
            raise InputError(f"item {index} is damaged")
        return 10 * index


def sequence(items):
    return LazySequence(items, LENGTH)


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_items_read_in_order_are_the_same_each_read_once_in_one_other_thread():
    items = Items()
    with Reader() as reader:
        assert list(reader.ahead(sequence(items))) == list(range(0, 10 * LENGTH, 10))
    assert items.read == list(range(LENGTH))
    assert len(items.threads) == 1
    assert threading.get_ident() not in items.threads


def test_no_more_than_a_few_items_are_read_ahead():
    items = Items()
    with Reader() as reader:
        ahead = reader.ahead(sequence(items))
        assert ahead[0] == 0
        assert eventually(lambda: len(items.read) == 1 + AHEAD)
        assert ahead[1] == 10
        assert eventually(lambda: len(items.read) == 2 + AHEAD)
        assert max(items.read) == 1 + AHEAD


def test_a_look_back_reads_one_item_and_does_not_disturb_the_order():
    items = Items()
    with Reader() as reader:
        ahead = reader.ahead(sequence(items))
        for index in range(LENGTH):
            assert (ahead[index], ahead[0]) == (10 * index, 0)
    assert sorted(items.read) == sorted([*range(LENGTH), *[0] * LENGTH])


@pytest.mark.parametrize("order", [range(LENGTH - 1, -1, -1), [3, 9, 1, 7], [*range(5), *range(LENGTH)]])
def test_any_other_order_gives_the_same_items(order):
    with Reader() as reader:
        ahead = reader.ahead(sequence(Items()))
        assert [ahead[index] for index in order] == [10 * index for index in order]
        assert list(ahead[2:7:2]) == [20, 40, 60]


def test_an_error_is_raised_at_its_item_and_nowhere_else():
    with Reader() as reader:
        ahead = reader.ahead(sequence(Items(damaged=3)))
        assert [ahead[index] for index in range(3)] == [0, 10, 20]
        with pytest.raises(InputError, match="item 3 is damaged"):
            ahead[3]
        assert ahead[4] == 40


def test_two_sequences_share_one_thread():
    first, second = Items(), Items()
    with Reader() as reader:
        assert list(zip(reader.ahead(sequence(first)), reader.ahead(sequence(second)), strict=True))
    assert first.threads == second.threads


def test_a_writer_keeps_the_order_and_is_done_at_the_end():
    written = []
    with Writer() as writer:
        for number in range(50):
            writer.call(written.append, number)
    assert written == list(range(50))


def test_a_writer_holds_few_calls():
    go = threading.Event()
    made = []
    with Writer() as writer:

        def fill():
            for number in range(2 * BEHIND):
                writer.call(go.wait, 60)
                made.append(number)

        thread = threading.Thread(target=fill)
        thread.start()
        assert eventually(lambda: len(made) == BEHIND)
        time.sleep(0.05)
        assert len(made) == BEHIND
        go.set()
        thread.join()


def fail(message):
    raise InputError(message)


def test_an_error_of_a_writer_is_raised_by_the_end():
    def write():
        with Writer() as writer:
            writer.call(fail, "first")
            writer.call(print)
            writer.call(fail, "second")

    with pytest.raises(InputError, match="first"):
        write()


def test_after_an_error_of_its_block_a_writer_drops_what_is_left():
    go, written = threading.Event(), []

    def write():
        with Writer() as writer:
            writer.call(go.wait, 60)
            writer.call(written.append, 1)
            threading.Timer(0.05, go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert written == []


@pytest.mark.parametrize("seen", [1, LENGTH])
def test_the_reading_thread_ends_with_the_segmentation_whether_it_is_used_up_or_not(noise, seen):
    class Copy:
        task, needs_flow = "unsupervised", False

        def segment(self, video, first_mask=None):
            return Segmentation((frame[..., 0].copy() for frame in video.frames), len(video))

    frames = [noise + t for t in range(LENGTH)]
    video = Video("v", frames, tuple(map(str, range(LENGTH))))
    before = threading.active_count()
    maps = iter(segment(Copy(), video, None))
    assert [next(maps)[0, 0] for _ in range(seen)] == [frame[0, 0, 0] for frame in frames[:seen]]
    maps.close()
    assert eventually(lambda: threading.active_count() == before)


def test_flow_is_read_while_a_method_looks_at_the_first_frame(noise):
    read = threading.Event()

    def flow(index):
        read.set()
        return noise[..., :2].transpose(2, 0, 1).astype("float32")

    class FramesFirst:
        task, needs_flow = "unsupervised", True

        def segment(self, video, first_mask=None):
            def maps():
                for index, frame in enumerate(video.frames):
                    # on a slow machine late, but not only when it is asked for
                    assert read.wait(60)
                    assert video.flow[min(index, len(video.flow) - 1)].shape == (2, 6, 8)
                    yield frame[..., 0].copy()

            return Segmentation(maps(), len(video))

    video = Video("v", [noise] * 3, ("0", "1", "2"), flow=LazySequence(flow, 2))
    assert len(segment(FramesFirst(), video, None).stack()) == 3


@pytest.fixture
def noise():
    import numpy as np

    return np.random.default_rng(0).integers(0, 200, (6, 8, 3), np.uint8)
