"""Benchmark of online training: counts, estimates, report."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def online(speed_program):
    return speed_program("online")


def test_the_full_network_is_counted_without_running_it(online):
    of_frame, of_step = online.flops((128, 128))
    twice, _ = online.flops((256, 128))
    # poolings to a fixed grid do not grow
    assert twice / of_frame == pytest.approx(2, rel=0.05)
    # a step also goes back through the spatial branch, which is most of the network
    assert 2 < of_step / of_frame < 3


def test_the_rate_follows_from_the_slope_of_the_published_times(online):
    paper = online.published()
    assert (paper[100], paper[400], len(paper)) == (1.11, 3.90, 6)
    assert online.implied_rate({0: 1.0, 10: 2.0}, of_step=69.0) == pytest.approx(10)
    assert online.implied_rate(paper, 3.34e12) == pytest.approx(5.2e12, rel=0.01)


def test_the_ellipse_is_an_object_that_moves(online):
    video = online.ellipse(5, (48, 64))
    assert (len(video), video.frames[0].shape) == (5, (48, 64, 3))
    assert set(np.unique(video.annotations[0])) == {0, 1}
    assert not np.array_equal(video.frames[0], video.frames[4])
    assert video.frames[0][video.annotations[0] == 1].min() >= 128


def test_more_steps_take_longer(online):
    video = online.ellipse(2, (32, 48))
    assert online.seconds(30, video) > online.seconds(1, video) > 0


def test_the_report_tells_measured_estimated_and_published_apart(online):
    machine = {
        "processor": "a processor",
        "cores": 2,
        "system": "Linux",
        "load_before": 0.1,
        "versions": {"torch": "2"},
        "commit": "0" * 40,
        "changed": False,
        "date": "2026-01-01",
    }
    runs = [
        {"steps": 100, "round": round_, "seconds": spent, "frames": 10}
        for round_, spent in ((1, 2.0), (2, 4.0))
    ]
    text = online.to_markdown(
        {
            "size": (135, 240),
            "full_size": (480, 854),
            "flop_per_frame": 1e12,
            "flop_per_step": 6.9e12,
            # 0.01 s per step and frame
            "paper": {100: 1.5, 200: 2.5},
            "runs": runs,
            "machine": machine,
        }
    )
    assert "| 100 | 0.300 (0.200 to 0.400) | 11.0 | 1.10 | 1.50 |" in text
    assert "| 200 | - | 21.0 | 2.10 | 2.50 |" in text
    assert "Estimated, not measured" in text


def test_it_wants_one_core(online, monkeypatch):
    monkeypatch.setattr("sys.argv", ["online.py"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with pytest.raises(SystemExit, match="OMP_NUM_THREADS=1"):
        online.main()


@pytest.mark.parametrize(
    ("name", "switches", "parts"),
    [
        ("stcnn", {"online_iterations": 2}, {"optimiser", "pictures", "gate"}),
        ("lip", {"online_iterations": 2, "id_tuning_iterations": 1}, {"optimiser"}),
    ],
)
def test_passes_of_size_lite_are_told_from_the_rest(online, name, switches, parts):
    before = online.torch.autograd.backward
    seconds = online.lite(name, 3, (64, 96), **switches)
    assert parts | {online.FORWARD, online.BACKWARD, online.OTHER} == seconds.keys()
    assert min(seconds.values()) > 0
    assert online.torch.autograd.backward is before


def test_the_share_of_the_passes_is_that_of_a_video(online):
    seconds = {"forward": 4.0, "backward": 5.0, "optimiser": 0.5, "other": 0.5}
    machine = {"processor": "P", "cores": 2, "system": "S", "load_before": 0.1, "versions": {}, "date": "D"}
    machine |= {"commit": "0" * 40, "changed": False}
    runs = [{"method": name, "round": 1, "frames": 4, "seconds": seconds} for name in ("stcnn", "lip")]
    assert online.share(seconds) == pytest.approx(0.9)
    text = online.to_markdown({"lite": {"runs": runs, "machine": machine}, "paper": {}})
    parts = "forward 4.0, backward 5.0, optimiser 0.5, other 0.5"
    assert f"| lip | 2.50 | {parts} | 0.90 (0.90 to 0.90) | yes |" in text
