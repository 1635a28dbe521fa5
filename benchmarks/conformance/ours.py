"""Values of the videos by vosbench: by `score_sequence` and `overall`, and by its torchmetrics."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric, MetricCollection
from videos import VOID, Case, Detection

from vosbench.evaluation.detections import DetectionFolder
from vosbench.metrics import FBMSMeasure, JFMeasure, MaskAveragePrecision, MeanFrameIoU, ObjectCountError
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import SequenceScore, overall, score_sequence
from vosbench.video import Video

Values = dict[str, float]

CROWDS = "-crowds"
"""Behind the name of a protocol: regions may be crowds, which no protocol has."""


class Scored:
    """Videos scored under a protocol as `vosbench score` and `vosbench compare` do."""

    def __init__(self, protocol: str, cases: Sequence[Case], folder: Path) -> None:
        self._protocol = load_protocol(protocol)
        self._scores = {case.name: self._score(case, folder) for case in cases}

    def videos(self) -> list[Values]:
        return [_numbers(score.values) for score in self._scores.values()]

    def whole(self) -> Values:
        return _numbers(overall(self._scores, self._protocol))

    def _score(self, case: Case, folder: Path) -> SequenceScore:
        truth = {t: case.target[t] for t in case.labelled}
        if self._protocol.objects == "detections":
            (folder / f"{case.name}.json").write_text(json.dumps(results(case)), encoding="utf-8")
            video = Video(case.name, list(case.pred), tuple(f"{t:05}" for t in range(len(case.pred))), truth)
            return DetectionFolder.open(folder, [case.name], self._protocol).score(video)
        # T has no other reading to compare with
        letters = [name for name in self._protocol.metrics if name != "t"]
        return score_sequence(case.pred, truth, self._protocol, letters, partial=case.partial)


class Torchmetrics:
    """Videos in a collection of torchmetrics, one `forward` per video."""

    def __init__(self, protocol: str, cases: Sequence[Case]) -> None:
        self._protocol = load_protocol(protocol.removesuffix(CROWDS))
        self._classes = self._protocol.average == "classes"
        names = sorted({case.name.partition("_")[0] for case in cases}) if self._classes else None
        self._collection = MetricCollection(_metrics(self._protocol, names))
        self._videos = [_plain(self._forward(case)) for case in cases]

    def videos(self) -> list[Values]:
        return self._videos

    def whole(self) -> Values:
        return _plain(self._collection.compute())

    def _forward(self, case: Case) -> dict[str, torch.Tensor]:
        if self._protocol.objects == "detections":
            return self._detections(case)
        rows = list(case.labelled[self._protocol.frames == "after_first" :])
        pred, target = (torch.from_numpy(ids[rows]) for ids in (case.pred, case.target))
        void = target == VOID
        more: dict[str, Any] = {"category": case.name.partition("_")[0]} if self._classes else {}
        if self._protocol.objects == "volumes":
            more["uncovered"] = pred == VOID if case.partial else None
        if self._protocol.objects == "volumes" or self._protocol.void == "ignore":
            target, more["void"] = target * ~void, void
        values = self._collection(pred, target, **more)
        # that of its class says nothing more of one video
        return {name: value for name, value in values.items() if "/" not in name}

    def _detections(self, case: Case) -> dict[str, torch.Tensor]:
        """Forward a video frame by frame; its value is that of a metric of its own."""
        alone = MaskAveragePrecision()
        for t in self._protocol.evaluated(len(case.target)):
            ids = np.where(case.target[t] == VOID, 0, case.target[t])
            detections = case.detections[t]
            masks = np.array([detection.mask for detection in detections], bool).reshape(-1, *ids.shape)
            frame = {
                "masks": torch.from_numpy(masks),
                "scores": torch.tensor([detection.score for detection in detections], dtype=torch.float64),
                "boxes": torch.tensor([box(item) for item in detections], dtype=torch.float64).reshape(-1, 4),
            }
            crowd = torch.tensor([i in case.crowds for i in np.unique(ids).tolist() if i], dtype=torch.bool)
            for metric in (alone, self._collection):
                metric.update(frame, torch.from_numpy(ids), crowd, f"{case.name}/{t:05}")
        return dict(alone.compute())


def _metrics(protocol: Protocol, classes: list[str] | None) -> list[Metric]:
    if protocol.objects == "detections":
        return [MaskAveragePrecision()]
    if protocol.objects == "volumes":
        assert protocol.variant is not None
        return [FBMSMeasure(protocol.variant, f_rule=protocol.f_rule), ObjectCountError()]
    if "iou" in protocol.metrics:
        return [MeanFrameIoU(classes)]
    assert protocol.frames in ("inner", "all")
    return [JFMeasure(protocol.frames, protocol.objects)]


def results(case: Case) -> list[dict[str, Any]]:
    """Detections in the format of COCO results, written without its library."""
    return [
        {
            "image_id": f"{t:05}",
            "category_id": 1,
            "score": detection.score,
            "segmentation": {"size": list(detection.mask.shape), "counts": run_lengths(detection.mask)},
            "bbox": box(detection),
        }
        for t, frame in enumerate(case.detections)
        for detection in frame
    ]


def run_lengths(mask: Any) -> list[int]:
    """Lengths of runs, column by column, zeros first."""
    flat = np.concatenate(([False], mask.ravel(order="F")))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff([0, *edges, mask.size])]


def box(detection: Detection) -> list[float]:
    """Box of a detection, or of its mask: x, y, width, height."""
    if detection.box is not None:
        return list(detection.box)
    return tight(detection.mask)


def tight(mask: Any) -> list[float]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return [0.0] * 4
    return [float(x) for x in (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)]


def _numbers(values: Any) -> Values:
    return {name: float("nan") if value is None else float(value) for name, value in values.items()}


def _plain(values: dict[str, torch.Tensor]) -> Values:
    return {name: value.item() for name, value in values.items()}
