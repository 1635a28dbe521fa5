"""Composition of the configuration of a training run, and its errors.

Hydra composes the YAML groups under ``vosbench/configs`` into the dataclasses of `vosbench.config`. A mistake
is an `InputError` of one line that names the key and what would be right.
Hydra is imported where a configuration is composed: networks know the dataclasses and never compose one.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin, get_type_hints

from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.config_hints import unknown_key
from vosbench.errors import InputError, check_name
from vosbench.plugins import config_folders

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

GROUPS = ("model", "recipe", "data")

_LONGEST = 10_000
"""Characters of an override: the parser takes a second for more."""

CONFIGS = Path(str(files("vosbench") / "configs"))


def compose_fit(overrides: list[str]) -> FitConfig:
    """Compose the configuration of ``vosbench fit``.

    Args:
        overrides: ``key=value`` and ``group=option`` in Hydra's syntax.

    Raises:
        InputError: unknown key, option or trainer argument, a value of the wrong type, bad syntax.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    parsed = _parse(overrides)
    options = [override for override in parsed if override.key_or_group in GROUPS]
    for override in options:
        check_name(override.key_or_group, str(override.value()), group_options(override.key_or_group))
    chosen = {override.key_or_group: str(override.value()) for override in options}
    if {"model", "recipe"} <= chosen.keys():
        _check_recipe(**{key: chosen[key] for key in ("model", "recipe")})
    try:
        packaged = _composed(tuple(map(_line, options)), _config_files())
        _check_keys(parsed, packaged)
        composed = deepcopy(packaged.config)
        for override in parsed:
            if override.key_or_group not in GROUPS:
                # a key of the schema need not be in the YAML
                OmegaConf.update(composed, override.key_or_group, override.value(), force_add=True)
        if any(override.key_or_group.startswith("recipe.") for override in parsed):
            composed = _with_lists(composed)
        # both are our own: nothing need be copied
        merged = OmegaConf.unsafe_merge(OmegaConf.structured(FitConfig), composed)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        raise InputError(f"configuration: {key}{_first_line(error)}") from None
    except HydraException as error:
        raise InputError(f"configuration: {_first_line(error)}") from None
    assert isinstance(config, FitConfig)
    return config


def compose_data(option: str, overrides: list[str]) -> DataConfig:
    """Return a data set of the data group, with the keys of overrides that all data sets share.

    Args:
        option: name in the group.
        overrides: as for `compose_fit`, which has checked the keys.

    Raises:
        InputError: a value of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    check_name("data", option, group_options("data"))
    described = OmegaConf.load(option_file("data", option))
    try:
        for override in _parse(overrides):
            group, _, key = override.key_or_group.partition(".")
            if group == "data" and key:
                OmegaConf.update(described, key, override.value())
        dataset = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), described))
    except OmegaConfBaseException as error:
        raise InputError(f"configuration: data.{error.full_key}: {_first_line(error)}") from None
    assert isinstance(dataset, DataConfig)
    return dataset


def load_stage(recipe: str, name: str) -> StageConfig:
    """Return stage `name` of the recipe `recipe`, of vosbench or of a package with methods.

    Raises:
        InputError: there is no such recipe or stage.
    """
    from omegaconf import OmegaConf

    check_name("recipe", recipe, group_options("recipe"))
    stages = _stages_of(recipe)
    check_name(f"stage of {recipe}", name, stages)
    settings = _wrapped(stages[name], StageConfig)
    stage = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StageConfig), settings))
    assert isinstance(stage, StageConfig)
    return stage


def stages_of(recipe: str) -> list[str]:
    """Return the stages of a recipe, in their order."""
    return list(_stages_of(recipe))


def recipes_of(model: str) -> list[str]:
    """Return the recipes of a method: its own name, and that with an ending, e.g. ``"mpnet_tiny"``."""
    return [recipe for recipe in group_options("recipe") if recipe_owner(recipe) == model]


def recipe_owner(recipe: str) -> str | None:
    """Return the method that a recipe is made for, by the name; None for a name of nobody."""
    owners = [m for m in group_options("model") if recipe == m or recipe.startswith(f"{m}_")]
    return max(owners, key=len, default=None)


def _stages_of(recipe: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    text = _options("recipe")[recipe].read_text(encoding="utf-8")
    return OmegaConf.to_container(OmegaConf.create(text))  # type: ignore[return-value]


def typed_keys(overrides: list[str]) -> set[str]:
    """Return the keys of overrides, groups left out.

    Raises:
        InputError: bad syntax.
    """
    return {override.key_or_group for override in _parse(overrides)} - set(GROUPS)


def option_file(group: str, option: str) -> Path:
    """Return the file of an option of a configuration group, e.g. of ``"data"`` and ``"davis16"``."""
    return _options(group)[option]


def group_options(group: str) -> list[str]:
    """Return the options of a configuration group, e.g. of ``"data"``."""
    return sorted(_options(group))


def _options(group: str) -> dict[str, Path]:
    """Return name -> file; a file of vosbench takes precedence over one of another package."""
    folders = [folder / group for folder in reversed([CONFIGS, *config_folders()])]
    return {path.stem: path for folder in folders for path in folder.glob("*.yaml")}


def _parse(overrides: list[str]) -> list[Override]:
    parsed = []
    for line in overrides:
        if len(line) > _LONGEST:
            raise InputError(f"cannot use '{line[:40]}...': {len(line)} characters, at most {_LONGEST}")
        if "${" in line:
            # lines come from suites and plans of others, too: no variable of the environment gets out
            raise InputError(f"cannot use '{line}': write the value itself, ${{...}} is not replaced")
        override = _override(line)
        if not override.key_or_group or override.is_delete() or override.is_sweep_override():
            raise InputError(f"cannot use '{line}': write key=value with one value")
        parsed.append(override)
    return parsed


@lru_cache(maxsize=1024)
def _override(line: str) -> Override:
    """Parse an override, once: the parser takes milliseconds, and every data set of a run reads all lines."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(line)
    except (HydraException, RecursionError):
        raise InputError(f"cannot read '{line}': write key=value, e.g. size=tiny") from None


