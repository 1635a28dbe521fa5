"""Record of one method on one sequence under one protocol, with the evidence for its values."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vosbench.errors import InputError
from vosbench.files import write_text

SCHEMA = 1


@dataclass(frozen=True)
class _Result:
    """Method, sequence and protocol of a record or a failure."""

    model: str
    size: str
    dataset: str
    edition: str
    split: str
    sequence: str
    protocol: str

    def write(self, path: Path) -> None:
        """Write this as JSON, atomically."""
        write_text(path, json.dumps(_without_nan(asdict(self)), indent=1, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Record(_Result):
    """Values of one method on one sequence under one protocol, and their evidence.

    Attributes:
        model: method name, e.g. ``"mpnet"``.
        size: ``"full"``, ``"tiny"`` or, for methods without sizes, ``""``.
        dataset: data set name, e.g. ``"davis16"``.
        edition: ``"official"`` or ``"mini"``; mini numbers are never shown as official ones.
        split: e.g. ``"val"``.
        sequence: sequence name.
        protocol: protocol id.
        frames: number of frames of the sequence.
        key: hash over method, weights, flow, data and protocol; equal keys mean nothing to redo, as long
            as the masks are those of ``provenance["content"]``.
        values: metric name -> sequence value as a fraction; None where undefined (an empty mask has no T).
        per_frame: metric letter -> value of each evaluated frame (or pair of frames, for T).
        seconds_per_frame: step (``"flow"``, ``"segment"``, ``"score"``) -> seconds.
        provenance: command, config and its hash, weights and their hash, data hash, flow, versions,
            git state, device, precision, time; ``load`` of the machine while the seconds were measured, see
            `vosbench.environment.load`; ``training``, how weights of one's own were trained, as
            far as known; ``content``, the hashes of what the values follow from:
            ``masks`` (see `vosbench.scoring.predictions`), ``truth``, ``protocol`` and the
            ``metric_version``; ``scored``, when the masks were scored again later.
    """

    frames: int
    key: str
    values: dict[str, float | None]
    per_frame: dict[str, list[float | None]]
    seconds_per_frame: dict[str, float]
    provenance: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def label(self) -> str:
        """Label of the data set's edition, e.g. ``"davis16-mini"``."""
        return self.dataset if self.edition == "official" else f"{self.dataset}-{self.edition}"

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record.

        Raises:
            InputError: the file is not a record of this schema.
        """
        try:
            record = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: not a vosbench record ({error}); delete it to compute it again"
            ) from None
        if record.schema != SCHEMA:
            raise InputError(f"{path}: record schema {record.schema}, this version reads {SCHEMA}")
        return record


@dataclass(frozen=True)
class Failure(_Result):
    """Missing result: a method that failed on a sequence.

    Attributes:
        model, size, dataset, edition, split, sequence, protocol: as in `Record`; the size is ``""``
            where none was chosen.
        error: what went wrong, one line.
        command: what the user ran.
        time: when.
    """

    error: str
    command: str
    time: str

    @classmethod
    def read(cls, path: Path) -> Failure:
        """Read a failure.

        Raises:
            InputError: the file is something else.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not the file of a failure ({error}); delete it") from None


def record_path(root: Path, dataset: str, protocol: str, model: str, sequence: str) -> Path:
    """Return where the record, or the failure, of one model on one sequence lives under `root`.

    `dataset` is the label of the edition, e.g. ``"davis16"`` or ``"davis16-mini"``.
    """
    return root / dataset / protocol / model / f"{sequence}.json"


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
