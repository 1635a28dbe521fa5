"""Record of one method on one sequence under one protocol, with the evidence for its values."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vosbench.errors import InputError, is_path_name, one_line, shown
from vosbench.files import write_text
from vosbench.models.pretrained.weight_files import TRAINING_KIND, WEIGHTS_KIND
from vosbench.plain_data import ANY, Range, Whole, check_kind, read_json

SCHEMA = 1

_RECORD_FILE = ("vosbench record", "delete it to compute it again")

_COUNT = Range(0, 10**9)
_NUMBER = Range(-1e9, 1e9)
_VALUES = {ANY: (_NUMBER, None)}
_TEXTS = ("model", "size", "dataset", "edition", "split", "sequence", "protocol")

_LOAD = {"cores": _COUNT, "before": (_NUMBER, None), "after": (_NUMBER, None)}
_PROVENANCE = {
    "command": str,
    "time": str,
    "objects": _COUNT,
    "peak_memory": Range(0, 10**15),
    "frame_size": [Range(1, 10**6)],
    "config": {"model": str, "protocol": {"version": _COUNT, ANY: object}, "metric_version": _COUNT},
    "content": {"masks": str, ANY: object},
    "flow": (None, dict),
    "git": (None, Whole(commit=str, clean=bool)),
    "identity": {ANY: str},
    "load": (None, {"seconds": _NUMBER, "cpu_seconds": _NUMBER, **_LOAD}),
    "masks": {"published_as": str, "sha256": (str, None)},
    "paper": (None, {"title": (str, None), "url": (str, None), "bibtex": (str, None)}),
    "reported": Whole({"title": str, "source": str, "table": _VALUES, "remarks": {ANY: str}, ANY: str}),
    "training": TRAINING_KIND,
    "versions": {ANY: (str, None)},
    "weights": (None, WEIGHTS_KIND),
}
_RECORD = {
    **dict.fromkeys(_TEXTS, str),
    "schema": int,
    "frames": Range(0, 10**7),
    "key": str,
    "values": _VALUES,
    "per_frame": {ANY: [(_NUMBER, None)]},
    "seconds_per_frame": {ANY: Range(0.0, 1e9)},
    "provenance": _PROVENANCE,
}
"""Kinds of the fields of a record, and of the parts of its provenance that tables read."""

_FAILURE = {**dict.fromkeys(_TEXTS, str), "error": str, "command": str, "time": str}


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
        content = read_json(path, *_RECORD_FILE)
        if content.get("schema", SCHEMA) != SCHEMA:
            raise InputError(f"{path}: record schema {shown(content['schema'])}, this version reads {SCHEMA}")
        try:
            record = cls(**content)
        except TypeError as error:
            kind, remedy = _RECORD_FILE
            raise InputError(f"{path}: not a {kind} ({one_line(error)}); {remedy}") from None
        record.check(f"{path}")
        return record

    def check(self, where: str) -> None:
        """Check kinds, ranges and names of a record that was read.

        Args:
            where: its file, for messages.

        Raises:
            InputError: names the key.
        """
        check_kind(_without_nan(vars(self)), _RECORD, where)
        _check_names(self, where)
        for letter, values in self.per_frame.items():
            if self.frames and len(values) > self.frames:
                raise InputError(f"{where}: {len(values)} values of {letter:.60} for {self.frames} frames")


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
        content = read_json(path, "file of a failure", "delete it")
        try:
            failure = cls(**content)
        except TypeError as error:
            raise InputError(f"{path}: not a file of a failure ({one_line(error)}); delete it") from None
        check_kind(vars(failure), _FAILURE, f"{path}")
        _check_names(failure, f"{path}")
        return failure


def record_path(root: Path, dataset: str, protocol: str, model: str, sequence: str) -> Path:
    """Return where the record, or the failure, of one model on one sequence lives under `root`.

    `dataset` is the label of the edition, e.g. ``"davis16"`` or ``"davis16-mini"``.
    """
    return root / dataset / protocol / model / f"{sequence}.json"


def _check_names(result: _Result, where: str) -> None:
    """Refuse names that leave the folders named after them, or that break lines."""
    for key in _TEXTS:
        name = getattr(result, key)
        # methods may have no size
        if name and not is_path_name(name):
            raise InputError(f"{where}: {key} {shown(name)} is no name")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
