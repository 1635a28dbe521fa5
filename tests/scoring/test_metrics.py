"""Metrics of a protocol as torchmetrics: their values are those of the tables, under every protocol."""

import json
import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from vosbench.formats.coco_results import write_detections
from vosbench.method import Detections
from vosbench.scoring.detections import score_detections
from vosbench.scoring.metrics import protocol_metrics
from vosbench.scoring.protocol import load_protocol, protocols
from vosbench.scoring.sequence import overall, score_sequence
from vosbench.video import Video

SEQUENCES = ("bird_0001", "bird_0002", "car_0001")
NEEDS_COCO = pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="extra coco is not installed")
IDS = [
    pytest.param(protocol.id, marks=NEEDS_COCO if protocol.objects == "detections" else ())
    for protocol in protocols()
]


def square(x, length=6):
    """Two squares that move a pixel a frame from `x` on."""
    ids = np.zeros((length, 12, 24), np.uint8)
    for t in range(length):
        ids[t, 2:5, x + t : x + t + 5] = 1
        ids[t, 7:10, x + t : x + t + 5] = 2
    return ids


def scores_of(protocol, folder):
    """Scores of three sequences; the prediction lags by one, two and three pixels."""
    scores = {}
    for lag, name in enumerate(SEQUENCES, start=1):
        target, predicted = square(5), square(5 - lag)
        names = tuple(map(str, range(len(target))))
        truth = Video(name, np.zeros((*target.shape, 3), np.uint8), names, dict(enumerate(target)))
        if protocol.objects != "detections":
            scores[name] = score_sequence(predicted, truth.annotations, protocol)
            continue
        boxes = np.array([[0, 0, 1, 1]] * 2, np.float32)
        frames = [
            Detections(boxes, np.array([0.9, 0.8], np.float32), np.stack([ids == 1, ids == 2]))
            for ids in predicted
        ]
        file = write_detections(folder, truth, frames)
        scores[name] = score_detections(file.read_bytes(), file, truth, protocol)
    return scores


@pytest.mark.parametrize("name", IDS)
def test_every_value_of_every_protocol_is_that_of_the_tables(tmp_path, name):
    protocol = load_protocol(name)
    scores = scores_of(protocol, tmp_path)
    metrics = protocol_metrics(protocol, protocol.metrics, "test/", SEQUENCES)
    for sequence, score in scores.items():
        metrics.update(sequence, score)
    values = {name: value.item() for name, value in metrics.compute().items()}
    expected = {f"test/{name}": value for name, value in overall(scores, protocol).items()}
    assert expected
    # to the last bit
    assert values == expected


def test_a_value_that_no_sequence_has_is_not_a_number():
    metrics = protocol_metrics(load_protocol("segtrack-iou"), ("iou",))
    with torch.no_grad():
        assert math.isnan(metrics["iou_mean"].compute().item())


@NEEDS_COCO
def test_detections_of_all_sequences_are_pooled(tmp_path):
    """The mean over sequences differs: in the pool, detections compete by their scores."""
    protocol = load_protocol("davis16-map50")
    scores = scores_of(protocol, tmp_path)
    pooled = overall(scores, protocol)["map50_seg"]
    assert json.loads(scores["car_0001"].evidence[0])["image_id"] == "car_0001/0"
    assert pooled != np.mean([score.values["map50_seg"] for score in scores.values()])
