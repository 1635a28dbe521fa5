"""Published numbers of every sequence, frame or object, as records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from vosbench.errors import InputError, one_line, shown
from vosbench.evaluation.record import Record
from vosbench.leaderboard.reported import packaged
from vosbench.metrics.kernels.statistics import sequence_statistics
from vosbench.plain_data import read_json
from vosbench.scoring.protocol import load_protocol

PUBLISHED = ("davis16.json", "davis17.json")
"""Files in ``leaderboards/third_party``; the script beside each wrote it."""

REPORTED = "reported"
"""Key of the provenance that marks a record of published numbers."""

SAME_MASKS = "published_as"
"""Key of ``masks`` in the provenance of a record: the published method whose values come from these masks."""

COMPARED = ("J", "F")
"""Measures whose values of frames are held against published ones; T is computed in several ways."""


def load_published(path: Path | None = None) -> list[Record]:
    """Return published numbers as records, one per method and sequence.

    Their provenance has the key ``reported``: ``title`` of the method, ``source``, ``licence``, ``note``,
    ``file``, ``table`` (metric -> value of the data set as printed) and ``remarks`` (metric -> what to
    know about it); and ``objects`` where the values are of several.

    Where a protocol has the rules of all these values, T included, there is a second record under it, without
    remarks.

    Recall is left out where a frame is printed as exactly one half: whether it counts cannot be known.

    Args:
        path: JSON of the form of ``leaderboards/third_party/davis16.json``; all that vosbench ships
            when None.

    Raises:
        InputError: the file is missing or is not of that form.
    """
    if path is None:
        return [record for name in PUBLISHED for record in _shipped(name)]
    return _records(read_json(path), path.name)


def disagreements(records: Iterable[Record], published: Iterable[Record]) -> list[str]:
    """Return where values of frames differ from those published for the same masks.

    J and F of every frame have to be the published ones to their last printed digit.

    Args:
        records: any; those whose provenance does not name a published method are left out.
        published: values of others.
    """
    known = {(other.model, other.dataset, other.split, other.sequence): other for other in published}
    messages = []
    for record in records:
        name = published_name(record)
        if name is None:
            continue
        other = known.get((name, record.dataset, record.split, record.sequence))
        where = f"{record.model} on {record.sequence}"
        if other is None:
            messages.append(f"{where}: nothing is published of {name} there")
            continue
        messages += [f"{where}: {text}" for text in _differences(record, other)]
    return messages


def published_name(record: Record) -> str | None:
    """Return the published method whose values come from the masks of a record; None where none is named."""
    name = record.provenance.get("masks", {}).get(SAME_MASKS)
    return None if name is None else str(name)


def published_text(content: Mapping[str, Any]) -> str:
    """Return the text of a file of published numbers: JSON with one line per method and sequence."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in content.items() if key != "methods"]
    lines.append('"methods": {')
    for number, (name, method) in enumerate(content["methods"].items(), start=1):
        about = {key: value for key, value in method.items() if key != "sequences"}
        lines.append(f' {json.dumps(name)}: {json.dumps(about)[:-1]}, "sequences": {{')
        cells = [
            f"  {json.dumps(sequence)}: {json.dumps(cell, separators=(',', ':'))}"
            for sequence, cell in method["sequences"].items()
        ]
        lines += [f"{cell}," for cell in cells[:-1]] + cells[-1:]
        lines.append(" }}," if number < len(content["methods"]) else " }}")
    return "{\n" + "\n".join(lines) + "\n}}\n"


@cache
def _shipped(name: str) -> tuple[Record, ...]:
    return tuple(_records(read_json(packaged(f"third_party/{name}")), name))


def _records(content: Mapping[str, Any], file: str) -> list[Record]:
    try:
        records = [
            record
            for name, method in content["methods"].items()
            for sequence, cell in method["sequences"].items()
            for record in _under_each(_record(content, file, name, method, sequence, cell), content)
        ]
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: not a file of published numbers ({one_line(error)}); write it again with the script "
            "beside it"
        ) from None
    for record in records:
        record.check(f"{file}: {shown(record.model)} on {shown(record.sequence)}")
    return records


