"""Output of ``fit --cfg`` and ``fit --help``: configurations and their keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vosbench.cli.application import Command

if TYPE_CHECKING:
    from vosbench.training.settings import Setting

_COMMENTS = 44
"""Column in which the sources of values stand."""

_STAGE_KEYS = (
    ("epochs=N", "length of a stage"),
    ("batch_size=N", "clips per step and device"),
    ("optimizer.lr=X", "learning rate"),
    ("data=[NAME,...]", "data sets of a stage"),
    ("flow=[dis]", "estimators of flow, ground_truth, or folders"),
    ("augment.crop=[H,W]", "size of training clips in pixels"),
)


class FitCommand(Command):
    """Command whose help lists methods, stages, recipes, data sets and common keys."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the lists after the options."""
        formatter.write("\n" + "\n".join(_lists()) + "\n")


def print_configuration(settings: Sequence[Setting]) -> None:
    """Print settings as YAML, the source of each value behind it."""
    sys.stdout.writelines(f"{line}\n" for setting in settings for line in _lines(setting))


def _lines(setting: Setting) -> Iterator[str]:
    from vosbench.config_sources import flow_text

    *parents, last = setting.path
    if isinstance(last, int):
        return
    depth = len(setting.path) - 1
    # a data set of a list begins with its name
    dash = bool(parents) and isinstance(parents[-1], int) and last == "name"
    margin = "  " * (depth - 1 if dash else depth)
    yield from (f"{margin}# {line}" for line in setting.above)
    indent = f"{margin}- " if dash else margin
    text = f"{indent}{last}:" if setting.is_parent else f"{indent}{last}: {flow_text(setting.value)}"
    yield f"{text:<{_COMMENTS}}# {setting.source}" if setting.source else text


def _lists() -> Iterator[str]:
    from vosbench.composition import CONFIGS, group_options, recipes_of, stages_of
    from vosbench.config_sources import key_sources

    yield "Methods, with the stages (the first by default) and recipes of each:"
    for model in group_options("model"):
        recipes = recipes_of(model)
        stages = f"stage={'|'.join((*stages_of(model), 'all'))} " if model in recipes else ""
        yield f"  model={model} {stages}recipe={'|'.join(recipes)}"
    yield "\nData sets, instead of those that the stages name:"
    yield f"  data={'|'.join(group_options('data'))}"
    yield "\nKeys, with their usual values (all keys of a method: vosbench fit model=NAME --cfg):"
    keys = {
        f"{key}={source.text}": source.comment
        for key, source in key_sources(CONFIGS / "fit.yaml").items()
        if source.text
    }
    keys |= {f"recipe.STAGE.{key}": text for key, text in _STAGE_KEYS}
    for key, text in keys.items():
        yield f"  {key:<34} {text}".rstrip()
