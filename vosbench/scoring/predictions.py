"""Predictions on disk: masks or detections of one method on one sequence, and their origin.

Records name the hash of the prediction that they scored, so numbers can be checked. A prediction from the
same inputs is scored again without segmenting, the expensive part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError
from vosbench.files import whole_folder, write_text
from vosbench.formats.coco_results import write_detections
from vosbench.formats.png import read_ids, write_ids
from vosbench.method import Detections
from vosbench.pipeline import Writer
from vosbench.plain_data import read_json
from vosbench.tensor_files import sha256
from vosbench.video import IdMap, LazySequence, Video


@dataclass(frozen=True)
class PredictionNote:
    """Origin of a prediction, kept beside it.

    Attributes:
        inputs: hash of everything that the method was given.
        content: hash of the prediction.
        seconds_per_frame: step (``"flow"``, ``"segment"``) -> seconds.
        provenance: versions, git state, device, precision, time, memory, load of the machine.
    """

    inputs: str
    content: str
    seconds_per_frame: Mapping[str, float]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class PredictionStore:
    """Masks or detections of one method on one sequence.

    Attributes:
        path: folder of masks, ``FRAME.png``, complete or absent; or a file of detections, ``SEQUENCE.json``.
        names: of the frames.
    """

    path: Path
    names: tuple[str, ...]

    @property
    def holds_detections(self) -> bool:
        """Whether this is a file of detections."""
        return self.path.suffix == ".json"

    def note(self, inputs: str, content: str | None) -> PredictionNote | None:
        """Return the note of a prediction of hash `content` that was made from `inputs`, else None."""
        try:
            note = PredictionNote(**read_json(self._note_file))
        except (InputError, TypeError):
            return None
        return note if note.inputs == inputs and note.content == content else None

    def content(self) -> str | None:
        """Return the hash of the prediction; None without a complete one."""
        try:
            if self.path.is_dir():
                return ids_hash(self.names, (read_ids(self.path / f"{name}.png") for name in self.names))
            return sha256(self.path)
        except (InputError, OSError):
            return None

    def save_note(self, note: PredictionNote) -> None:
        """Write the note beside masks or detections."""
        write_text(self._note_file, json.dumps(asdict(note), indent=1, sort_keys=True) + "\n")

    def save_ids(self, maps: Iterable[IdMap]) -> str:
        """Write masks one by one while the next are made; the folder appears when all are written.

        Args:
            maps: (H, W) uint8 ids of every frame, possibly still being computed.

        Returns:
            Hash of the masks, see `ids_hash`.
        """
        with whole_folder(self.path) as folder, Writer() as writer:

            def written() -> Iterator[IdMap]:
                for name, ids in zip(self.names, maps, strict=True):
                    # a method may use the array again for its next map
                    writer.call(write_ids, folder / f"{name}.png", ids.copy())
                    yield ids

            return ids_hash(self.names, written())

    def save_detections(self, video: Video, detections: Iterable[Detections]) -> str:
        """Write the detections of every frame, in order, and return the SHA-256 of their file."""
        return sha256(write_detections(self.path.parent, video, detections))

    def read_ids(self) -> LazySequence[IdMap]:
        """Return the masks, each read when indexed."""
        return LazySequence(lambda index: read_ids(self.path / f"{self.names[index]}.png"), len(self.names))

    @property
    def _note_file(self) -> Path:
        return self.path.with_name(f".{self.path.name}.origin.json")


def ids_hash(names: Iterable[str], masks: Iterable[IdMap]) -> str:
    """Return the SHA-256 of masks: of the names of their frames, their sizes and their ids.

    Ids as decoded are hashed, not files: the same masks in another container have the same hash.
    """
    digest = hashlib.sha256()
    for name, ids in zip(names, masks, strict=True):
        digest.update(json.dumps([name, *ids.shape]).encode())
        digest.update(np.ascontiguousarray(ids).data)
    return digest.hexdigest()


def masks_path(out: Path, label: str, model: str, sequence: str) -> Path:
    """Return the folder of the masks of one model on one sequence; complete or absent."""
    return out / "masks" / label / model / sequence
