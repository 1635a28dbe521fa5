"""Catalogue of the data sets; importing this module imports no reader."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.data.evaluation_sets import EVALUATION_SETS
from vosbench.data.spec import DatasetSpec, SplitCounts
from vosbench.data.training_sets import TRAINING_SETS
from vosbench.errors import check_name

if TYPE_CHECKING:
    from vosbench.data.datasets.base import Dataset
    from vosbench.scoring.protocol import Protocol

CATALOGUE: dict[str, DatasetSpec] = {spec.name: spec for spec in (*EVALUATION_SETS, *TRAINING_SETS)}
"""Name -> description, the evaluation sets first."""


def dataset_spec(name: str) -> DatasetSpec:
    """Return the description of a data set.

    Raises:
        InputError: no data set has this name.
    """
    check_name("data set", name, CATALOGUE)
    return CATALOGUE[name]


def load_object(path: str) -> Any:
    """Import what ``"module:name"`` stands for."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def open_dataset(name: str, root: Path, split: str | None = None, **options: Any) -> Dataset:
    """Open a data set and check that its files are there; frames are read when indexed.

    Args:
        name: catalogue name, e.g. ``"davis16"``.
        root: the data root; the files are in ``root / name``.
        split: e.g. ``"val"``; the default split when None.
        options: passed to the reader, e.g. ``resolution="1080p"``.

    Raises:
        InputError: unknown name or split, or files are missing.
    """
    spec = dataset_spec(name)
    dataset: Dataset = load_object(spec.reader)(Path(root), split or spec.split, **options)
    return dataset


def published_counts(name: str, split: str) -> SplitCounts | None:
    """Return the published size of a split; None where none is known, also of unknown data sets."""
    return CATALOGUE[name].counts.get(split) if name in CATALOGUE else None


def scoring_protocols(name: str) -> list[str]:
    """Return the ids of the protocols that can score a data set: all that list it, and its default."""
    from vosbench.scoring.protocol import protocols

    default = dataset_spec(name).protocol
    listed = [protocol.id for protocol in protocols(name)]
    return listed if default is None or default in listed else [*listed, default]


def compared_protocols(name: str) -> list[Protocol]:
    """Return the protocols that methods are compared under on a data set: its own, or else the default."""
    from vosbench.scoring.protocol import load_protocol, protocols_made_for

    default = dataset_spec(name).protocol
    return protocols_made_for(name) or ([] if default is None else [load_protocol(default)])
