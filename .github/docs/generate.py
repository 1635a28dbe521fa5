"""Pages made from the code: command line, configuration keys, recipes, protocols, data sets, Python API."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from vosbench.composition import CONFIGS, group_options, option_file
from vosbench.config import AugmentConfig, ClipConfig, DataConfig, StageConfig
from vosbench.config_sources import flow_text, key_sources
from vosbench.data.catalogue import catalogue, scoring_protocols
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.scoring.protocol import Protocol, protocols

Rows = Sequence[Sequence[str]]

_ATTRIBUTES = re.compile(r"^Attributes:\n((?:    .*\n|\n)+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    ([\w, ]+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


def generated_pages() -> Iterator[tuple[str, str]]:
    """Yield path and Markdown of every page."""
    for name, page in _PAGES.items():
        yield f"reference/{name}.md", page()
    for module in sorted(documented_modules()):
        yield f"reference/api/{module}.md", module_page(module)


def command_line() -> str:
    """Return the commands with their options, from the parser."""
    import typer
    from typer.cli import get_docs_for_click

    from vosbench.cli.commands import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="vosbench"), name="vosbench")
    # the page has the title
    return "# Command line\n\n" + text.partition("\n")[2]


def configuration() -> str:
    """Return the keys of ``vosbench fit``, with their values and what they mean."""
    run = [
        (f"`{key}`", f"`{source.text}`", plain(source.comment))
        for key, source in key_sources(CONFIGS / "fit.yaml").items()
        if source.text and not key.startswith("defaults")
    ]
    parts = [
        "# Configuration keys",
        "Every key of `vosbench fit`, written as `key=value` on the command line. "
        "`vosbench fit model=NAME --cfg` prints the values of a run, each with its source.",
        "## Run",
        table(("key", "default", ""), run),
        "## Stage of a recipe",
        "`STAGE` is a name of the recipe: `recipe.A.optimizer.lr=0.001`. The values of every method are in "
        "[recipes](recipes.md).",
        table(("key", "default", ""), list(_keys(StageConfig, "recipe.STAGE."))),
        "## Data of a stage",
        "Of all data sets that a stage reads; `data=NAME` chooses one of "
        f"{', '.join(f'`{name}`' for name in group_options('data'))}.",
        table(("key", "default", ""), list(_keys(DataConfig, "data."))),
        "## Methods",
        "Written as `model.KEY=VALUE` in `fit`; those that matter in a test also as `--set KEY=VALUE`.",
        *_files("###", "model", group_options("model")),
    ]
    return "\n\n".join(parts) + "\n"


def recipes() -> str:
    """Return the recipes as they are."""
    about = (
        "What `vosbench fit` trains with, the source beside each value; [ours]: neither a paper nor released "
        "code has it."
    )
    return "\n\n".join(["# Recipes", about, *_files("##", "recipe", group_options("recipe"))]) + "\n"


def protocol_rules() -> str:
    """Return the protocols as they are, and the meaning of their keys."""
    parts = [
        "# Protocols",
        "The rules under which numbers are measured; every number carries the name of its protocol.",
        table(("key", ""), [(f"`{key}`", meaning) for key, meaning in _described(Protocol).items()]),
    ]
    for protocol in protocols():
        parts += [
            f"## {protocol.id}",
            f"{protocol.title}.",
            _code(CONFIGS / "protocol" / f"{protocol.id}.yaml"),
        ]
    return "\n\n".join(parts) + "\n"


def data_cards() -> str:
    """Return a card for every data set."""
    parts = [
        "# Data sets",
        "`vosbench data download NAME` fetches one from its authors. Each keeps its own terms.",
    ]
    for name, spec in catalogue().items():
        rows = [
            ("name", f"`{name}`"),
            ("for", spec.kind),
            ("size", spec.size),
            ("files", f"`{spec.layout}`"),
            ("splits", ", ".join(f"`{split}`" for split in spec.counts) or f"`{spec.split}`"),
            ("other folders", ", ".join(f"`{folder}`" for folder in spec.folders) or "none"),
            ("protocols", ", ".join(f"`{id_}`" for id_ in scoring_protocols(name)) or "none"),
            ("licence", spec.licence),
            ("citation", spec.citation),
            ("web page", f"<{spec.url}>"),
        ]
        parts += [f"## {spec.title}", table(("", ""), rows)]
    return "\n\n".join(parts) + "\n"


def api_index() -> str:
    """Return the list of documented modules."""
    rows = [
        (f"[{name}](api/{name}.md)", _first_line(import_module(name)))
        for name in sorted(documented_modules())
    ]
    tree = "```{toctree}\n:hidden:\n:glob:\n\napi/*\n```"
    return f"# Python API\n\n{table(('module', ''), rows)}\n\n{tree}\n"


def module_page(module: str) -> str:
    """Return the page of a module, from its docstrings."""
    # what `vosbench` itself repeats has its place where it comes from, so that references have one target
    excluded = "\n   :exclude-members: InputError" if module == "vosbench" else ""
    return f"# {module}\n\n```{{eval-rst}}\n.. automodule:: {module}{excluded}\n```\n"


def documented_modules() -> Iterator[str]:
    """Yield the modules of the reference: the faces of packages, the contracts beside them, the methods."""
    import vosbench
    from vosbench.models import METHODS

    yield "vosbench"
    for module in walk_packages(vosbench.__path__, "vosbench."):
        face = module.ispkg and hasattr(import_module(module.name), "__all__")
        contract = not module.ispkg and module.name.count(".") == 1 and not module.name.endswith("__main__")
        if face or contract:
            yield module.name
    yield from (place.split(":")[0] for place in METHODS.values())


def table(head: Sequence[str], rows: Rows) -> str:
    r"""Return a table in Markdown.

    >>> print(table(("key", "meaning"), [("a", "x | y")]))
    | key | meaning |
    | --- | --- |
    | a | x \| y |
    """
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> print(plain("<runs>, a*b"))
    \<runs>, a\*b
    """
    return re.sub(r"([<*\[])", r"\\\1", text)


