"""Command ``list``: everything that has a name."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

import typer

from vosbench.cli.terminal import make_table, print_table

Subject = Literal["models", "datasets", "recipes", "protocols", "metrics", "flow"]

Rows = Iterator[Sequence[str]]


def list_names(
    subject: Annotated[Subject | None, typer.Argument(help="One of these; all when left out.")] = None,
) -> None:
    """List methods, data sets, recipes, protocols, metrics or estimators of flow."""
    for name, (columns, rows) in _TABLES.items():
        if subject in (None, name):
            table = make_table(name, columns)
            for row in rows():
                table.add_row(*row)
            print_table(table)
    if subject == "datasets":
        sys.stderr.write("note: 'vosbench data list' says which are there\n")


def _models() -> Rows:
    from vosbench.composition import group_options, option_file, stages_of
    from vosbench.config_sources import header
    from vosbench.models import METHODS, SIZES, other_methods
    from vosbench.models.baselines import BASELINES
    from vosbench.models.pretrained.zoo import packaged

    configured = group_options("model")
    for name in sorted(METHODS):
        sizes = [size for size in SIZES if packaged(name, size).is_file()]
        title = header(option_file("model", name))
        yield name, ", ".join(sizes) or "none", ", ".join(stages_of(name)), _first_sentence(title)
    for name, plugin in other_methods().items():
        stages = ", ".join(stages_of(name)) if name in configured else ""
        yield name, "", stages, f"of the package {plugin.package}"
    for name, baseline in sorted(BASELINES.items()):
        yield name, "needs none", "", _first_line(baseline)


def _datasets() -> Rows:
    from vosbench.data.catalogue import catalogue

    for spec in catalogue().values():
        yield spec.name, spec.title, spec.kind, spec.size


def _recipes() -> Rows:
    from vosbench.composition import group_options, option_file, recipe_owner, stages_of
    from vosbench.config_sources import header

    for name in group_options("recipe"):
        title = header(option_file("recipe", name))
        yield name, recipe_owner(name) or "", ", ".join(stages_of(name)), _first_sentence(title)


def _protocols() -> Rows:
    from vosbench.scoring.protocol import protocols

    for protocol in protocols():
        metrics = ", ".join(protocol.metrics)
        yield protocol.id, ", ".join(protocol.datasets), protocol.task, metrics, protocol.title


def _metrics() -> Rows:
    from vosbench.metrics.specs import METRICS

    for name, metric in METRICS.items():
        values = [
            value.name if value.higher_is_better else f"{value.name} (lower is better)"
            for value in metric.values
        ]
        yield name, ", ".join(values), metric.implementation.replace(":", ".")


def _flow() -> Rows:
    from vosbench.flow.estimators import ESTIMATORS

    for name, estimator in ESTIMATORS.items():
        settings = ", ".join(inspect.signature(estimator).parameters)
        yield name, settings, _first_line(estimator)


def _first_sentence(text: str) -> str:
    return re.split(r"\. |; |: vosbench|, e\.g\. ", text)[0].rstrip(".")


def _first_line(described: object) -> str:
    return (inspect.getdoc(described) or "").partition("\n")[0]


_TABLES: dict[Subject, tuple[Sequence[str], Callable[[], Rows]]] = {
    "models": (("model", "sizes with weights", "stages", ""), _models),
    "datasets": (("data set", "title", "for", "size"), _datasets),
    "recipes": (("recipe", "model", "stages", ""), _recipes),
    "protocols": (("protocol", "data sets", "methods", "metrics", ""), _protocols),
    "metrics": (("metric", "values", "class"), _metrics),
    "flow": (("flow", "settings", ""), _flow),
}
