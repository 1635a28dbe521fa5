"""YAML and JSON of others: plain data within limits, whose reading resolves, imports and runs nothing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from vosbench.errors import InputError, one_line, shown
from vosbench.files import read_bytes

MOST_BYTES = 1 << 25
"""Size of a JSON file, far above that of records and of lists of the frames of a data set."""

MOST_YAML_BYTES = 1 << 22
MOST_DEPTH = 48
MOST_VALUES = 200_000
"""Limits of YAML, where aliases count as what they stand for; the depth is that of JSON, too."""

MOST_DIGITS = 18
"""Digits of a whole number: what 64 bits hold."""

_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the constructors of YAML raise for values that do not fit their tags."""


def read_json(source: Traversable, kind: str = "JSON file", remedy: str = "copy it again") -> dict[str, Any]:
    """Read a JSON file of at most 32 MiB whose outermost value is an object.

    Args:
        source: the file.
        kind: what it should be, for messages.
        remedy: what to do about another one, for messages.

    Raises:
        InputError: missing, larger, another value, or as `parse_json`.
    """
    value = parse_json(read_bytes(source, MOST_BYTES), source, kind, remedy)
    if not isinstance(value, dict):
        raise InputError(f"{source}: not a {kind} (it holds no JSON object {{...}}); {remedy}")
    return value


def parse_json(
    content: str | bytes, where: object, kind: str = "JSON file", remedy: str = "copy it again"
) -> Any:
    """Return the value of JSON: finite numbers, whole ones of at most 18 digits, nested at most 48 deep.

    Args:
        content: text; bytes are UTF-8.
        where: the file, for messages.
        kind: what it should be, for messages.
        remedy: what to do about another one, for messages.

    Raises:
        InputError: no JSON, or beyond the limits.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(
            text, parse_int=_whole_number, parse_float=_finite_number, parse_constant=_constant
        )
        check_extent(value, len(text))
        _check_text(text, value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a {kind} ({one_line(error)}); {remedy}") from None
    return value


def read_yaml(source: Traversable) -> dict[str, Any]:
    """Read a YAML file of at most 4 MiB whose top level is a mapping.

    Raises:
        InputError: missing, larger, another value, or as `parse_yaml`.
    """
    content = parse_yaml(read_bytes(source, MOST_YAML_BYTES), source)
    if not isinstance(content, dict):
        raise InputError(f"{source}: the top level must be a mapping")
    return content


def parse_yaml(content: str | bytes, where: object) -> Any:
    """Return the value of YAML: mappings, lists, texts, numbers, true, false and null.

    Dates are texts. At most 200 000 values, nested at most 48 deep, aliases counted as what they stand for.

    Args:
        content: text; bytes are UTF-8.
        where: the file, for messages.

    Raises:
        InputError: no YAML, a key that is no text or number or is there twice, or beyond the limits.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        extent = _Extent()
        for event in yaml.parse(text, _PARSER):
            extent.take(event)
        return yaml.load(text, _Loader)  # noqa: S506 safe, see there
    except (yaml.YAMLError, *_DAMAGE) as error:
        reason = one_line(error).replace(' in "<unicode string>"', "")
        raise InputError(f"{where}: not YAML ({reason})") from None


Kind = Any
"""Expected kind of a value: a type (``float`` takes whole numbers, too), None, a `Range`, a tuple of kinds of
which one fits, a list with the kind of all items, or a mapping of keys that may be there, `ANY` all others.
"""

ANY = "*"


class Whole(dict[str, Any]):
    """Kind of a mapping whose named keys must all be there."""


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, whole ones where `least` is whole."""

    least: float
    most: float

    def __contains__(self, value: object) -> bool:
        whole = isinstance(self.least, int)
        known = type(value) is int or (type(value) is float and not whole)
        return known and self.least <= value <= self.most  # type: ignore[operator]  # a number

    def __str__(self) -> str:
        kind = "a whole number" if isinstance(self.least, int) else "a number"
        return f"{kind} from {self.least:,} to {self.most:,}"


def check_kind(value: Any, kind: Kind, where: str) -> None:
    """Compare plain data with what is expected of them.

    Args:
        value: from `parse_json` or `parse_yaml`.
        kind: see `Kind`.
        where: file and key, for messages.

    Raises:
        InputError: names the key, the value and the expected kind.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if any(_fits(value, one) for one in kinds):
        return
    collection = next((one for one in kinds if _same_collection(value, one)), None)
    if collection is None:
        raise InputError(f"{where} is {shown(value)}, must be {' or '.join(map(_named, kinds))}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            # numbers of every frame: no place is named for those that fit
            if not _fits(item, collection[0]):
                check_kind(item, collection[0], f"{where}[{index}]")
        return
    if isinstance(collection, Whole) and (missing := [key for key in collection if key not in (ANY, *value)]):
        raise InputError(f"{where} lacks {', '.join(missing)}")
    for key, item in value.items():
        check_kind(item, collection.get(key, collection.get(ANY, object)), f"{where}.{f'{key}':.60}")


def _same_collection(value: Any, kind: Kind) -> bool:
    return any(isinstance(value, one) and isinstance(kind, one) for one in (dict, list))


def _fits(value: Any, kind: Kind) -> bool:
    """Return whether a value is of a kind; False for a collection whose items have kinds."""
    if isinstance(kind, tuple):
        return any(_fits(value, one) for one in kind)
    if isinstance(kind, Range):
        return value in kind
    if not isinstance(kind, type):
        return kind is None and value is None
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, (int, float) if kind is float else kind)


