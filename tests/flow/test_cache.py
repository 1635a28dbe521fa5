import json
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.video import Video


class Counting:
    """u is the difference of the mean grey levels times `gain`, v a third of a pixel."""

    name = "counting"

    def __init__(self, gain=1.0):
        self.settings = {"gain": gain}
        self.calls = 0

    def __call__(self, first, second):
        self.calls += 1
        flow = np.empty((2, *first.shape[:2]), np.float32)
        flow[0] = self.settings["gain"] * (second.mean() - first.mean())
        flow[1] = 1 / 3
        return flow


def make_video(levels=(0, 10, 40), name="cat"):
    frames = [np.full((4, 6, 3), level, np.uint8) for level in levels]
    return Video(name, frames, tuple(f"{index:05d}" for index in range(len(frames))))


def entries(cache):
    return sorted(cache.rglob("*.npz"))


def test_flow_is_lazy_and_one_shorter_than_the_video(tmp_path):
    estimator = Counting()
    video = attach_flow(make_video(), estimator, tmp_path)
    assert len(video.flow) == 2
    assert estimator.calls == 0
    assert video.flow[1].dtype == np.float32
    assert video.flow[1].shape == (2, 4, 6)
    assert video.flow[1][0, 0, 0] == 30
    assert estimator.calls == 1
    assert video.annotations == {}


def test_second_use_reads_the_cache_whatever_the_video_is_called(tmp_path):
    list(attach_flow(make_video(), Counting(), tmp_path).flow)
    estimator = Counting()
    again = attach_flow(make_video(name="dog"), estimator, tmp_path)
    assert [flow[0, 0, 0] for flow in again.flow] == [10, 30]
    assert estimator.calls == 0


def test_changed_frame_or_setting_is_computed(tmp_path):
    list(attach_flow(make_video((0, 10, 40)), Counting(), tmp_path).flow)
    changed = Counting()
    assert [f[0, 0, 0] for f in attach_flow(make_video((0, 10, 41)), changed, tmp_path).flow] == [10, 31]
    assert changed.calls == 1
    other = Counting(gain=2.0)
    assert attach_flow(make_video(), other, tmp_path).flow[0][0, 0, 0] == 20
    assert other.calls == 1


def test_frame_size_is_part_of_the_content(tmp_path):
    pair = [np.zeros((4, 6, 3), np.uint8)] * 2
    assert attach_flow(Video("a", pair, ("0", "1")), Counting(), tmp_path).flow[0].shape == (2, 4, 6)
    turned = [frame.reshape(6, 4, 3) for frame in pair]
    assert attach_flow(Video("a", turned, ("0", "1")), Counting(), tmp_path).flow[0].shape == (2, 6, 4)


def test_result_is_the_same_cold_warm_and_without_cache(tmp_path):
    none = attach_flow(make_video(), Counting(), None).flow[0]
    cold = attach_flow(make_video(), Counting(), tmp_path).flow[0]
    warm = attach_flow(make_video(), Counting(), tmp_path).flow[0]
    assert np.array_equal(none, cold)
    assert np.array_equal(none, warm)
    assert none[1, 0, 0] == pytest.approx(1 / 3, rel=2**-11)


def test_no_cache_computes_every_time(tmp_path):
    estimator = Counting()
    video = attach_flow(make_video(), estimator, None)
    _ = video.flow[0], video.flow[0]
    assert estimator.calls == 2


def test_entry_says_where_it_comes_from(tmp_path):
    _ = attach_flow(make_video(), Counting(gain=3.0), tmp_path).flow[0]
    (path,) = entries(tmp_path)
    assert path.relative_to(tmp_path).parts[:2] == ("flow", "counting")
    with np.load(path) as entry:
        provenance = json.loads(str(entry["provenance"]))
    assert provenance["estimator"] == "counting"
    assert provenance["settings"] == {"gain": 3.0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"rubbish",
        lambda content: content[: len(content) // 2],
        lambda content: content[:150] + bytes([content[150] ^ 255]) + content[151:],
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    ],
)
def test_damaged_entry_is_computed_again(tmp_path, damage):
    expected = attach_flow(make_video(), Counting(), tmp_path).flow[0]
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    estimator = Counting()
    assert np.array_equal(attach_flow(make_video(), estimator, tmp_path).flow[0], expected)
    assert estimator.calls == 1
    assert path.read_bytes() == content


def test_any_flipped_byte_is_noticed_or_harmless(tmp_path):
    expected = attach_flow(make_video(), Counting(), tmp_path).flow[0]
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        assert np.array_equal(attach_flow(make_video(), Counting(), tmp_path).flow[0], expected)


def test_entry_of_another_shape_is_not_trusted(tmp_path):
    _ = attach_flow(make_video(), Counting(), tmp_path).flow[0]
    (path,) = entries(tmp_path)
    np.savez(path, flow=np.zeros((2, 4, 5), np.float16))
    assert attach_flow(make_video(), Counting(), tmp_path).flow[0].shape == (2, 4, 6)


def test_ground_truth_is_kept_unless_asked(tmp_path):
    truth = [np.full((2, 4, 6), 7, np.float32)] * 2
    video = replace(make_video(), flow=truth)
    assert attach_flow(video, Counting(), tmp_path).flow is truth
    assert attach_flow(video, Counting(), tmp_path, overwrite=True).flow[0][0, 0, 0] == 10


def test_single_frame_has_no_flow(tmp_path):
    assert len(attach_flow(make_video((5,)), Counting(), tmp_path).flow) == 0


def test_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    video = attach_flow(make_video(), Counting(), tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot be written .*VOSBENCH_CACHE"):
        video.flow[0]


def read_all(cache):
    return [float(flow[0, 0, 0]) for flow in attach_flow(make_video(range(0, 60, 3)), Counting(), cache).flow]


def test_processes_share_a_cache(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(read_all, [tmp_path] * 4)
    assert results == [[3.0] * 19] * 4
    assert len(entries(tmp_path)) == 19
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
