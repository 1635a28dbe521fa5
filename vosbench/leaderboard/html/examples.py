"""Example comparison for pages without frames of their own: records and pictures of miniatures, one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.leaderboard.html.pictures import MOST_FRAMES, Album, SequencePictures
from vosbench.plain_data import Range, Whole, check_kind, read_json

EXAMPLES = Path("mini/examples.json")
"""Path of the file, beside the tables of a leaderboard."""

_INDICES = [Range(0, 1_000_000)]
_PICTURES = Whole(
    width=Range(1, 4096),
    height=Range(1, 4096),
    names=[str],
    indices=_INDICES,
    images=[str],
    truth=Whole(at=_INDICES, runs=str),
    masks={"*": str},
)
_FILE = Whole(records=[dict], pictures={"*": {"*": _PICTURES}})


@dataclass(frozen=True)
class Examples:
    """Records of miniatures, and the pictures of their sequences."""

    records: tuple[Record, ...]
    album: Album

    def text(self) -> str:
        """Return the content of the file: JSON, one record or sequence a line.

        Raises:
            InputError: a record is of a real data set, whose frames are not to be published.
        """
        for record in self.records:
            _check_edition(record, "examples")
        pictures: dict[str, dict[str, Any]] = {}
        for (label, sequence), shown in self.album.of.items():
            pictures.setdefault(label, {})[sequence] = shown.content
        records = ",\n".join(map(_compact, (asdict(record) for record in self.records)))
        labels = ",\n".join(
            f"{_compact(label)}: {{\n{_lines(sequences)}\n}}" for label, sequences in pictures.items()
        )
        return f'{{"records": [\n{records}\n], "pictures": {{\n{labels}\n}}}}\n'


def read_examples(path: Path) -> Examples:
    """Read the file that `Examples.text` gives.

    Raises:
        InputError: missing, of another kind, or with records of a real data set.
    """
    content = read_json(path, "file of examples", "write it again: leaderboards/mini/examples.py")
    check_kind(content, _FILE, f"{path}")
    stated = enumerate(content["records"])
    records = tuple(_record(fields, f"{path}: record {place}") for place, fields in stated)
    of = {
        (label, sequence): _sequence_pictures(fields, f"{path}: {label:.60}/{sequence:.60}")
        for label, sequences in content["pictures"].items()
        for sequence, fields in sequences.items()
    }
    return Examples(records, Album(of))


def _record(fields: Mapping[str, Any], where: str) -> Record:
    try:
        record = Record(**fields)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from None
    record.check(where)
    _check_edition(record, where)
    return record


def _check_edition(record: Record, where: str) -> None:
    if record.edition != "mini":
        raise InputError(
            f"{where}: {record.label} is no miniature; frames of data sets are not to be published"
        )


def _sequence_pictures(fields: Mapping[str, Any], where: str) -> SequencePictures:
    indices, at = fields["indices"], fields["truth"]["at"]
    if not 0 < len(indices) == len(fields["images"]) <= MOST_FRAMES:
        raise InputError(f"{where}: {len(fields['images'])} pictures of {len(indices)} frames")
    if max(indices) >= len(fields["names"]) or max(at, default=0) >= len(indices):
        raise InputError(f"{where}: a frame beyond the last one")
    return SequencePictures(
        size=(fields["width"], fields["height"]),
        names=tuple(fields["names"]),
        indices=tuple(indices),
        images=tuple(fields["images"]),
        truth=tuple(at),
        truth_runs=fields["truth"]["runs"],
        masks=fields["masks"],
    )


def _lines(items: Mapping[str, Any]) -> str:
    return ",\n".join(f"{_compact(name)}: {_compact(value)}" for name, value in items.items())


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