_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
    None: "null",
}


def _named(kind: Kind) -> str:
    if isinstance(kind, dict | list):
        return _KINDS[dict if isinstance(kind, dict) else list]
    return f"{kind}" if isinstance(kind, Range) else _KINDS[kind]


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite_number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]}")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _check_text(text: str, value: Any) -> None:
    """Refuse texts with one half of a pair of UTF-16, which cannot be written as UTF-8."""
    if re.search(r"\\u[dD][89a-fA-F]", text):
        json.dumps(value, ensure_ascii=False).encode()


def check_extent(value: Any, most: int = MOST_VALUES) -> None:
    """Refuse data of more than `most` values, or nested more than 48 deep; what stands twice counts twice.

    Raises:
        ValueError: beyond the limits.
    """
    level, count = [value], 0
    for _ in range(MOST_DEPTH):
        inner = [item for item in level if isinstance(item, dict | list | tuple)]
        if not inner:
            return
        count += sum(map(len, inner))
        if count > most:
            raise ValueError(f"more than {most} values")
        level = [part for item in inner for part in (item.values() if isinstance(item, dict) else item)]
    raise ValueError(f"nested more than {MOST_DEPTH} deep")


class _Extent:
    """Number of values of YAML and their depth, counted before anything is built of it."""

    def __init__(self) -> None:
        self.values = 0
        self.height = 0
        """Levels below the innermost collection that is open, so far."""

        self._open: list[tuple[str | None, int, int]] = []
        self._anchored: dict[str, tuple[int, int]] = {}

    def take(self, event: Any) -> None:
        """Count an event of the parser.

        Raises:
            ValueError: beyond the limits, or an alias without an end.
        """
        if isinstance(event, yaml.CollectionStartEvent):
            self._add(1, 0)
            self._open.append((event.anchor, self.values - 1, self.height))
            self.height = 0
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, beside = self._open.pop()
            self._name(anchor, self.values - before, self.height + 1)
            self.height = max(beside, self.height + 1)
        elif isinstance(event, yaml.ScalarEvent):
            self._add(1, 0)
            self._name(event.anchor, 1, 0)
        elif isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in self._anchored:
                raise ValueError(f"the alias {name[:40]} is undefined or within what it stands for")
            self._add(*self._anchored[name])

    def _add(self, values: int, height: int) -> None:
        self.values += values
        self.height = max(self.height, height)
        if self.values > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values")
        if len(self._open) + height >= MOST_DEPTH:
            raise ValueError(f"nested more than {MOST_DEPTH} deep")

    def _name(self, anchor: str | None, values: int, height: int) -> None:
        if anchor is not None:
            self._anchored[anchor] = values, height


_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The pure Python loader takes a third of a second on ``reported.yaml``; both are the safe ones."""


class _Loader(_PARSER):  # type: ignore[misc]  # one of two classes
    """The safe loader without dates, for keys that are texts or numbers and are there once."""

    yaml_implicit_resolvers = {  # noqa: RUF012, as in the base
        first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
        for first, rules in _PARSER.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key that is no text", problem_mark=key.start_mark)
            # a second one would win silently
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key '{key.value[:40]}' twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _whole_number_of_yaml(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    if len(text) > 2 * MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    value: int = _PARSER.construct_yaml_int(loader, node)
    if len(str(abs(value))) > MOST_DIGITS:
        raise ValueError(f"a number of {len(str(abs(value)))} digits")
    return value


for _tag in ("binary", "omap", "pairs", "set", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _PARSER.construct_undefined)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number_of_yaml)
