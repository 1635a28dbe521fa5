"""Predictions on disk: masks or detections of one method on one sequence, with a note of their origin.

The note makes numbers checkable and segmenting, the expensive part, avoidable: records name the hash of
what they scored, and predictions from the same inputs can be scored again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError
from vosbench.files import write_text
from vosbench.formats.png import read_ids, write_ids
from vosbench.tensor_files import sha256
from vosbench.video import IdMap, LazySequence


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
    """Masks or detections of one method on one sequence, there or not.

    Attributes:
        path: folder of masks, ``FRAME.png``; complete or absent. Or a file of detections.
        names: of the frames.
    """

    path: Path
    names: tuple[str, ...]

    @property
    def note(self) -> Path:
        """File of the `PredictionNote`."""
        return self.path.with_name(f".{self.path.name}.origin.json")

    def origin(self, inputs: str, content: str | None) -> PredictionNote | None:
        """Return the note when the prediction, of hash `content`, was made from `inputs`, else None."""
        try:
            origin = PredictionNote(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return origin if origin.inputs == inputs and origin.content == content else None

    def content(self) -> str | None:
        """Return the hash of what is there; None when that is nothing, or not what a method wrote."""
        try:
            if self.path.is_dir():
                return ids_hash(self.names, (read_ids(self.path / f"{name}.png") for name in self.names))
            return sha256(self.path)
        except (InputError, OSError):
            return None

    def finish(self, origin: PredictionNote) -> None:
        """Write the note beside the masks or detections, which are there already."""
        write_text(self.note, json.dumps(asdict(origin), indent=1, sort_keys=True) + "\n")

    def save_ids(self, maps: Iterable[IdMap]) -> str:
        """Write masks one by one; the folder appears when all are written.

        Args:
            maps: (H, W) uint8 ids of every frame, possibly still being computed.

        Returns:
            Hash of the masks, see `ids_hash`.
        """
        # One fixed name, unlike `whole_folder`: the run after a kill clears what the killed one left.
        partial = self.path.with_name(f".{self.path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)

        def written() -> Iterator[IdMap]:
            for name, ids in zip(self.names, maps, strict=True):
                write_ids(partial / f"{name}.png", ids)
                yield ids

        content = ids_hash(self.names, written())
        shutil.rmtree(self.path, ignore_errors=True)
        partial.rename(self.path)
        return content

    def read_ids(self) -> LazySequence[IdMap]:
        """Return the masks, each read when indexed."""
        return LazySequence(lambda index: read_ids(self.path / f"{self.names[index]}.png"), len(self.names))


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
