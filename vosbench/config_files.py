"""Configuration files of one's own: keys of a command in YAML, plain data that resolve and import nothing."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vosbench.composition import GROUPS, compose_data, group_options, recipes_of, stages_of
from vosbench.config_sources import flow_text, key_sources
from vosbench.errors import InputError
from vosbench.plain_data import read_yaml

_FLOAT = re.compile(r"[+-]?\d+[eE][+-]?\d+")
"""Numbers to the command line, ``1e-3``, that YAML takes for texts."""


@dataclass(frozen=True)
class ConfigFile:
    """Configuration file.

    Attributes:
        path: of the file.
        content: its keys; those with a dot stand for nested ones.
        lines: dotted key -> its line.
    """

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """Return file and line of a key, of the nearest one above where the key has no line."""
        parts = key.split(".")
        starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        line = next((self.lines[start] for start in starts if start in self.lines), None)
        return f"{self.path}" if line is None else f"{self.path}:{line}"

    @contextmanager
    def blamed(self, keys: Collection[str]) -> Iterator[None]:
        """Put file and line before an error that names one of some keys of the file."""
        try:
            yield
        except InputError as error:
            named = [key for key in keys if re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", f"{error}")]
            if not named:
                raise
            raise InputError(f"{self.place(max(named, key=len))}: {error}") from None


def read_config(path: Path) -> ConfigFile:
    """Read a configuration file.

    Raises:
        InputError: missing, no YAML, beyond the limits of `vosbench.plain_data`, no mapping, or a key that
            is no text.
    """
    content = read_yaml(path)
    for key in content:
        if not isinstance(key, str):
            raise InputError(f"{path}: key {key} is no text")
    lines = {key: int(source.place.rpartition(":")[2]) for key, source in key_sources(path).items()}
    return ConfigFile(path, content, lines)


def fit_overrides(file: ConfigFile, typed: Sequence[str]) -> dict[str, str]:
    """Return key -> override of ``vosbench fit``, as if it stood on the command line before what is typed.

    The lists of ``vosbench fit --cfg`` are taken, too: ``model`` with its ``name`` and switches, ``recipe``
    with its stages, ``data`` with the data sets of the stages.

    Args:
        file: with keys of ``fit``, nested or with dots.
        typed: overrides of the command line, which replace those of the file; ``data=NAME`` replaces the
            list of data sets.

    Raises:
        InputError: a list of data sets that no command line can name.
    """
    replaced = {line.partition("=")[0].lstrip("+") for line in typed}
    content = dict(file.content)
    sets = content.pop("data", None)
    values = dict(_leaves(content, ""))
    if (name := values.pop("model.name", None)) is not None:
        values.setdefault("model", name)
    chosen = next((line.partition("=")[2] for line in reversed(typed) if line.startswith("model=")), None)
    model = chosen or values.get("model")
    if "recipe" not in {*values, *replaced} and isinstance(file.content.get("recipe"), Mapping):
        every = name is not None and values.get("stage") == "all"
        values |= _recipe(f"{model}", set(file.content["recipe"]), every=every)
    if isinstance(sets, list) and "data" not in replaced:
        with file.blamed(["data"]):
            values |= _data(sets, values)
    elif isinstance(sets, Mapping):
        values |= {f"data.{key}": value for key, value in sets.items()}
    elif sets is not None and not isinstance(sets, list):
        values["data"] = sets
    return {key: f"{key}={_text(key, value)}" for key, value in values.items() if key not in replaced}


def _leaves(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; an empty mapping sets nothing, switches of a method may be mappings."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and not name.startswith("model."):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _recipe(model: str, stages: set[str], *, every: bool) -> dict[str, str]:
    """Return the recipe of a method that has the stages, or these and no others.

    None where that of its own name has them.
    """
    options = {recipe: set(stages_of(recipe)) for recipe in recipes_of(model)}
    fitting = [recipe for recipe, own in options.items() if stages == own or (stages < own and not every)]
    return {} if model in fitting or not fitting else {"recipe": fitting[0]}


def _data(sets: Sequence[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that stand for the data sets of ``--cfg``, which stages name by their options."""
    named = [
        option
        for key, value in values.items()
        if re.fullmatch(r"recipe\.[^.]+\.data", key)
        for option in value
    ]
    options = list(dict.fromkeys(named))
    if len(sets) != 1 and len(sets) != len(options):
        raise InputError("data: data sets are listed that no recipe.STAGE.data names; write data: NAME")
    chosen = [_option(sets[0], options)] if len(sets) == 1 else options
    own = [asdict(compose_data(option, [])) for option in chosen]
    changed: dict[str, Any] = {}
    for number, (stated, usual) in enumerate(zip(sets, own, strict=True)):
        if not isinstance(stated, Mapping):
            raise InputError(f"data[{number}]: write a data set as its keys, or data: NAME")
        for key in (key for key, value in stated.items() if usual.get(key) != value):
            if any(other.get(key) != stated[key] for other in sets):
                raise InputError(f"data: {key} is for all data sets of a run, here they have different ones")
            changed[f"data.{key}"] = stated[key]
    return ({"data": chosen[0]} if len(sets) == 1 else {}) | changed


def _option(stated: Any, named: Sequence[str]) -> str:
    """Return the option of the data group that differs least from a data set, those of stages first."""
    if not isinstance(stated, Mapping):
        raise InputError("data[0]: write a data set as its keys, or data: NAME")
    options = [*named, *group_options("data")]

    def differences(option: str) -> int:
        usual = asdict(compose_data(option, []))
        return sum(usual.get(key) != value for key, value in stated.items())

    return min(options, key=differences)


def _text(key: str, value: Any) -> str:
    """Return a value in the syntax of overrides; nothing in a text is replaced."""
    if isinstance(value, str):
        value = expanded(value)
        if key in GROUPS or _FLOAT.fullmatch(value):
            return f"{value}"
        escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", value).replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, list):
        return f"[{','.join(_text('', item) for item in value)}]"
    if isinstance(value, dict):
        items = ",".join(f"{name}: {_text('', item)}" for name, item in value.items())
        return f"{{{items}}}"
    return flow_text(value)


def expanded(text: str) -> str:
    """Return a text with ``~`` at its beginning replaced, as a shell does on the command line."""
    return os.path.expanduser(text) if re.match(r"~(/|$)", text) else text  # noqa: PTH111 a text, not a path
