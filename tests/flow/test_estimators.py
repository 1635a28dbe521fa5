import subprocess
import sys

import cv2
import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import (
    DIS,
    ESTIMATORS,
    TVL1,
    DeepFlow,
    Farneback,
    FlowEstimator,
    Precomputed,
    build_estimator,
    parse_flow,
)
from vosbench.formats.flo import write_flo
from vosbench.video import Video


def textured(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_finds_a_shift_right_and_down(preset):
    large = textured(120, 160)
    first, second = large[10:110, 10:150], large[7:107, 5:145]  # content moves 5 right, 3 down
    flow = DIS(preset)(first, second)
    assert flow.shape == (2, 100, 140)
    assert flow.dtype == np.float32
    inner = flow[:, 20:-20, 20:-20]
    assert np.median(inner[0]) == pytest.approx(5, abs=0.2)
    assert np.median(inner[1]) == pytest.approx(3, abs=0.2)


def test_farneback_finds_a_shift_right_and_down():
    large = textured(120, 160)
    flow = Farneback()(large[10:110, 10:150], large[7:107, 5:145])
    assert flow.shape == (2, 100, 140)
    assert flow.dtype == np.float32
    inner = flow[:, 20:-20, 20:-20]
    assert np.median(inner[0]) == pytest.approx(5, abs=0.3)
    assert np.median(inner[1]) == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5)])
def test_farneback_takes_any_size(size):
    first, second = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    flow = Farneback()(first, second)
    assert flow.shape == (2, *size)
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("estimator", [DeepFlow, TVL1])
def test_contributed_estimators_run_or_say_which_package_has_them(estimator):
    if not hasattr(cv2, "optflow"):
        with pytest.raises(InputError, match="install opencv-contrib-python-headless"):
            estimator()
        return
    large = textured(120, 160)
    flow = estimator()(large[10:110, 10:150], large[7:107, 5:145])
    assert np.median(flow[0, 20:-20, 20:-20]) == pytest.approx(5, abs=0.3)
    assert np.median(flow[1, 20:-20, 20:-20]) == pytest.approx(3, abs=0.3)


class Solver:
    def calc(self, first, second, start):
        assert first.ndim == 2
        assert start.dtype == np.float32
        return start + np.float32([2, 7])


@pytest.mark.parametrize(
    ("name", "function"), [("deepflow", "createOptFlow_DeepFlow"), ("tvl1", "createOptFlow_DualTVL1")]
)
def test_contributed_estimators_ask_opencv_for_their_function(monkeypatch, name, function):
    monkeypatch.setattr(cv2, "optflow", type("optflow", (), {function: Solver}), raising=False)
    flow = build_estimator(name)(*np.zeros((2, 4, 6, 3), np.uint8))
    assert flow.shape == (2, 4, 6)
    assert (flow[0] == 2).all()
    assert (flow[1] == 7).all()


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("dis", "dis", {}),
        ("dis:fast", "dis", {"preset": "fast"}),
        ("dis:preset=fast", "dis", {"preset": "fast"}),
        ("raft:a/raft-small.pth,iterations=24", "raft", {"weights": "a/raft-small.pth", "iterations": 24}),
        ("raft_small:C_T_V1, device=cuda:1", "raft_small", {"weights": "C_T_V1", "device": "cuda:1"}),
        (
            "precomputed:a/flow,direction=backward",
            "precomputed",
            {"folder": "a/flow", "direction": "backward"},
        ),
    ],
)
def test_short_texts_name_an_estimator_and_its_settings(text, name, settings):
    assert parse_flow(text) == (name, settings)


def test_a_folder_means_precomputed_flow(tmp_path):
    assert parse_flow(str(tmp_path)) == ("precomputed", {"folder": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("diss", "unknown flow estimator 'diss': did you mean dis"),
        ("flows/davis", "flows/davis: no such folder of precomputed flow"),
        ("farneback:3", "farneback has no settings"),
        ("dis:fast,medium", "'preset' is given twice"),
        ("raft:iteration=3", "unknown setting of flow estimator raft 'iteration': did you mean iterations"),
        ("raft:iterations=many", "'iterations' is a number, not 'many'"),
    ],
)
def test_wrong_texts_are_explained(text, message):
    with pytest.raises(InputError, match=message):
        parse_flow(text)


