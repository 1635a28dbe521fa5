"""Settings of a training run: every key with its value and the place that the value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vosbench.composition import CONFIGS, option_file, typed_keys
from vosbench.config_sources import KeySource, key_sources
from vosbench.training.run import FitPlan, data_options

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Setting:
    """A key of the configuration.

    Attributes:
        path: parts of the key; a number counts data sets.
        value: of the key; None for one with keys below.
        is_parent: whether the key has keys below.
        source: where the value comes from, and what is said about it there; ``""``: nothing is known.
        above: lines of comment above the key.
    """

    path: Path
    value: Any
    is_parent: bool
    source: str
    above: tuple[str, ...] = ()


def sourced_settings(
    plan: FitPlan, overrides: list[str], places: Mapping[str, str] | None = None
) -> list[Setting]:
    """Return every setting of the stages that a run trains, parents before the keys below them.

    Args:
        plan: of the run.
        overrides: that the plan was made of.
        places: key -> its place in a file, of overrides that come from one; others are typed.
    """
    config = asdict(plan.config)
    config["recipe"] = {name: config["recipe"][name] for name in plan.sets}
    chosen = {key: line for key, _, line in (override.partition("=") for override in overrides)}
    recipe = chosen.get("recipe", chosen["model"])
    sources = {
        **key_sources(CONFIGS / "fit.yaml"),
        **_below("model", key_sources(option_file("model", chosen["model"]))),
        **_below("recipe", key_sources(option_file("recipe", recipe))),
    }
    options = {
        option: asdict(dataset)
        for name, sets in plan.sets.items()
        for option, dataset in zip(data_options(plan.config.recipe[name], overrides), sets, strict=True)
    }
    config["data"] = list(options.values())
    for number, option in enumerate(options):
        sources |= _below(f"data.{number}", key_sources(option_file("data", option)))
    typed = dict.fromkeys(typed_keys(overrides), "command line") | dict(places or {})
    return [_setting(path, value, sources, typed) for path, value in _walk(config, ())]


def _below(prefix: str, sources: Mapping[str, KeySource]) -> dict[str, KeySource]:
    return {f"{prefix}.{key}": source for key, source in sources.items()}


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the path and value of every key, depth first."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in items:
        yield (*path, key), below
        if _is_parent((*path, key), below):
            yield from _walk(below, (*path, key))


def _is_parent(path: Path, value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or path == ("data",))


def _setting(path: Path, value: Any, sources: Mapping[str, KeySource], typed: Mapping[str, str]) -> Setting:
    known = sources.get(".".join(map(str, path)))
    parent = _is_parent(path, value)
    above = known.above if known else ()
    if parent:
        return Setting(path, None, True, known.comment if known else "", above)
    # the user's keys are of all data sets
    key = ".".join(part for part in path if isinstance(part, str))
    if key in typed:
        replaced = f", {known.place} has {known.text}" if known and known.text else ""
        return Setting(path, value, False, f"{typed[key]}{replaced}", above)
    if known is None:
        return Setting(path, value, False, "default", above)
    return Setting(path, value, False, f"{known.place} {known.comment}".strip(), above)
