"""BibTeX entries of the papers behind the rows of a leaderboard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vosbench.errors import InputError, shown
from vosbench.leaderboard.board import Board, BoardRow
from vosbench.leaderboard.reported import packaged

_HEAD = re.compile(r"@(\w+)\s*\{\s*([^\s,{}]+)\s*,")
_ROWS = re.compile(r"(?:,\s*)?\brows\s*=\s*\{([^{}]*)\}")


@dataclass(frozen=True)
class BibtexEntry:
    """One BibTeX entry.

    Attributes:
        key: what the command ``cite`` takes.
        text: the entry, without the field ``rows``.
        rows: methods it stands for.
    """

    key: str
    text: str
    rows: tuple[str, ...]


def parse_bibtex(text: str, source: str) -> list[BibtexEntry]:
    """Return the entries of a BibTeX file; text between entries is a comment.

    Args:
        text: content of the file.
        source: file name for messages.

    Raises:
        InputError: an entry without an end or a key that is there twice.
    """
    entries: dict[str, BibtexEntry] = {}
    position = 0
    while head := _HEAD.search(text, position):
        position = _end(text, head, source)
        whole = text[head.start() : position]
        named = _ROWS.search(whole)
        rows = tuple(name.strip() for name in named.group(1).split(",")) if named else ()
        key = head.group(2)
        if key in entries:
            raise InputError(f"{source}: the key {shown(key)} is there twice; rename one")
        entries[key] = BibtexEntry(key, _ROWS.sub("", whole).strip(), rows)
    return list(entries.values())


def load_bibliography() -> dict[str, BibtexEntry]:
    """Return method name -> the entry of its paper in ``papers.bib``, which vosbench ships.

    Raises:
        InputError: the file is missing or damaged.
    """
    source = packaged("papers.bib")
    entries = parse_bibtex(source.read_text(encoding="utf-8"), str(source))
    return {name: entry for entry in entries for name in entry.rows}


def citations(boards: Iterable[Board], known: Mapping[str, BibtexEntry]) -> dict[str, BibtexEntry]:
    """Return name of a row -> entry, for the rows of some boards whose paper is known.

    An added method brings its entry in its records; the other entries are those of `known`.

    Raises:
        InputError: the entry in a record is damaged, or its key stands for another paper elsewhere.
    """
    cited: dict[str, BibtexEntry] = {}
    texts: dict[str, str] = {}
    for row in (row for board in boards for row in board.rows):
        entry = _own_entry(row) or known.get(row.model) or known.get(row.method)
        if entry is None:
            continue
        if texts.setdefault(entry.key, entry.text) != entry.text:
            raise InputError(
                f"the BibTeX key {shown(entry.key)} of {row.name} stands for two papers; rename one"
            )
        cited[row.model] = entry
    return cited


def references(cited: Mapping[str, BibtexEntry]) -> str:
    """Return BibTeX with every cited entry once, ordered by key."""
    texts = {entry.key: entry.text for entry in cited.values()}
    return "\n\n".join(texts[key] for key in sorted(texts)) + "\n" if texts else ""


def _own_entry(row: BoardRow) -> BibtexEntry | None:
    papers = [record.provenance.get("paper") for record in row.records.values()]
    text = next((paper["bibtex"] for paper in papers if paper and paper.get("bibtex")), None)
    entries = [] if text is None else parse_bibtex(text, f"records of {row.name}")
    return entries[0] if entries else None


def _end(text: str, head: re.Match[str], source: str) -> int:
    """Return the position after the brace that closes the entry."""
    depth = 1
    for position in range(text.index("{", head.start()) + 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            return position + 1
    raise InputError(f"{source}: the entry {shown(head.group(2))} has no end; close its braces")
