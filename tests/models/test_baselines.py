import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.models.baselines import (
    BASELINES,
    AllForeground,
    CentreBox,
    CopyFirst,
    FlowSaliency,
    FlowThreshold,
    PropagateFlow,
)
from vosbench.video import Video


def make_video(height=8, width=12, length=3, flow=None):
    frames = [np.zeros((height, width, 3), np.uint8)] * length
    return Video("cat", frames, tuple(map(str, range(length))), flow=flow)


@pytest.mark.parametrize("name", ["all_foreground", "centre_box", "flow_saliency", "flow_threshold"])
def test_each_is_an_unsupervised_method_giving_an_id_map_per_frame(name):
    method = BASELINES[name]()
    assert isinstance(method, Method)
    assert method.task == "unsupervised"
    assert method.needs_flow == name.startswith("flow_")
    ids = method.segment(make_video(flow=[np.ones((2, 8, 12), np.float32)] * 2)).stack()
    assert ids.shape == (3, 8, 12)
    assert ids.dtype == np.uint8


def test_all_foreground():
    assert AllForeground().segment(make_video()).stack().min() == 1


def test_centre_box_is_half_as_wide_and_half_as_high():
    ids = CentreBox().segment(make_video(8, 12)).stack()[0]
    rows, columns = np.nonzero(ids)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 3, 8)
    assert ids.sum() == 4 * 6


def test_centre_box_of_odd_size_stays_centred():
    ids = CentreBox().segment(make_video(9, 7)).stack()[0]
    assert np.array_equal(ids, ids[::-1, ::-1])


def test_flow_threshold_is_mean_plus_one_standard_deviation():
    # norms of frame 0: 0, 0, 5, 10: mean 3.75, std sqrt(17.1875) = 4.146, threshold 7.896
    flow = np.zeros((2, 2, 2), np.float32)
    flow[:, 1, 0] = (-3, 4)
    flow[:, 1, 1] = (6, -8)
    # norms of frame 1: 0, 0, 5, 7: mean 3, std 3.082, threshold 6.08
    second = np.zeros((2, 2, 2), np.float32)
    second[0] = [[5, 7], [0, 0]]
    ids = FlowThreshold().segment(make_video(2, 2, 3, [flow, second])).stack()
    assert ids.tolist() == [[[0, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 1], [0, 0]]]


def test_uniform_flow_has_no_foreground():
    flow = np.full((2, 4, 4), 3, np.float32)
    assert FlowThreshold().segment(make_video(4, 4, 2, [flow])).stack().max() == 0


def test_flow_threshold_of_one_frame_is_background():
    assert (
        FlowThreshold().segment(make_video(length=1, flow=[])).stack().tolist()
        == np.zeros((1, 8, 12)).tolist()
    )


def test_flow_threshold_without_flow_says_so():
    with pytest.raises(InputError, match="flow_threshold needs the optical flow of cat"):
        FlowThreshold().segment(make_video())


def moving_square(height=60, width=80):
    """A square that moves left before a background that moves right."""
    inside = np.zeros((height, width), bool)
    inside[20:44, 30:58] = True
    flow = np.where(inside, np.float32(-2), np.float32(1.5))
    return inside, np.stack([flow, np.zeros_like(flow)])


def test_flow_saliency_finds_what_moves_unlike_the_border():
    inside, flow = moving_square()
    ids = FlowSaliency().segment(make_video(60, 80, 3, [flow, np.zeros_like(flow)])).stack()
    assert (ids[0] & inside).sum() / (ids[0] | inside).sum() > 0.85
    assert np.array_equal(ids[1], ids[2])


def test_flow_saliency_does_not_depend_on_the_speed():
    _, flow = moving_square()
    slow, fast = (FlowSaliency().segment(make_video(60, 80, 2, [flow * factor])).stack() for factor in (1, 8))
    assert np.array_equal(slow, fast)


def test_flow_saliency_without_flow_says_so():
    with pytest.raises(InputError, match="flow_saliency needs the optical flow of cat"):
        FlowSaliency().segment(make_video())


def test_long_videos_are_streamed():
    maps = iter(AllForeground().segment(make_video(length=10**6)))
    assert next(maps).shape == (8, 12)


def first_mask(height=12, width=16):
    ids = np.zeros((height, width), np.uint8)
    ids[4:8, 2:6] = 3
    return ids


def uniform(u, v, height=12, width=16):
    return np.stack([np.full((height, width), u, np.float32), np.full((height, width), v, np.float32)])


@pytest.mark.parametrize("name", ["copy_first", "propagate_flow"])
def test_semi_supervised_baselines_start_from_the_first_mask(name):
    method = BASELINES[name]()
    assert isinstance(method, Method)
    assert method.task == "semi-supervised"
    assert method.needs_flow == (name == "propagate_flow")
    video = make_video(12, 16, 2, [uniform(0, 0)])
    assert np.array_equal(method.segment(video, first_mask()).stack()[0], first_mask())
    with pytest.raises(InputError, match=f"{name} needs the first mask of cat"):
        method.segment(video)


def test_copy_first_repeats_the_mask():
    maps = CopyFirst().segment(make_video(12, 16, 4), first_mask()).stack()
    assert (maps == first_mask()).all()


@pytest.mark.parametrize(("u", "v"), [(2, 0), (0, -1), (3, 2)])
def test_propagate_flow_moves_the_mask_by_the_flow(u, v):
    video = make_video(12, 16, 3, [uniform(u, v)] * 2)
    maps = PropagateFlow().segment(video, first_mask()).stack()
    for index in range(3):
        assert np.array_equal(maps[index], np.roll(first_mask(), (index * v, index * u), (0, 1)))


def test_propagate_flow_adds_up_parts_of_pixels():
    # four steps of half a pixel are two pixels, in spite of four roundings
    video = make_video(12, 16, 5, [uniform(0.5, 0)] * 4)
    last = PropagateFlow().segment(video, first_mask()).stack()[-1]
    assert np.array_equal(last, np.roll(first_mask(), 2, 1))


def test_propagate_flow_inverts_flow_that_grows_away_from_the_centre():
    # x -> 8 + 1.5 (x - 8): columns 6..10 of the first frame become 5..11 of the second
    columns = np.arange(16, dtype=np.float32)
    flow = np.stack([np.tile((columns - 8) / 2, (12, 1)), np.zeros((12, 16), np.float32)])
    ids = np.zeros((12, 16), np.uint8)
    ids[:, 6:11] = 1
    grown = PropagateFlow().segment(make_video(12, 16, 2, [flow]), ids).stack()[1]
    assert np.flatnonzero(grown[0]).tolist() == [5, 6, 7, 8, 9, 10, 11]


def test_propagate_flow_keeps_objects_apart_and_forgets_void():
    ids = first_mask()
    ids[:, 9:12] = 7
    ids[0, 14] = 255
    moved = PropagateFlow().segment(make_video(12, 16, 2, [uniform(1, 0)]), ids).stack()[1]
    assert set(np.unique(moved)) == {0, 3, 7}
    assert np.flatnonzero(moved[5] == 7).tolist() == [10, 11, 12]
    assert np.flatnonzero(moved[5] == 3).tolist() == [3, 4, 5, 6]


def test_propagate_flow_without_flow_says_so():
    with pytest.raises(InputError, match="propagate_flow needs the optical flow of cat"):
        PropagateFlow().segment(make_video(12, 16), first_mask())
