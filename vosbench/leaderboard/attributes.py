"""Difficulties that the authors of a data set annotated, and what each method reaches on them."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass, replace
from functools import cache

from vosbench.leaderboard.board import Board, BoardRow, data_set_values
from vosbench.plain_data import read_yaml


@dataclass(frozen=True)
class Attribute:
    """One difficulty.

    Attributes:
        code: as the authors abbreviate it, e.g. ``"OCC"``.
        name: in words.
        sequences: names of the sequences that show it.
    """

    code: str
    name: str
    sequences: tuple[str, ...]


def attributes_of(board: Board) -> list[Attribute]:
    """Return the attributes of a board's data set that at least one of its sequences shows.

    Miniature editions have none: their videos are others.
    """
    if board.mini:
        return []
    present = set(board.sequences)
    shown = [
        replace(attribute, sequences=tuple(name for name in attribute.sequences if name in present))
        for attribute in _attributes().get(board.dataset, ())
    ]
    return [attribute for attribute in shown if attribute.sequences]


def attribute_value(board: Board, row: BoardRow, attribute: Attribute, metric: str) -> float | None:
    """Return the value of a metric over the sequences with an attribute, averaged as in the protocol.

    None when the method lacks one of them: its mean would be over other videos than its neighbours'.
    """
    records = {name: row.records[name] for name in attribute.sequences if name in row.records}
    if len(records) < len(attribute.sequences):
        return None
    return data_set_values(records, board.protocol).get(metric)


@cache
def _attributes() -> dict[str, list[Attribute]]:
    file = importlib.resources.files("vosbench.leaderboard").joinpath("davis_attributes.yaml")
    content = read_yaml(file)
    attributes = [
        Attribute(code, item["name"], tuple(item["sequences"]))
        for code, item in content["attributes"].items()
    ]
    return dict.fromkeys(content["datasets"], attributes)
