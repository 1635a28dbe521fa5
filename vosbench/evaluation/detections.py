"""Reading and scoring detections: one results file of the COCO format per sequence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.results.layout import found_names, missing_names
from vosbench.evaluation.results.trees import Tree, open_tree
from vosbench.formats.coco_results import detections_by_frame
from vosbench.metrics.kernels.detection import DetectionPool
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, check_detection_library
from vosbench.video import VOID, Video


@dataclass(frozen=True)
class DetectionFolder:
    """Detections of other people's methods: ``<sequence>.json`` in a folder or a zip archive.

    Each file is a list of detections, in the format of COCO results: ``image_id`` (the name of the
    frame), ``score``, ``segmentation`` (``size`` and run-length ``counts``) and, where it is not the
    tight box of the mask, ``bbox`` (x, y, width, height). A frame without an entry has no detection.

    Attributes:
        tree: the folder or archive.
        protocol: which frames count.
        notes: how the folder was understood.
    """

    tree: Tree
    protocol: Protocol
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, sequences: Collection[str], protocol: Protocol) -> DetectionFolder:
        """Find a file for every sequence.

        Raises:
            InputError: no such folder, a sequence is missing, or the library that scores is not there.
        """
        check_detection_library()
        tree = open_tree(path)
        absent = [name for name in sequences if not tree.is_file(f"{name}.json")]
        if absent:
            raise InputError(
                f"{path}: no detections for {len(absent)} of {len(sequences)} sequences: "
                f"{missing_names(absent, found_names(tree, '', detections=True))}; "
                f"protocol {protocol.id} expects {tree.where(absent[0])}.json and so on, lists of detections "
                "in the format of COCO results"
            )
        return cls(tree, protocol)

    def score(self, video: Video) -> SequenceScore:
        """Score the detections of `video`, frame by frame.

        Raises:
            InputError: the file is not of that format, names frames that the video lacks, or the
                detections of a frame cannot be used.
        """
        file = f"{video.name}.json"
        found = detections_by_frame(self.tree.read(file), self.tree.where(file), video)
        pool = DetectionPool()
        regions = 0
        for index in self.protocol.evaluated(len(video), video.annotations):
            name = video.frame_names[index]
            if index not in video.annotations:
                raise InputError(f"no ground truth for frame {name}, which {self.protocol.id} evaluates")
            # of a void pixel nobody says what it is: it belongs to no region that is to be found
            target = np.where(video.annotations[index] == VOID, 0, video.annotations[index])
            regions = max(regions, int(target.max(initial=0)))
            try:
                pool.add_frame(target, found.get(name, []), image_id=f"{video.name}/{name}")
            except ValueError as error:
                raise InputError(f"{self.tree.where(file)}: frame {name}: {error}") from None
        return SequenceScore(pool.compute(), objects=regions, evidence=tuple(pool.records))
