"""Folder of detections: one results file of the COCO format per sequence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vosbench.errors import InputError
from vosbench.evaluation.results.layout import found_names, missing_names
from vosbench.evaluation.results.trees import Tree, open_tree
from vosbench.scoring.detections import score_detections
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, check_detection_library
from vosbench.video import Video


@dataclass(frozen=True)
class DetectionFolder:
    """Detections of a method: ``<sequence>.json`` in a folder or a zip archive.

    Each file is a list of detections, in the format of COCO results: ``image_id`` (the name of the
    frame), ``score``, ``segmentation`` (``size`` and run-length ``counts``) and, where it is not the
    tight box of the mask, ``bbox`` (x, y, width, height). A frame without an entry has no detection.

    Attributes:
        tree: the folder or archive.
        protocol: which frames count.
        notes: how the folder was read.
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
        """Score the detections of a video, see `score_detections`."""
        file = f"{video.name}.json"
        return score_detections(self.tree.read(file), self.tree.where(file), video, self.protocol)