def _line(override: Override) -> str:
    return f"{override.key_or_group}={override.get_value_element_as_str()}"


def _check_recipe(model: str, recipe: str) -> None:
    """Refuse the recipe of another method; a method without one of its own may take any."""
    owner, own = recipe_owner(recipe), recipes_of(model)
    if own and owner not in (model, None):
        raise InputError(f"recipe={recipe} is made for {owner}, not for {model}: choose {' or '.join(own)}")


def _check_keys(parsed: list[Override], packaged: _Composed) -> None:
    arguments = _trainer_arguments()
    known = {*packaged.keys, *(f"trainer.{name}" for name in arguments), *GROUPS}
    named = [str(override.value()) for override in parsed if override.key_or_group == "stage"]
    stages = list(packaged.config.recipe)
    stage = named[-1] if named and named[-1] in stages else stages[0]
    for override in parsed:
        key = override.key_or_group
        # arguments of Lightning may be mappings
        if key not in known and ".".join(key.split(".")[:2]) not in {f"trainer.{name}" for name in arguments}:
            raise unknown_key(key, override.get_value_element_as_str(), known, stage)


@cache
def _trainer_arguments() -> frozenset[str]:
    """Return the arguments of Lightning's Trainer, read from its source: importing it takes seconds."""
    found = find_spec("pytorch_lightning")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).with_name("trainer") / "trainer.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    trainer = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trainer")
    made = next(
        node for node in trainer.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    names = {argument.arg for argument in (*made.args.args, *made.args.kwonlyargs)}
    return frozenset(names - {"self", "logger", "callbacks", "default_root_dir"})


def _with_lists(composed: Any) -> Any:
    """Return a composed configuration in which a single value of a list is a list of one."""
    for name, stage in composed.recipe.items():
        composed.recipe[name] = _wrapped(stage, StageConfig)
    return composed


def _wrapped(settings: Any, schema: type) -> Any:
    """Return a mapping in which single values are lists of one where a dataclass has a list."""
    kinds = _kinds(schema)
    for item in fields(schema):
        value = settings.get(item.name)
        if is_dataclass(kinds[item.name]) and hasattr(value, "get"):
            settings[item.name] = _wrapped(value, kinds[item.name])
        elif get_origin(kinds[item.name]) is list and isinstance(value, str | int | float):
            settings[item.name] = [value]
    return settings


_kinds = cache(get_type_hints)


class _Composed(NamedTuple):
    """Options of the groups, composed: their content, and the keys that may be set."""

    config: Any
    keys: Sequence[str]


def _config_files() -> tuple[tuple[Path, int], ...]:
    """Return all files of options and when they were written."""
    paths = [path for folder in (CONFIGS, *config_folders()) for path in sorted(folder.rglob("*.yaml"))]
    return tuple((path, path.stat().st_mtime_ns) for path in paths)


@lru_cache
def _composed(options: tuple[str, ...], files: tuple[tuple[Path, int], ...]) -> _Composed:
    """Compose options, once while the files stay as they are; the result is not to be changed."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    others = [f"file://{folder}" for folder in config_folders()]
    search = [f"hydra.searchpath=[{','.join(others)}]"] if others else []
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = _with_lists(compose("fit", overrides=[*search, *options]))
    return _Composed(config, _leaf_keys(OmegaConf.merge(OmegaConf.structured(FitConfig), config)))


def _leaf_keys(config: Any, prefix: str = "") -> list[str]:
    from omegaconf import OmegaConf

    keys = []
    for key in config:
        value = config[key]
        if OmegaConf.is_dict(value):
            keys += _leaf_keys(value, f"{prefix}{key}.")
        else:
            keys.append(f"{prefix}{key}")
    return keys


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
