"""Baseline: the numbers of a comparison in one small file, for checks on another day or machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from vosbench.errors import InputError, one_line, shown
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import content_hash
from vosbench.leaderboard.build import records_of
from vosbench.plain_data import read_json

SCHEMA = 1

_FILE = ("baseline", "write it with vosbench leaderboard baseline")

_SHORT = 12
"""Digits of a hash that a message shows."""

_ROW = ("model", "size", "dataset", "edition", "split", "protocol")


def baseline_text(records: Iterable[Record]) -> str:
    """Return records as a baseline: values and their identity, one line per method and sequence.

    Equal numbers give equal text, whatever the machine's speed and the time.
    """
    rows: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        rows.setdefault(tuple(getattr(record, name) for name in _ROW), []).append(record)
    parts = []
    for key in sorted(rows):
        shared = _shared([identity(record) for record in rows[key]])
        about = json.dumps({**dict(zip(_ROW, key, strict=True)), "identity": shared})[1:-1]
        cells = [_cell_text(record, shared) for record in sorted(rows[key], key=attrgetter("sequence"))]
        parts.append(f' {{{about}, "sequences": {{\n' + ",\n".join(cells) + "\n }}")
    return f'{{"schema": {SCHEMA}, "rows": [\n' + ",\n".join(parts) + "\n]}\n"


def read_baseline(path: Path) -> list[Record]:
    """Return the records of a baseline.

    Args:
        path: a file that holds a `baseline_text`, or a folder of records.

    Raises:
        InputError: there is no such file or folder, or it is neither.
    """
    if not path.is_file():
        # numbers of another version of the rules are what a check compares with, so they stay
        return [replace(record, provenance=_identified(record)) for record in records_of(path)]
    try:
        content = read_json(path, *_FILE)
        if content["schema"] != SCHEMA:
            schema = shown(content["schema"])
            raise InputError(f"{path}: baseline schema {schema}, this version reads {SCHEMA}")
        records = [
            _record(row, sequence, cell)
            for row in content["rows"]
            for sequence, cell in row["sequences"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        kind, remedy = _FILE
        raise InputError(f"{path}: not a {kind} ({one_line(error)}); {remedy}") from None
    for record in records:
        record.check(f"{path}: {shown(record.model)} on {shown(record.sequence)}")
    return records


def identity(record: Record) -> dict[str, str]:
    """Return the inputs behind a record's numbers: short hashes of weights, rules, data, flow, versions."""
    provenance = record.provenance
    if "identity" in provenance:
        return dict(provenance["identity"])
    config = provenance.get("config", {})
    weights = provenance.get("weights") or {}
    masks = provenance.get("masks") or {}
    inputs = {
        "weights": weights.get("sha256") or weights.get("weights"),
        "switches": weights.get("variant"),
        "masks": masks.get("sha256"),
        "flow": provenance.get("flow"),
        "protocol": config.get("protocol"),
        "metric version": config.get("metric_version"),
        "data": provenance.get("data_hash"),
    }
    return {name: _short(value) for name, value in inputs.items() if value is not None}


def _identified(record: Record) -> dict[str, Any]:
    return {"identity": identity(record), "objects": int(record.provenance.get("objects", 1))}


def _short(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)[:_SHORT]
    return content_hash(value)[:_SHORT]


def _shared(identities: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the parts that all identities share."""
    first, *others = identities
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _cell_text(record: Record, shared: dict[str, str]) -> str:
    own = {key: value for key, value in identity(record).items() if key not in shared}
    cell = {
        "frames": record.frames,
        "objects": int(record.provenance.get("objects", 1)),
        "identity": own,
        "values": {
            name: None if value is None else round(value, 6) for name, value in sorted(record.values.items())
        },
    }
    return f"  {json.dumps(record.sequence)}: {json.dumps(cell)}"


def _record(row: dict[str, Any], sequence: str, cell: dict[str, Any]) -> Record:
    return Record(
        **{name: row[name] for name in _ROW},
        sequence=sequence,
        frames=cell["frames"],
        key="",
        values=cell["values"],
        per_frame={},
        seconds_per_frame={},
        provenance={"identity": row["identity"] | cell["identity"], "objects": cell["objects"]},
    )
