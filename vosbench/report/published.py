"""Numbers that others measured and published for every sequence and frame, as records."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from vosbench.benchmark.protocols import load_protocol
from vosbench.benchmark.record import Record
from vosbench.errors import InputError
from vosbench.report.reported import packaged

PUBLISHED = ("davis16.json",)
"""Files in ``leaderboards/third_party``; the script beside each wrote it."""

REPORTED = "reported"
"""Key of the provenance that tells such a record from one of a measurement here."""


def load_published(path: Path | None = None) -> list[Record]:
    """Return published numbers as records, one per method and sequence.

    Their provenance has one key, ``reported``: ``title`` of the method, ``source``, ``licence``,
    ``note`` and ``file``.

    Args:
        path: JSON of the form of ``leaderboards/third_party/davis16.json``; all that vosbench ships
            when None.

    Raises:
        InputError: the file is missing or is not of that form.
    """
    if path is None:
        return [record for name in PUBLISHED for record in _shipped(name)]
    return _records(path.read_text(encoding="utf-8"), path.name)


@cache
def _shipped(name: str) -> tuple[Record, ...]:
    return tuple(_records(packaged(f"third_party/{name}").read_text(encoding="utf-8"), name))


def _records(text: str, file: str) -> list[Record]:
    try:
        content = json.loads(text)
        return [
            _record(content, file, name, method, sequence, cell)
            for name, method in content["methods"].items()
            for sequence, cell in method["sequences"].items()
        ]
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: not a file of published numbers ({error}); write it again with the script beside it"
        ) from None


def _record(
    content: dict[str, Any], file: str, name: str, method: dict[str, Any], sequence: str, cell: dict[str, Any]
) -> Record:
    values: dict[str, float | None] = dict(cell["values"])
    if "jf" in load_protocol(method["protocol"]).metrics:
        values["JF_mean"] = (cell["values"]["J_mean"] + cell["values"]["F_mean"]) / 2
    told = {
        "title": method["title"],
        "source": content["source"],
        "licence": content["licence"],
        "note": " ".join(text for text in (content["note"], method["note"]) if text),
        "file": file,
    }
    return Record(
        model=name,
        size="",
        dataset=content["dataset"],
        edition="official",
        split=content["split"],
        sequence=sequence,
        protocol=method["protocol"],
        # the first and the last frame are not evaluated
        frames=len(cell["per_frame"]["J"]) + 2,
        key="",
        values=values,
        per_frame=cell["per_frame"],
        seconds_per_frame={},
        provenance={REPORTED: told},
    )
