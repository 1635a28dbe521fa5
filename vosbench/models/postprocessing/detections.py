"""Detections in the frames of a video: as one mask, and as files that the benchmark scores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vosbench.files import write_text
from vosbench.formats.run_length import compress, run_lengths
from vosbench.video import IdMap, Video


@dataclass(frozen=True)
class Detections:
    """Objects found in a frame.

    Attributes:
        boxes: (N, 4) float32: x0, y0, x1, y1 in pixels.
        scores: (N,) float32.
        masks: (N, H, W) bool.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.bool_]

    @classmethod
    def none(cls, height: int, width: int) -> Detections:
        """Return what a frame without objects has."""
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return cls(boxes, scores, np.zeros((0, height, width), np.bool_))

    def __len__(self) -> int:
        return len(self.scores)

    def union(self, threshold: float) -> IdMap:
        """Return (H, W) uint8: 1 where a mask is whose score is above `threshold`, 0 elsewhere."""
        seen: NDArray[np.bool_] = np.any(self.masks[self.scores > threshold], axis=0)
        return seen.astype(np.uint8)

    def best(self) -> NDArray[np.float32]:
        """Return the highest score of the masks at each pixel, (H, W) float32, 0 where there is none."""
        result = np.zeros(self.masks.shape[1:], np.float32)
        for mask, score in zip(self.masks, self.scores, strict=True):
            np.maximum(result, score, out=result, where=mask)
        return result


def write_detections(folder: Path, video: Video, detections: Iterable[Detections]) -> Path:
    """Write ``SEQUENCE.json`` in the format of COCO results, as the protocol ``davis16-map50`` reads it.

    Args:
        folder: where; it is made.
        video: whose detections they are.
        detections: one item per frame, in order.

    Returns:
        The file.

    Raises:
        ValueError: another number of items than the video has frames.
    """
    entries = [
        entry
        for name, found in zip(video.frame_names, detections, strict=True)
        for entry in _entries(name, found)
    ]
    path = folder / f"{video.name}.json"
    write_text(path, json.dumps(entries, separators=(",", ":")) + "\n")
    return path


def _entries(name: str, found: Detections) -> list[dict[str, Any]]:
    corners = found.boxes.astype(np.float64)
    return [
        {
            "image_id": name,
            "category_id": 1,
            "score": float(score),
            "bbox": [round(float(value), 3) for value in (x0, y0, x1 - x0, y1 - y0)],
            "segmentation": {"size": list(mask.shape), "counts": compress(run_lengths(mask))},
        }
        for (x0, y0, x1, y1), score, mask in zip(corners, found.scores, found.masks, strict=True)
    ]
