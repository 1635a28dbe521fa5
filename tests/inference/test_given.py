import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.given import Given, first_labelled, segment
from vosbench.models.baselines import AllForeground
from vosbench.video import Segmentation, Video


def ids(value):
    return np.full((2, 3), value, np.uint8)


def clip(labelled=(2, 4)):
    return Video(
        name="clip",
        frames=[np.full((2, 3, 3), t, np.uint8) for t in range(6)],
        frame_names=tuple("abcdef"),
        annotations={t: ids(t) for t in labelled},
        flow=[np.full((2, 2, 3), t, np.float32) for t in range(5)],
    )


class Counting:
    """Adds one to the given ids in every frame, and remembers what it saw."""

    task = "semi-supervised"
    needs_flow = True

    def segment(self, video, first_mask=None):
        self.seen = [int(frame[0, 0, 0]) for frame in video.frames]
        return Segmentation(((first_mask + t).astype(np.uint8) for t in range(len(video))), len(video))


def test_the_first_labelled_frame_is_given():
    given = first_labelled(clip())
    assert given.frame == 2
    assert given.ids.tolist() == ids(2).tolist()


def test_a_video_without_a_mask_gives_nothing():
    with pytest.raises(InputError, match="clip: no frame has a mask"):
        first_labelled(clip(labelled=()))


def test_a_method_starts_at_the_given_frame_and_earlier_ones_show_nothing():
    method = Counting()
    found = segment(method, clip(), Given(2, ids(7)))
    assert [int(each[0, 0]) for each in found] == [0, 0, 7, 8, 9, 10]
    assert method.seen == [2, 3, 4, 5]


def test_a_method_that_is_given_frame_0_sees_the_video_as_it_is():
    method = Counting()
    assert segment(method, clip(), Given(0, ids(1))).stack()[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert segment(AllForeground(), clip(), None).stack().all()


def test_the_rest_of_a_video_counts_from_its_first_frame():
    rest = clip().since(3)
    assert rest.frame_names == ("d", "e", "f")
    assert [int(frame[0, 0, 0]) for frame in rest.frames] == [3, 4, 5]
    assert {index: int(each[0, 0]) for index, each in rest.annotations.items()} == {1: 4}
    assert [int(field[0, 0, 0]) for field in rest.flow] == [3, 4]