def _files(level: str, group: str, options: Sequence[str]) -> Iterator[str]:
    for option in options:
        yield f"{level} {option}"
        yield _code(option_file(group, option))


def _code(file: Path) -> str:
    return f"```yaml\n{file.read_text(encoding='utf-8').rstrip()}\n```"


def _keys(config: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, default and meaning of every field of a configuration."""
    described = {**_described(_ELSEWHERE.get(config, config)), **_described(config)}
    for field in dataclasses.fields(config):
        made = field.default_factory
        value = made() if made is not dataclasses.MISSING else field.default
        if dataclasses.is_dataclass(value):
            yield from _keys(type(value), f"{prefix}{field.name}.")
            continue
        default = "" if value is dataclasses.MISSING else f"`{flow_text(value)}`"
        yield f"`{prefix}{field.name}`", default, described[field.name]


def _described(kind: type) -> Mapping[str, str]:
    """Return attribute -> meaning, from the docstring of a class; RST literals become Markdown."""
    found = _ATTRIBUTES.search(f"{inspect.getdoc(kind)}\n")
    attributes = _ATTRIBUTE.findall(found[1] if found else "")
    return {
        name: re.sub(r"\s+", " ", text).replace("``", "`")
        for names, text in attributes
        for name in names.split(", ")
    }


def _first_line(described: object) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


_ELSEWHERE: Mapping[type, type] = {ClipConfig: ClipSettings, AugmentConfig: ClipTransform}
"""Configuration -> class that describes its keys."""

_PAGES: Mapping[str, Callable[[], str]] = {
    "cli": command_line,
    "configuration": configuration,
    "recipes": recipes,
    "protocols": protocol_rules,
    "data": data_cards,
    "api": api_index,
}
