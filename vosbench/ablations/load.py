"""Suites from YAML: keys, values and names are checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

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
from vosbench.data.splits import shipped_splits
from vosbench.errors import InputError, shown, unknown_name
from vosbench.files import read_bytes
from vosbench.models import METHODS, SIZES
from vosbench.models.baselines import BASELINES
from vosbench.plain_data import MOST_YAML_BYTES, parse_yaml
from vosbench.scoring.protocol import protocols

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_TRAINED = ("model", "recipe", "data", "trainer", "val", "val_protocol", "workers")
"""First parts of the keys of `vosbench fit` that a suite sets; files and folders are the command's."""

_RELATION = re.compile(r"(\w+) (>=|>) (\w+)")


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        InputError: no such file, not YAML, or a key that is missing, unknown or of the wrong value.
    """
    return parse_suite(parse_yaml(read_bytes(path, MOST_YAML_BYTES), path), path.name)


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
        table=_text(f"{top['table']}" if isinstance(top["table"], int) else top["table"], f"{source}: table"),
        flows=_items(top["flows"], f"{source}: flows", FlowChoice),
        columns=_items(top["columns"], f"{source}: columns", Column),
        editions=_items(top["editions"], f"{source}: editions", EditionSettings, named=False),
        trainings=_items(top["trainings"], f"{source}: trainings", Training),
        rows=_items(top["rows"], f"{source}: rows", SuiteRow),
        orderings=_orderings(top["orderings"], f"{source}: orderings"),
    )
    if not _NAME.fullmatch(suite.id):
        raise InputError(f"{source}: id {shown(suite.id)} must be lower-case letters, digits and _")
    _check(suite, source)
    return suite


def _section(content: Any, where: str, kind: type, given: Iterable[str] = ()) -> dict[str, Any]:
    """Return a mapping with the keys of a dataclass, those in `given` excepted."""
    known = {item.name: item for item in fields(kind) if item.name not in given}
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping with the keys {', '.join(known)}")
    for key in content:
        if key not in known:
            raise unknown_name(f"key of {where}", f"{key}", known)
    needed = [key for key, item in known.items() if item.default is item.default_factory is MISSING]
    missing = [key for key in needed if key not in content]
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")
    return dict(content)


_MAPPINGS = ("set", "weights", "official", "mini", "lite", "settings", "without", "folds")
_LISTS = ("seeds", "columns")


def _items(content: Any, where: str, kind: type, *, named: bool = True) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping of names")
    items = {}
    for name, values in content.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"{where}: name {shown(name)} must be lower-case letters, digits and _")
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
    if key == "lite" and kind in (Column, SuiteRow):
        return {
            name: _value(item, f"{where}.{name}", kind, name) for name, item in _varied(value, where, kind)
        }
    if key in _LISTS:
        return tuple(_list(value, where))
    if (key in _MAPPINGS and kind is not FlowChoice) or (kind is SuiteRow and key == "flow"):
        return _mapping(value, where)
    if key == "limit":
        if type(value) is not int or value < 1:
            raise InputError(f"{where}: give 1 or more sequences")
        return value
    return None if value is None else _text(value, where)


def _varied(value: Any, where: str, kind: type) -> Iterable[tuple[str, Any]]:
    """Return the attributes of a column or row that an edition varies, with their values."""
    known = {item.name for item in fields(kind)} - {"name", "lite", "without"}
    for name in (section := _mapping(value, where)):
        if name not in known:
            raise unknown_name(f"key of {where}", str(name), sorted(known))
    return section.items()


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{where}: expected a mapping of names")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected a text, not {shown(value)}")
    return value


def _orderings(content: Any, where: str) -> tuple[Ordering, ...]:
    orderings = []
    for number, item in enumerate(_list(content, where), start=1):
        path = f"{where}[{number}]"
        section = _section(item, path, Ordering, ("first", "strict", "second"))
        parts = _RELATION.fullmatch(_text(section["expect"], f"{path}.expect"))
        if parts is None:
            raise InputError(
                f"{path}.expect: write 'ROW >= ROW' or 'ROW > ROW', not {shown(section['expect'])}"
            )
        orderings.append(Ordering(**section, first=parts[1], strict=parts[2] == ">", second=parts[3]))
    return tuple(orderings)


def _check(suite: Suite, source: str) -> None:
    """Refuse unknown names and contradictions."""
    _check_names(suite, source)
    _check_names(suite.varied("lite"), f"{source}, edition lite")
    _check_editions(suite, source)
    _check_trainings(suite, source)


def _check_names(suite: Suite, source: str) -> None:
    for kind, where, name, choices in _references(suite):
        if not isinstance(name, str):
            raise InputError(f"{source}: {where}: expected the name of a {kind}, not {shown(name)}")
        if name not in choices:
            raise unknown_name(f"{kind} in {source}: {where}", name, choices)
    for row in suite.rows.values():
        if (row.training is None) == (row.model is None):
            raise InputError(f"{source}: rows.{row.name}: give either training or model")
        if row.folds and row.training is None:
            raise InputError(f"{source}: rows.{row.name}: folds need a training")
    for column in suite.columns.values():
        if column.motion not in (None, *MOTIONS):
            raise InputError(f"{source}: columns.{column.name}.motion: choose from {', '.join(MOTIONS)}")


def _check_trainings(suite: Suite, source: str) -> None:
    for training in suite.trainings.values():
        for keys in (training.set, *map(training.keys_in, get_args(Edition))):
            if "data.edition" in keys or "size" in keys:
                raise InputError(f"{source}: trainings.{training.name}: the edition sets size and edition")
            _check_keys(keys, f"{source}: trainings.{training.name}")


def _check_keys(keys: Mapping[str, Any], where: str) -> None:
    for key, value in keys.items():
        # what an edition does without, not a file
        nothing = key == "init" and value is None
        if key.partition(".")[0] not in _TRAINED and not nothing:
            raise InputError(
                f"{where}: a suite cannot set {shown(key)}; its keys start with {', '.join(_TRAINED)}"
            )


def _check_editions(suite: Suite, source: str) -> None:
    for name, settings in suite.editions.items():
        if not settings.seeds or not all(map(_is_seed, settings.seeds)):
            raise InputError(f"{source}: editions.{name}.seeds: expected a list of whole numbers from 0 on")
        for model, keys in settings.set.items():
            where = f"{source}: editions.{name}.set.{model}"
            _check_keys(_mapping(keys, where), where)
    for edition in get_args(Edition):
        training_order(suite, edition, suite.trainings, source)


def _is_seed(value: Any) -> bool:
    # what NumPy and PyTorch take
    return type(value) is int and 0 <= value < 2**32


_Reference = tuple[str, str, Any, Iterable[str]]
"""Kind of name, place in the file, the name, and the known names."""


def _references(suite: Suite) -> Iterator[_Reference]:
    for edition, settings in suite.editions.items():
        yield "edition", "editions", edition, EDITIONS
        yield "size", f"editions.{edition}", settings.size, SIZES
        for model in settings.set:
            yield "model", f"editions.{edition}.set", model, METHODS
    for column in suite.columns.values():
        yield from _references_of_column(suite, column)
    for training in suite.trainings.values():
        yield from _references_of_training(suite, training)
    for row in suite.rows.values():
        yield from _references_of_row(suite, row)
    for ordering in suite.orderings:
        for name in (ordering.first, ordering.second):
            yield "row", "orderings", name, suite.rows
        yield "column", "orderings", ordering.column, suite.columns


def _references_of_column(suite: Suite, column: Column) -> Iterator[_Reference]:
    where = f"columns.{column.name}"
    yield "data set", where, column.dataset, CATALOGUE
    yield "protocol", where, column.protocol, [protocol.id for protocol in protocols()]
    if column.flow is not None:
        yield "flow", where, column.flow, suite.flows
    if column.sequences is not None:
        yield "list of sequences", where, column.sequences, shipped_splits()
    for edition in column.without:
        yield "edition", f"{where}.without", edition, EDITIONS


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
        yield "model", where, row.model, [*BASELINES, *METHODS]
    for name in row.needs:
        yield "training", where, name, suite.trainings
    for column, flow in row.flow.items():
        yield "column", f"{where}.flow", column, suite.columns
        yield "flow", f"{where}.flow", flow, suite.flows
    for column in row.columns:
        yield "column", f"{where}.columns", column, suite.columns
    for edition in row.without:
        yield "edition", f"{where}.without", edition, EDITIONS