def test_every_estimator_is_documented():
    assert all(estimator.__doc__ for estimator in ESTIMATORS.values())


def test_dis_is_the_same_on_any_number_of_threads():
    large = textured(200, 300)
    first, second = large[4:, 6:], large[:-4, :-6]
    before = cv2.getNumThreads()
    try:
        flows = []
        for threads in (1, 2, 3):
            cv2.setNumThreads(threads)
            flows.append(DIS()(first, second))
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(flows[0], flows[1])
    assert np.array_equal(flows[0], flows[2])


@pytest.mark.parametrize("size", [(1, 1), (11, 300), (15, 200), (300, 5), (24, 900)])
def test_dis_survives_small_and_narrow_frames(size):
    # In a process of its own, because OpenCV crashes on some of these sizes when they are not padded.
    code = f"""
import numpy as np
from vosbench.flow.estimators import DIS
first, second = np.random.default_rng(0).integers(0, 256, (2, *{size}, 3)).astype(np.uint8)
for preset in ("ultrafast", "fast", "medium"):
    flow = DIS(preset)(first, second)
    assert flow.shape == (2, *{size}) and np.isfinite(flow).all(), (preset, flow.shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dis_without_starting_flow_gives_the_same():
    large = textured(100, 140)
    first, second = large[4:, 6:], large[:-4, :-6]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    plain = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    assert np.array_equal(DIS()(first, second), plain.transpose(2, 0, 1))


def test_settings_tell_results_apart():
    assert isinstance(DIS(), FlowEstimator)
    assert DIS().name == "dis"
    assert DIS().settings == {"preset": "medium", "opencv": cv2.__version__}
    assert DIS("fast").settings != DIS().settings


def test_build_by_name(tmp_path):
    assert build_estimator("dis", preset="fast").settings["preset"] == "fast"
    assert isinstance(build_estimator("precomputed", folder=tmp_path), Precomputed)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("diss", {}, "unknown flow estimator 'diss': did you mean dis"),
        ("dis", {"preset": "mediun"}, "unknown preset of dis 'mediun': did you mean medium"),
        ("dis", {"presett": "fast"}, "unknown setting of flow estimator dis 'presett': did you mean preset"),
        ("precomputed", {}, "flow estimator precomputed needs 'folder'"),
        ("precomputed", {"folder": "/nowhere"}, "/nowhere: no such folder"),
    ],
)
def test_wrong_choices_are_explained(name, settings, message):
    with pytest.raises(InputError, match=message):
        build_estimator(name, **settings)


@pytest.fixture
def video():
    frames = [np.zeros((4, 6, 3), np.uint8)] * 3
    return Video("cat", frames, ("00000", "00001", "00002"))


def test_precomputed_reads_a_file_per_frame_but_the_last(tmp_path, video):
    for index in range(2):
        write_flo(tmp_path / f"cat/0000{index}.flo", np.full((2, 4, 6), index + 0.1, np.float32))
    flow = attach_flow(video, Precomputed(tmp_path), None).flow
    assert len(flow) == 2
    assert np.array_equal(flow[1], np.full((2, 4, 6), 1.1, np.float32))


def test_precomputed_names_what_is_missing_or_wrong(tmp_path, video):
    write_flo(tmp_path / "cat/00000.flo", np.zeros((2, 4, 5), np.float32))
    with pytest.raises(InputError, match=r"cat/00001\.flo: missing"):
        Precomputed(tmp_path).read(video)
    write_flo(tmp_path / "cat/00001.flo", np.zeros((2, 4, 6), np.float32))
    with pytest.raises(InputError, match=r"cat/00000\.flo: flow is 5x4, the frames of cat are 6x4"):
        Precomputed(tmp_path).read(video)[0]
