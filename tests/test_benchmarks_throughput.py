"""Throughput benchmark: inputs of the programs, and the report."""

import pytest
import torch


@pytest.fixture(scope="module")
def throughput(speed_program):
    return speed_program("throughput")


def test_pixels_and_flow_have_the_ranges_of_a_video(throughput):
    frames, flow = throughput.pixels((24, 40), 3, "cpu")
    assert (frames.shape, flow.shape) == ((3, 1, 3, 24, 40), (3, 1, 2, 24, 40))
    assert 0 <= frames.min() < frames.max() <= 255
    assert -10 <= flow.min() < 0 < flow.max() <= 10


def test_every_program_runs_the_batch_it_is_asked_for(throughput, monkeypatch):
    tiny = throughput.build
    monkeypatch.setattr(throughput, "build", lambda name: tiny(name, "tiny"))
    with torch.inference_mode():
        assert len(throughput.program("fusionseg", "cpu", [1, 2], (48, 64))(2)) == 2
        assert len(throughput.program("motion_maskrcnn", "cpu", [2], (48, 64))(2)) == 2
        with pytest.raises(KeyError):
            throughput.program("motion_maskrcnn", "cpu", [2], (48, 64))(3)


def test_report_has_rates_ratios_and_the_best_batch(throughput):
    seconds = {"fusionseg": (4.0, 6.0), "deeplabv3_resnet101": (2.0, 4.0), "motion_maskrcnn": (1.0, 4.0)}
    seconds["maskrcnn_resnet50_fpn"] = (1.0, 1.0)
    runs = [
        {"program": f"{name} {batch}", "round": 1, "seconds": spent, "frames": batch}
        for name, both in seconds.items()
        for batch, spent in zip((1, 2), both, strict=True)
    ]
    machine = throughput._where("cpu", 0.5)
    memory = {run["program"]: 100.0 * run["frames"] for run in runs}
    report = {"runs": runs, "memory_mb": memory, "batches": [1, 2], "machine": machine}
    text = throughput.to_markdown(report)
    assert "| fusionseg | 1 | 0.25 | 0.25 to 0.25 | 0.50 (0.50 to 0.50) | 100 |" in text
    assert "| fusionseg | 2, best | 0.333 | 0.333 to 0.333 | 0.67 (0.67 to 0.67) | 200 |" in text
    assert "| motion_maskrcnn | 1, best | 1 |" in text
    assert "| maskrcnn_resnet50_fpn | 2, best | 2 | 2 to 2 |  | 200 |" in text


def test_rates_of_methods_stand_beside_flow_and_torchvision(speed_program, tmp_path, monkeypatch):
    lite = speed_program("throughput_lite")
    monkeypatch.setattr(lite, "PEERS", {name: lite.PEERS[name] for name in ("lraspp_mobilenet_v3_large",)})
    threads = torch.get_num_threads()
    try:
        words = ["--methods", "mpnet", "--frames", "3", "--rounds", "1", "--size", "48", "64"]
        lite.main([*words, "--out", str(tmp_path)])
    finally:
        torch.set_num_threads(threads)
    lines = (tmp_path / "throughput_lite.md").read_text().splitlines()
    rows = {line.split(" | ")[0][2:]: line.split(" | ") for line in lines if line.startswith("| ")}
    assert set(rows) == {"program", "mpnet", "DIS flow", "lraspp_mobilenet_v3_large"}
    assert rows["program"][3:] == ["of DIS flow", "of lraspp_mobilenet_v3_large |"]
    assert (rows["DIS flow"][3], rows["lraspp_mobilenet_v3_large"][4]) == ("1", "1 |")


def test_ratios_are_of_cpu_time_round_by_round(speed_program):
    lite = speed_program("throughput_lite")
    times = {("mpnet", 1): 2.0, ("mpnet", 2): 8.0, ("DIS flow", 1): 1.0, ("DIS flow", 2): 2.0}
    runs = [
        {"program": name, "round": round_, "frames": 4, "seconds": 9.0, "cpu_seconds": spent}
        for (name, round_), spent in times.items()
    ]
    assert lite.ratios(runs, "mpnet", "DIS flow") == [0.5, 0.25]
