"""Shell completion: names of methods, data sets and protocols, and the keys of ``fit``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import typer


def method_names(incomplete: str) -> list[str]:
    """Complete the last of several names of methods that are separated by commas."""
    from vosbench.models.pretrained.zoo import method_names as known

    return _listed(incomplete, (*known(), "all"))


def dataset_names(incomplete: str) -> list[str]:
    """Complete the last of several names of data sets that are separated by commas."""
    from vosbench.data.catalogue import catalogue

    return _listed(incomplete, (*catalogue(), "all"))


def protocol_names(incomplete: str) -> list[str]:
    """Complete the id of a protocol."""
    from vosbench.scoring.protocol import protocols

    return _listed(incomplete, (protocol.id for protocol in protocols()))


def fit_words(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete ``key=`` and ``key=value`` of ``fit``.

    Bash hands ``model=st`` on as three words, and ``model=`` as ``model`` alone.
    """
    typed = list(ctx.params.get("overrides") or ())
    if typed[-1:] == ["="]:
        return _listed(incomplete, _values(typed[-2], typed))
    if typed and "=" not in typed[-1]:
        return _listed(incomplete, _values(typed[-1], typed))
    key, equals, value = incomplete.partition("=")
    if equals:
        return [f"{key}={word}" for word in _listed(value, _values(key, typed))]
    return [f"{known}=" for known in _keys(typed) if known.startswith(incomplete)]


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def _values(key: str, typed: Sequence[str]) -> Sequence[str]:
    from vosbench.composition import GROUPS, group_options, recipes_of, stages_of
    from vosbench.models import SIZES
    from vosbench.training.stage_data import VALIDATIONS

    model = _typed("model", typed)
    if key == "recipe" and model:
        return recipes_of(model)
    if key in GROUPS:
        return group_options(key)
    recipe = _typed("recipe", typed) or model
    if key == "stage" and recipe in group_options("recipe"):
        return [*stages_of(recipe), "all"]
    if key == "logger":
        from vosbench.training.loggers import LOGGERS

        return LOGGERS
    return {"size": SIZES, "val": VALIDATIONS, "resume": ("auto",), "init": ("zoo",)}.get(key, ())


def _keys(typed: Sequence[str]) -> Iterator[str]:
    from vosbench.composition import CONFIGS, GROUPS, group_options, option_file
    from vosbench.config_sources import key_sources

    model = _typed("model", typed)
    chosen = {"model": model, "recipe": _typed("recipe", typed) or model}
    files = {"": CONFIGS / "fit.yaml"}
    files |= {
        f"{group}.": option_file(group, name)
        for group, name in chosen.items()
        if name in group_options(group)
    }
    yield from GROUPS
    for prefix, path in files.items():
        yield from (f"{prefix}{key}" for key, source in key_sources(path).items() if source.text)


def _typed(key: str, words: Sequence[str]) -> str:
    """Return the value of a key among the words before the cursor, in one word or in three."""
    for index, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == key and value:
            return value
        if word == key and list(words[index + 1 : index + 2]) == ["="]:
            return words[index + 2] if index + 2 < len(words) else ""
    return ""
