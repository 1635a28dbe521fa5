"""Option ``--config`` of commands whose keys are options: values of a YAML file where none are typed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vosbench.cli.options import KEY_VALUE
from vosbench.errors import InputError

if TYPE_CHECKING:
    from vosbench.config_files import ConfigFile


def _take_defaults(context: typer.Context, file: Path | None) -> Path | None:
    if file is not None:
        from vosbench.config_files import read_config

        context.default_map = _defaults(context, read_config(file))
    return file


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=_take_defaults,
        help="YAML file of your own with the options below, e.g. 'models: [lvo, stcnn]'; an option on the "
        "command line replaces the one of the file.",
    ),
]


def _defaults(context: typer.Context, file: ConfigFile) -> dict[str, Any]:
    """Return parameter -> value of the file, as text of the command line.

    Raises:
        InputError: an unknown option, or a value that the option does not take, by file and line.
    """
    options: dict[str, Any] = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        if parameter.name != "config" and parameter.param_type_name == "option"
        for name in parameter.opts
    }
    values: dict[str, Any] = {}
    for key, value in file.content.items():
        name = key.replace("_", "-")
        if name not in options:
            near = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
            meant = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sorted(options))}"
            raise InputError(f"{file.place(key)}: unknown option '{key}': {meant}")
        if value is None:
            continue
        parameter = options[name]
        given = _typed(parameter, value, file.place(key), key)
        try:
            parameter.process_value(context, given)
        except typer.BadParameter as error:
            raise InputError(f"{file.place(key)}: {key}: {error.message}") from None
        values[parameter.name] = given
    return values


def _typed(parameter: Any, value: Any, where: str, key: str) -> Any:
    """Return a value as it would be typed: lists joined by commas, mappings as KEY=VALUE."""
    from vosbench.config_files import expanded
    from vosbench.config_sources import flow_text

    if getattr(parameter, "is_flag", False):
        if isinstance(value, bool):
            return value
        raise InputError(f"{where}: {key} is {value!r:.40}, must be true or false")
    if parameter.metavar == KEY_VALUE and isinstance(value, Mapping):
        return [f"{name}={flow_text(item)}" for name, item in value.items()]
    if isinstance(value, Mapping | bool):
        raise InputError(f"{where}: {key} is {value!r:.40}, must be a text, a number or a list of them")
    items = value if isinstance(value, list) else [value]
    texts = [expanded(item) if isinstance(item, str) else flow_text(item) for item in items]
    return texts if parameter.multiple else ",".join(texts)
