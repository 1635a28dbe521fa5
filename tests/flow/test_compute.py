import json
from dataclasses import replace

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.compute import compute
from vosbench.flow.precomputed import Precomputed
from vosbench.formats.flo import read_flo
from vosbench.video import Video


class Difference:
    """u is the difference of the mean grey levels, v a third of a pixel."""

    name = "difference"

    def __init__(self, gain=1.0, stop=None):
        self.settings = {"gain": gain, "library": "1.2"}
        self.calls = 0
        self._stop = stop

    def __call__(self, first, second):
        if self.calls == self._stop:
            raise KeyboardInterrupt
        self.calls += 1
        u = self.settings["gain"] * (float(second.mean()) - float(first.mean()))
        return np.stack([np.full(first.shape[:2], u), np.full(first.shape[:2], 1 / 3)]).astype(np.float32)


def make_video(name="cat", levels=(0, 10, 40, 41)):
    frames = [np.full((4, 6, 3), level, np.uint8) for level in levels]
    return Video(name, frames, tuple(f"{index:05d}" for index in range(len(frames))))


def test_a_folder_per_sequence_with_a_file_per_pair_and_their_origin(tmp_path):
    told = []
    videos = [make_video("cat"), make_video("dog", (5, 8))]
    out = compute(videos, Difference(), tmp_path / "out", lambda *news: told.append(news))
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "cat/00000.flo",
        "cat/00001.flo",
        "cat/00002.flo",
        "cat/provenance.json",
        "dog/00000.flo",
        "dog/provenance.json",
    ]
    assert read_flo(out / "cat/00001.flo")[0, 0, 0] == 30
    assert told == [("cat", 1, 3), ("cat", 2, 3), ("cat", 3, 3), ("dog", 1, 1)]
    origin = json.loads((out / "cat/provenance.json").read_text())
    assert origin["estimator"] == "difference"
    assert origin["settings"] == {"gain": 1.0, "library": "1.2"}
    assert origin["direction"] == "forward"
    assert list(origin["frames"]) == ["00000", "00001", "00002", "00003"]


@pytest.mark.parametrize("fmt", [".flo", ".png"])
def test_the_folder_gives_the_flow_that_the_estimator_gives(tmp_path, fmt):
    video = make_video()
    compute([video], Difference(), tmp_path, fmt=fmt)
    direct = attach_flow(video, Difference(), None).flow
    read = attach_flow(video, Precomputed(tmp_path), None).flow
    for first, second in zip(direct, read, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=0 if fmt == ".flo" else 1 / 128)
    assert Precomputed(tmp_path).provenance(video)["estimator"] == "difference"


def test_an_interrupted_run_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        compute([make_video()], Difference(stop=2), tmp_path)
    assert len(list(tmp_path.rglob("*.flo"))) == 2
    again = Difference()
    compute([make_video()], again, tmp_path)
    assert again.calls == 1
    done = Difference()
    compute([make_video()], done, tmp_path)
    assert done.calls == 0


def test_a_damaged_file_is_computed_again(tmp_path):
    compute([make_video()], Difference(), tmp_path)
    path = tmp_path / "cat/00001.flo"
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    again = Difference()
    compute([make_video()], again, tmp_path)
    assert again.calls == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("video", "estimator", "what"),
    [
        (make_video(), Difference(gain=2.0), "settings"),
        (make_video(levels=(0, 10, 40, 42)), Difference(), "frames"),
    ],
)
def test_flow_of_something_else_is_not_mixed_in(tmp_path, video, estimator, what):
    compute([make_video()], Difference(), tmp_path)
    with pytest.raises(InputError, match=rf"provenance\.json is of flow of other {what}; remove"):
        compute([video], estimator, tmp_path)


def test_flow_of_unknown_origin_is_not_mixed_in(tmp_path):
    compute([make_video()], Difference(), tmp_path)
    (tmp_path / "cat/provenance.json").unlink()
    with pytest.raises(InputError, match=r"cat: holds flow that was not written here, e\.g\. 00000\.flo"):
        compute([make_video()], Difference(), tmp_path)


def test_formats_are_not_mixed(tmp_path):
    compute([make_video()], Difference(), tmp_path)
    with pytest.raises(InputError, match=r"flow of another format, e\.g\. 00000\.flo"):
        compute([make_video()], Difference(), tmp_path, fmt=".png")


def test_flow_of_other_frames_is_noticed_when_it_is_used(tmp_path):
    compute([make_video()], Difference(), tmp_path)
    changed = make_video(levels=(0, 10, 40, 42))
    flow = Precomputed(tmp_path).read(changed)
    assert flow[1][0, 0, 0] == 30
    with pytest.raises(InputError, match=r"cat/provenance\.json: .*another frame 00003 than that of cat"):
        flow[2]
    (tmp_path / "cat/provenance.json").unlink()
    assert Precomputed(tmp_path).read(changed)[2][0, 0, 0] == 1


def test_a_damaged_provenance_is_named(tmp_path):
    compute([make_video()], Difference(), tmp_path)
    (tmp_path / "cat/provenance.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match=r"cat/provenance\.json: damaged"):
        Precomputed(tmp_path).read(make_video())


def test_forward_flow_is_not_read_as_backward(tmp_path):
    compute([make_video()], Difference(), tmp_path / "backward")
    with pytest.raises(InputError, match=r"provenance\.json: the flow is forward, not backward"):
        Precomputed(tmp_path, direction="backward").read(make_video())


def test_ground_truth_of_the_videos_is_not_what_is_written(tmp_path):
    truth = [np.full((2, 4, 6), 99, np.float32)] * 3
    compute([replace(make_video(), flow=truth)], Difference(), tmp_path)
    assert read_flo(tmp_path / "cat/00000.flo")[0, 0, 0] == 10


def test_the_cache_is_used_and_filled(tmp_path):
    compute([make_video()], Difference(), tmp_path / "a", cache=tmp_path / "cache")
    again = Difference()
    compute([make_video()], again, tmp_path / "b", cache=tmp_path / "cache")
    assert again.calls == 0


@pytest.mark.parametrize(
    ("videos", "options", "message"),
    [
        ([make_video()], {"fmt": ".pfm"}, r"unknown format of flow files '\.pfm': choose|did you mean"),
        ([make_video(), make_video()], {}, "two videos are called cat"),
    ],
)
def test_wrong_choices_are_explained(tmp_path, videos, options, message):
    with pytest.raises(InputError, match=message):
        compute(videos, Difference(), tmp_path, **options)


def test_flow_in_files_is_not_computed(tmp_path):
    with pytest.raises(InputError, match="in files already"):
        compute([make_video()], Precomputed(tmp_path), tmp_path / "out")


def test_the_dot_of_a_format_may_be_left_out(tmp_path):
    compute([make_video()], Difference(), tmp_path, fmt="png")
    assert (tmp_path / "cat/00000.png").is_file()


def test_flow_too_large_for_the_format_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cat/00000\.png: flow of 512 pixels or more.*write \.flo"):
        compute([make_video()], Difference(gain=100.0), tmp_path, fmt=".png")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match=r"out/cat/provenance\.json: cannot be written"):
        compute([make_video()], Difference(), tmp_path / "out")
