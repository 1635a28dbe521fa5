"""Benchmark of the PNG reader: its masks; both decoders agree."""

import numpy as np
import pytest
from PIL import Image

from vosbench.formats.png import write_ids


@pytest.fixture(scope="module")
def png(speed_program):
    return speed_program("png")


@pytest.fixture
def masks(tmp_path):
    ids = np.zeros((20, 30), np.uint8)
    ids[4:9, 6:20] = 1
    for name in ("a/0", "a/1", "b/0"):
        write_ids(tmp_path / f"{name}.png", ids)
    Image.fromarray(np.dstack([ids] * 3)).save(tmp_path / "b" / "colour.png")
    return tmp_path


def test_masks_of_levels_are_read_and_colours_left_out(png, masks):
    assert len(png.read_masks(masks, every=1)) == 3
    assert len(png.read_masks(masks, every=2)) == 2


def test_both_decoders_agree_and_a_difference_is_noticed(png, masks, monkeypatch):
    found = png.read_masks(masks, every=1)
    png.check_equal(found)
    png.check_equal(png.written(found))
    monkeypatch.setattr(png, "plain", lambda data: np.zeros((20, 30), np.uint8))
    with pytest.raises(AssertionError, match="not equal"):
        png.check_equal(found)


def test_times_are_medians_of_rounds_per_mask(png, monkeypatch):
    clock = iter([0.0, 0.2, 1.0, 1.6, 2.0, 2.4])
    monkeypatch.setattr(png.time, "process_time", lambda: next(clock))
    assert png.measure([b"", b""], 3, {"x": len}) == {"x": pytest.approx(200.0)}


def test_the_report_has_the_ratio(png):
    machine = {
        "processor": "P",
        "cores": 2,
        "system": "S",
        "load_before": 0.1,
        "versions": {"pillow": "1"},
        "commit": "0" * 40,
        "changed": False,
        "date": "2026-01-01",
    }
    times = {"results": {"Pillow": 1.0, "vosbench": 0.125}}
    report = {"masks": 9, "rounds": 3, "milliseconds": times, "machine": machine}
    assert "| results | 1.00 | 0.12 | 8.0 |" in png.text(report)
