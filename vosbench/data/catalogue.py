"""Catalogue of the data sets; importing this module imports no reader."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.data.evaluation_sets import EVALUATION_SETS
from vosbench.data.own_data import PROTOCOLS, is_path, own_spec
from vosbench.data.spec import DatasetSpec, SplitCounts
from vosbench.data.training_sets import TRAINING_SETS
from vosbench.errors import InputError, unknown_name
from vosbench.plugins import DATASETS, installed

if TYPE_CHECKING:
    from vosbench.data.datasets.base import Dataset
    from vosbench.plugins import Plugin
    from vosbench.scoring.protocol import Protocol

CATALOGUE: dict[str, DatasetSpec] = {spec.name: spec for spec in (*EVALUATION_SETS, *TRAINING_SETS)}
"""Name -> description of the data sets of vosbench, the evaluation sets first."""


def catalogue() -> dict[str, DatasetSpec]:
    """Return name -> description of all data sets, those of other packages at the end.

    Raises:
        InputError: a package declares a data set that it does not have, or one under a name that is taken.
    """
    others = installed(taken=CATALOGUE, group=DATASETS)
    return CATALOGUE | {name: _described(plugin) for name, plugin in others.items()}


def _described(plugin: Plugin) -> DatasetSpec:
    spec = plugin.load_object()
    if not isinstance(spec, DatasetSpec) or spec.name != plugin.name:
        raise InputError(f"{plugin.where}: {plugin.path} is no vosbench.data.spec.DatasetSpec of that name")
    return spec


def dataset_spec(name: str) -> DatasetSpec:
    """Return the description of a data set.

    Args:
        name: of the catalogue, or a path to data of one's own, see `vosbench.data.own_data.own_spec`.

    Raises:
        InputError: no data set has this name, or there is no such folder.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    known = catalogue()
    if name in known:
        return known[name]
    if not is_path(name):
        raise InputError(unknown_name("data set", name, known))
    spec = own_spec(name)
    if spec.name.removesuffix("-mini") in known:
        raise InputError(
            f"--dataset {name}: {spec.name} is the name of a data set of the catalogue; write LABEL={name}"
        )
    return spec


def is_own(name: str) -> bool:
    """Return whether a data set is a path to data of one's own."""
    return name not in catalogue() and is_path(name)


def load_object(path: str) -> Any:
    """Import what ``"module:name"`` stands for."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def open_dataset(name: str, root: Path, split: str | None = None, **options: Any) -> Dataset:
    """Open a data set and check that its files are there; frames are read when indexed.

    Args:
        name: catalogue name, e.g. ``"davis16"``, or a path to data of one's own.
        root: the data root; the files are in the folder that `vosbench.data.places.find_folder` returns.
        split: e.g. ``"val"``; the default split when None.
        options: passed to the reader, e.g. ``resolution="1080p"``.

    Raises:
        InputError: unknown name or split, or files are missing.
    """
    spec = dataset_spec(name)
    dataset: Dataset = load_object(spec.reader)(Path(root), split or spec.split, **spec.options, **options)
    return dataset


def evaluation_sets(known: Mapping[str, DatasetSpec]) -> list[str]:
    """Return the names of those among known data sets that methods are compared on."""
    return [name for name, spec in known.items() if spec.kind == "evaluation"]


def published_counts(name: str, split: str) -> SplitCounts | None:
    """Return the published size of a split; None where none is known, also of unknown data sets."""
    return CATALOGUE[name].counts.get(split) if name in CATALOGUE else None


def scoring_protocols(name: str) -> list[str]:
    """Return the ids of the protocols that can score a data set: all that list it, and its default.

    Data of one's own can be scored under every protocol that gives no masks of another data set.
    """
    from vosbench.scoring.protocol import protocols

    default = dataset_spec(name).protocol
    if is_own(name):
        return [protocol.id for protocol in protocols() if not protocol.given]
    listed = [protocol.id for protocol in protocols(name)]
    return listed if default is None or default in listed else [*listed, default]


def compared_protocols(name: str) -> list[Protocol]:
    """Return the protocols that methods are compared under on a data set: its own, or else the default."""
    from vosbench.scoring.protocol import load_protocol, protocols_made_for

    default = dataset_spec(name).protocol
    if is_own(name):
        return [load_protocol(protocol) for protocol in PROTOCOLS]
    return protocols_made_for(name) or ([] if default is None else [load_protocol(default)])
