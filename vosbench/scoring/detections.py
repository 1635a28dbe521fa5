"""Score of the detections of one sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vosbench.errors import InputError, one_line
from vosbench.formats.coco_results import detections_by_frame
from vosbench.metrics.kernels.detection import DetectionPool
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, check_detection_library
from vosbench.video import VOID, Video


def score_detections(content: bytes, where: Path, video: Video, protocol: Protocol) -> SequenceScore:
    """Score a results file of the COCO format, frame by frame.

    Args:
        content: of the file.
        where: the file, for messages.
        video: with the ground truth of the protocol.
        protocol: the rules, those of detections.

    Raises:
        InputError: the file is not of that format, names frames that the video lacks, the detections or the
            ground truth of a frame cannot be used, or the library that scores is not installed.
    """
    check_detection_library()
    detections = detections_by_frame(content, where, video)
    pool = DetectionPool()
    regions = 0
    for index in protocol.evaluated(len(video), video.annotations):
        name = video.frame_names[index]
        if index not in video.annotations:
            raise InputError(f"no ground truth for frame {name}, which {protocol.id} evaluates")
        # the object of a void pixel is not known: the pixel belongs to no region
        target = np.where(video.annotations[index] == VOID, 0, video.annotations[index])
        regions = max(regions, int(target.max(initial=0)))
        try:
            pool.add_frame(target, detections.get(name, []), image_id=f"{video.name}/{name}")
        except ValueError as error:
            raise InputError(f"{where}: frame {name}: {one_line(error)}") from None
    return SequenceScore(pool.compute(), objects=regions, evidence=tuple(pool.records))
