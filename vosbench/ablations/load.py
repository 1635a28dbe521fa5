"""Suites from YAML: keys, values and names are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

import yaml

from vosbench.ablations.motion_frames import MOTIONS
from vosbench.ablations.schema import (
    EDITIONS,
    Column,
    Edition,
    EditionSettings,
    FlowChoice,
    Ordering,
    Suite,
    SuiteRow,
    Training,
    training_order,
)
from vosbench.data.catalogue import CATALOGUE
from vosbench.errors import InputError, unknown_name
from vosbench.models import METHODS, SIZES
from vosbench.models.baselines import BASELINES
from vosbench.scoring.protocol import protocols

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_RELATION = re.compile(r"(\w+) (>=|>) (\w+)")


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        InputError: no such file, not YAML, or a key that is missing, unknown or of the wrong value.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 safe, see there
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    return parse_suite(content, path.name)


def parse_suite(content: Any, source: str) -> Suite:
    """Build a suite from the content of a YAML file.

    Args:
        content: see the module.
        source: file name for error messages.

    Raises:
        InputError: a key that is missing, unknown or of the wrong value.
    """
    top = _section(content, source, Suite)
    suite = Suite(
        **{key: _text(top[key], f"{source}: {key}") for key in ("id", "title", "paper", "method", "varies")},
        table=str(top["table"]),
        flows=_items(top["flows"], f"{source}: flows", FlowChoice),
        columns=_items(top["columns"], f"{source}: columns", Column),
        editions=_items(top["editions"], f"{source}: editions", EditionSettings, named=False),
        trainings=_items(top["trainings"], f"{source}: trainings", Training),
        rows=_items(top["rows"], f"{source}: rows", SuiteRow),
        orderings=_orderings(top["orderings"], f"{source}: orderings"),
    )
    _check(suite, source)
    return suite


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key written twice: the second would win silently."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _section(content: Any, where: str, kind: type, given: Iterable[str] = ()) -> dict[str, Any]:
    """Return a mapping with the keys of a dataclass, those in `given` excepted."""
    known = {item.name: item for item in fields(kind) if item.name not in given}
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping with the keys {', '.join(known)}")
    for key in content:
        if key not in known:
            raise unknown_name(f"key of {where}", str(key), known)
    needed = [key for key, item in known.items() if item.default is item.default_factory is MISSING]
    missing = [key for key in needed if key not in content]
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")
    return dict(content)


_MAPPINGS = ("set", "weights", "official", "mini", "settings", "without", "folds")
_LISTS = ("seeds", "columns")


def _items(content: Any, where: str, kind: type, *, named: bool = True) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping of names")
    items = {}
    for name, values in content.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"{where}: name '{name}' must be lower-case letters, digits and _")
        path = f"{where}.{name}"
        section = _section(values, path, kind, ("name",) if named else ())
        for key, value in section.items():
            section[key] = _value(value, f"{path}.{key}", kind, key)
        items[name] = kind(**section, **({"name": name} if named else {}))
    return items


def _value(value: Any, where: str, kind: type, key: str) -> Any:
    if kind is Training and key == "flow":
        stages = _mapping(value, where)
        return {stage: tuple(_list(names, f"{where}.{stage}")) for stage, names in stages.items()}
    if key in _LISTS:
        return tuple(_list(value, where))
    if (key in _MAPPINGS and kind is not FlowChoice) or (kind is SuiteRow and key == "flow"):
        return _mapping(value, where)
    if key == "limit":
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{where}: give 1 or more sequences")
        return value
    return None if value is None else _text(value, where)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a mapping")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected a text, not {value!r}")
    return value


def _orderings(content: Any, where: str) -> tuple[Ordering, ...]:
    orderings = []
    for number, item in enumerate(_list(content, where), start=1):
        path = f"{where}[{number}]"
        section = _section(item, path, Ordering, ("first", "strict", "second"))
        parts = _RELATION.fullmatch(_text(section["expect"], f"{path}.expect"))
        if parts is None:
            raise InputError(f"{path}.expect: write 'ROW >= ROW' or 'ROW > ROW', not '{section['expect']}'")
        orderings.append(Ordering(**section, first=parts[1], strict=parts[2] == ">", second=parts[3]))
    return tuple(orderings)


def _check(suite: Suite, source: str) -> None:
    """Refuse unknown names and contradictions."""
    for kind, where, name, choices in _references(suite):
        if name not in choices:
            raise unknown_name(f"{kind} in {source}: {where}", str(name), choices)
    for row in suite.rows.values():
        if (row.training is None) == (row.model is None):
            raise InputError(f"{source}: rows.{row.name}: give either training or model")
        if row.folds and row.training is None:
            raise InputError(f"{source}: rows.{row.name}: folds need a training")
    for column in suite.columns.values():
        if column.motion not in (None, *MOTIONS):
            raise InputError(f"{source}: columns.{column.name}.motion: choose from {', '.join(MOTIONS)}")
    _check_editions(suite, source)
    _check_trainings(suite, source)


def _check_trainings(suite: Suite, source: str) -> None:
    for training in suite.trainings.values():
        for keys in (training.set, training.official, training.mini):
            if "data.edition" in keys or "size" in keys:
                raise InputError(f"{source}: trainings.{training.name}: the edition sets size and edition")


def _check_editions(suite: Suite, source: str) -> None:
    for name, settings in suite.editions.items():
        if not settings.seeds or not all(isinstance(seed, int) for seed in settings.seeds):
            raise InputError(f"{source}: editions.{name}.seeds: expected a list of whole numbers")
    for edition in get_args(Edition):
        training_order(suite, edition, suite.trainings, source)


_Reference = tuple[str, str, Any, Iterable[str]]
"""Kind of name, place in the file, the name, and the known names."""


def _references(suite: Suite) -> Iterator[_Reference]:
    for edition, settings in suite.editions.items():
        yield "edition", "editions", edition, EDITIONS
        yield "size", f"editions.{edition}", settings.size, SIZES
        for model in settings.set:
            yield "model", f"editions.{edition}.set", model, METHODS
    for column in suite.columns.values():
        where = f"columns.{column.name}"
        yield "data set", where, column.dataset, CATALOGUE
        yield "protocol", where, column.protocol, [protocol.id for protocol in protocols()]
        if column.flow is not None:
            yield "flow", where, column.flow, suite.flows
    for training in suite.trainings.values():
        yield from _references_of_training(suite, training)
    for row in suite.rows.values():
        yield from _references_of_row(suite, row)
    for ordering in suite.orderings:
        for name in (ordering.first, ordering.second):
            yield "row", "orderings", name, suite.rows
        yield "column", "orderings", ordering.column, suite.columns


def _references_of_training(suite: Suite, training: Training) -> Iterator[_Reference]:
    where = f"trainings.{training.name}"
    yield "model", where, training.model, METHODS
    for names in training.flow.values():
        for name in names:
            yield "flow", where, name, suite.flows
    for name in [*([training.init] if training.init else []), *training.weights.values()]:
        yield "training", where, name, suite.trainings


def _references_of_row(suite: Suite, row: SuiteRow) -> Iterator[_Reference]:
    where = f"rows.{row.name}"
    if row.model is not None:
        yield "model", where, row.model, BASELINES
    for name in row.needs:
        yield "training", where, name, suite.trainings
    for column, flow in row.flow.items():
        yield "column", f"{where}.flow", column, suite.columns
        yield "flow", f"{where}.flow", flow, suite.flows
    for column in row.columns:
        yield "column", f"{where}.columns", column, suite.columns
    for edition in row.without:
        yield "edition", f"{where}.without", edition, EDITIONS
