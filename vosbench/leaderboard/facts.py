"""Facts about the making of a board, from the provenance of its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vosbench.leaderboard.board import Board, BoardRow

_SHARED = (
    ("optical flow", "flow"),
    ("device", "device"),
    ("machine", "machine"),
    ("versions", "versions"),
)
"""Facts shown of a whole board: label, key of the provenance."""

_ELSEWHERE = frozenset({"config", "objects"})
"""Keys left out of the details: their parts are listed beside them, the records have them in full."""


def facts(board: Board) -> list[tuple[str, str]]:
    """Return (label, text) of the facts of a board; where methods differ, each text names its methods."""
    items = [(label, _shared(board, key)) for label, key in _SHARED]
    items += [("code", _code(board)), ("measured", _dates(board))]
    return [(label, text) for label, text in items if text]


def provenance(board: Board, row: BoardRow) -> list[tuple[str, str]]:
    """Return (key, text) of the provenance that the records of a row hold."""
    records = list(row.records.values())
    path = f"{board.label}/{board.protocol.id}/{row.model}/"
    shown = [("records", path)] if row.kind == "measured" else []
    for key in sorted({key for record in records for key in record.provenance} - _ELSEWHERE):
        texts = sorted({describe(record.provenance.get(key)) for record in records} - {""})
        if texts:
            others = f" (and {len(texts) - 1} other values)" if len(texts) > 1 else ""
            shown.append((key.replace("_", " "), texts[0] + others))
    return shown


def describe(value: Any) -> str:
    """Return one line of text for a value of the provenance, nested mappings as ``key value``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text}" for key, item in value.items() if (text := describe(item)))
    if isinstance(value, list | tuple):
        return " ".join(describe(item) for item in value)
    return str(value)


def _shared(board: Board, key: str) -> str:
    methods: dict[str, list[str]] = {}
    for row in board.rows:
        for text in sorted({describe(record.provenance.get(key)) for record in row.records.values()} - {""}):
            methods.setdefault(text, []).append(row.name)
    # a method without flow has none to name: that is no difference between methods
    if len(methods) == 1:
        return next(iter(methods))
    return "; ".join(f"{text} [{', '.join(names)}]" for text, names in methods.items())


def _code(board: Board) -> str:
    states = [record.provenance.get("git") for row in board.rows for record in row.records.values()]
    changed = {True: "", False: " with local changes"}
    commits = {f"commit {git['commit'][:12]}{changed[git['clean']]}" for git in states if git}
    return ", ".join(sorted(commits))


def _dates(board: Board) -> str:
    times = [record.provenance.get("time") for row in board.rows for record in row.records.values()]
    days = sorted({str(time)[:10] for time in times if time})
    if not days:
        return ""
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
