"""Sources of the values of a configuration: file, line and comment of every key of a YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_COMMENT = re.compile(r"\s*(?::\s*)?(?:[&*]\w+\s*)?#\s?(.*)")
_ALONE = re.compile(r"(\s*)#\s?(.*)")


@dataclass(frozen=True)
class KeySource:
    """Place of a key in a YAML file.

    Attributes:
        place: file and line, e.g. ``"recipe/stcnn.yaml:38"``.
        text: value as it stands there, of a key without keys below.
        comment: comment of the value, also where it goes on in the following lines; ``""`` without.
        above: lines of comment above the key.
    """

    place: str
    text: str
    comment: str
    above: tuple[str, ...] = ()


def key_sources(path: Path) -> Mapping[str, KeySource]:
    """Return dotted key -> source, of every key of a YAML file; anchors and merges lead to where values are.

    Args:
        path: of a configuration group, e.g. ``configs/recipe/stcnn.yaml``.
    """
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return {}
    file, lines = f"{path.parent.name}/{path.name}", text.splitlines()
    return {key: _source(file, lines, name, value) for key, name, value in _keys(root, "")}


def header(path: Path) -> str:
    """Return the first comment of a YAML file as one line; ``""`` without."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment: list[str] = []
    for line in lines:
        found = _ALONE.fullmatch(line)
        if found is None:
            break
        comment.append(found[2].strip())
    return " ".join(comment)


def _keys(mapping: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield dotted key, node of its name, node of its value; merged keys first, as others replace them."""
    own = []
    for name, value in mapping.value:
        if name.tag == "tag:yaml.org,2002:merge":
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for other in reversed(merged):
                yield from _keys(other, prefix)
        else:
            own.append((name, value))
    for name, value in own:
        key = f"{prefix}{name.value}"
        yield key, name, value
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, f"{key}.")


def _source(file: str, lines: list[str], name: yaml.Node, value: yaml.Node) -> KeySource:
    # the comment of a block stands behind its key, that of a value behind the value
    block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    aliased = (value.start_mark.line, value.start_mark.column) < (name.end_mark.line, name.end_mark.column)
    mark = (
        name.end_mark if block or aliased or value.start_mark.line != name.start_mark.line else value.end_mark
    )
    line, column = mark.line, mark.column
    found = _COMMENT.fullmatch(lines[line][column:]) if line < len(lines) else None
    comment = [] if found is None else [found[1].strip()]
    for following in lines[line + 1 :] if comment else ():
        more = _ALONE.fullmatch(following)
        # a comment further to the right than keys goes on with the one above
        if more is None or len(more[1]) <= name.start_mark.column + 1:
            break
        comment.append(more[2].strip())
    single = value.start_mark.line == value.end_mark.line
    text = lines[value.start_mark.line][value.start_mark.column : value.end_mark.column] if single else ""
    place = f"{file}:{name.start_mark.line + 1}"
    return KeySource(place, text, " ".join(comment), tuple(_above(lines, name)))


def _above(lines: list[str], name: yaml.Node) -> list[str]:
    above: list[str] = []
    for line in reversed(lines[: name.start_mark.line]):
        found = _ALONE.fullmatch(line)
        if found is None or len(found[1]) != name.start_mark.column:
            break
        above.insert(0, found[2].strip())
    return above


def flow_text(value: Any) -> str:
    """Return a value as YAML in one line, numbers as YAML reads them again."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("...\n").strip()