def _under_each(record: Record, content: Mapping[str, Any]) -> list[Record]:
    """Return the record under the protocol of its task and under that of the whole table."""
    rules = content.get("protocol")
    if rules is None:
        return [record]
    source = {**record.provenance[REPORTED], "remarks": {}}
    values = _with_mean(record.values, rules)
    return [record, replace(record, protocol=rules, values=values, provenance={REPORTED: source})]


def _with_mean(values: Mapping[str, float | None], protocol: str) -> dict[str, float | None]:
    j, f = values["J_mean"], values["F_mean"]
    if "jf" not in load_protocol(protocol).metrics or j is None or f is None:
        return dict(values)
    return {**values, "JF_mean": (j + f) / 2}


def _record(
    content: Mapping[str, Any],
    file: str,
    name: str,
    method: Mapping[str, Any],
    sequence: str,
    cell: Mapping[str, Any],
) -> Record:
    frames = {letter: _parts(series, content["unit"]) for letter, series in cell.get("per_frame", {}).items()}
    objects = {
        letter: _parts(values, content["unit"]) for letter, values in cell.get("per_object", {}).items()
    }
    values = _of_objects(objects) | _of_frames(frames) | cell.get("values", {})
    sources = [content["sources"][source] for source in method["sources"]]
    source = {
        "title": method["title"],
        "source": "; ".join(source["text"] for source in sources),
        "licence": "; ".join(source["licence"] for source in sources),
        "note": " ".join(text for text in (content["note"], method["note"]) if text),
        "file": file,
        "table": method["table"],
        "remarks": content["remarks"],
    }
    provenance: dict[str, Any] = {REPORTED: source}
    if objects:
        provenance |= {"objects": len(objects["J"]), "per_object": objects}
    return Record(
        model=name,
        size="",
        dataset=content["dataset"],
        edition="official",
        split=content["split"],
        sequence=sequence,
        protocol=method["protocol"],
        # the first and the last frame are not evaluated; values of objects have no number of frames
        frames=len(frames["J"]) + 2 if frames else 0,
        key="",
        values=_with_mean(values, method["protocol"]),
        per_frame=frames,
        seconds_per_frame={},
        provenance=provenance,
    )


def _parts(values: Sequence[int | None], unit: int) -> list[float | None]:
    return [None if value is None else value / unit for value in values]


def _of_frames(frames: Mapping[str, Sequence[float | None]]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for letter in (letter for letter in COMPARED if letter in frames):
        series = [float("nan") if value is None else value for value in frames[letter]]
        for name, value in sequence_statistics(series).items():
            if name != "recall" or 0.5 not in series:
                values[f"{letter}_{name}"] = value
    return values


def _of_objects(objects: Mapping[str, Sequence[float | None]]) -> dict[str, float | None]:
    means = {}
    for letter, values in objects.items():
        numbers = [value for value in values if value is not None]
        means[f"{letter}_mean"] = sum(numbers) / len(numbers)
    return dict(means)


def _differences(record: Record, published: Record) -> list[str]:
    messages = []
    for letter in COMPARED:
        ours, theirs = record.per_frame.get(letter, []), published.per_frame.get(letter, [])
        if len(ours) != len(theirs):
            messages.append(f"{len(ours)} values of {letter}, {len(theirs)} are published")
            continue
        # the first evaluated frame is the second of the sequence
        pairs = [(i + 1, _printed(a), _printed(b)) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
        others = [pair for pair in pairs if pair[1] != pair[2]]
        if others:
            frame, ours_there, theirs_there = others[0]
            messages.append(
                f"{letter} of {len(others)} of {len(pairs)} frames is not the published value, "
                f"of frame {frame} {ours_there} instead of {theirs_there}"
            )
    return messages


def _printed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
