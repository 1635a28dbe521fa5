"""Detections of frames: their union, and files that the benchmark reads."""

import json

import numpy as np
import pytest

from vosbench.evaluation.detections import DetectionFolder
from vosbench.formats.coco_results import write_detections
from vosbench.formats.run_length import decode_segmentation
from vosbench.method import Detections
from vosbench.scoring.protocol import load_protocol
from vosbench.video import Video

SIZE = (20, 30)


def square(top, left, side=8):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def found(*items):
    masks = np.stack([square(top, left) for top, left, _ in items])
    boxes = np.array([(left, top, left + 8, top + 8) for top, left, _ in items], np.float32)
    return Detections(boxes, np.array([score for *_, score in items], np.float32), masks)


def test_the_union_takes_scores_above_the_threshold_only():
    detections = found((1, 1, 0.9), (3, 4, 0.71), (10, 20, 0.7))
    union = detections.union(0.7)
    assert union.dtype == np.uint8
    np.testing.assert_array_equal(union, square(1, 1) | square(3, 4))


def test_without_detections_there_is_an_empty_union():
    none = Detections.none(*SIZE)
    assert len(none) == 0
    assert none.union(0.7).shape == SIZE
    assert not none.union(0.7).any()
    assert not none.best().any()


def test_the_best_score_of_each_pixel():
    best = found((1, 1, 0.9), (3, 4, 0.5)).best()
    assert best[4, 5] == np.float32(0.9)
    assert best[10, 11] == np.float32(0.5)
    assert best[0, 0] == 0


def video(frames=3):
    annotations = {}
    for t in range(frames):
        annotations[t] = np.where(square(2, 2 + t), 1, np.where(square(10, 18), 2, 0)).astype(np.uint8)
    pictures = np.zeros((frames, *SIZE, 3), np.uint8)
    return Video("car", pictures, tuple(f"{t:05d}" for t in range(frames)), annotations)


def test_files_say_what_was_detected(tmp_path):
    detections = [found((2, 2, 0.9), (10, 18, 0.25)), Detections.none(*SIZE), found((2, 4, 0.5))]
    path = write_detections(tmp_path / "out", video(), detections)
    assert path == tmp_path / "out/car.json"
    entries = json.loads(path.read_text())
    assert [(entry["image_id"], entry["score"]) for entry in entries] == [
        ("00000", pytest.approx(0.9)),
        ("00000", 0.25),
        ("00002", 0.5),
    ]
    assert entries[1]["bbox"] == [18, 10, 8, 8]
    np.testing.assert_array_equal(decode_segmentation(entries[1]["segmentation"], *SIZE), square(10, 18))


def test_files_are_scored_by_the_protocol_of_detections(tmp_path):
    """All found in the first frame, one of two in the second; the last one is not evaluated."""
    pytest.importorskip("faster_coco_eval", reason="extra coco is not installed")
    detections = [found((2, 2, 0.9), (10, 18, 0.8)), found((2, 3, 0.95)), Detections.none(*SIZE)]
    write_detections(tmp_path, video(), detections)
    folder = DetectionFolder.open(tmp_path, ["car"], load_protocol("davis16-map50"))
    values = folder.score(video()).values
    # three of four objects, none wrong: precision 1 up to a recall of 3/4
    assert values == {name: pytest.approx(76 / 101, abs=1e-6) for name in ("map50_det", "map50_seg")}


def test_every_frame_has_its_detections(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        write_detections(tmp_path, video(), [found((2, 2, 0.9))])
