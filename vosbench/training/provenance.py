"""Provenance of a checkpoint: the data it was trained and selected on, for the leakage check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytorch_lightning.callbacks import Callback

from vosbench.config import DataConfig, FitConfig
from vosbench.data.catalogue import dataset_spec, is_own
from vosbench.data.datasets.base import edition_of
from vosbench.data.roots import data_root
from vosbench.models.pretrained.weight_files import RENDERED, part_of, rendered_sets, training_of
from vosbench.training.stage_data import OpenSet, open_sets

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

    from vosbench.models.vos_module import VOSModule

T = TypeVar("T")


class TrainedOn(Callback):
    """Writes `training` into checkpoints, under ``training``, for `vosbench.models.pretrained.zoo`.

    Args:
        training: see `trained_on`.
    """

    def __init__(self, training: Mapping[str, Any]) -> None:
        self.training = dict(training)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the data that was trained and selected on."""
        checkpoint["training"] = self.training


def trained_on(
    config: FitConfig, sets: Sequence[DataConfig], before: Path | None, module: VOSModule, monitor: str
) -> dict[str, Any]:
    """Return the data that a stage and the stages before it are trained and selected on.

    Args:
        config: where data are.
        sets: the data sets of the stage.
        before: the checkpoint it starts from or goes on with.
        module: the network in the stage; without `before` the weights that its own keys name are its start.
        monitor: the validation value that the best checkpoint is chosen by.

    Returns:
        ``data``: ``name`` and ``edition``, lists separated by commas, ``sequences``, the real ones
        of data sets that methods are compared on, and where there are both editions ``rendered``, the names
        of miniatures. ``selection``: of every data set that was validated on
        ``name``, ``edition``, ``split``, ``monitor``, ``val`` if that was ``videos`` and, of sets that
        methods are compared on and of held-out videos, ``sequences``. ``parts``: the weights
        of other networks that were taken in, see `vosbench.models.pretrained.weight_files.part_of`.

    Raises:
        InputError: data are missing.
    """
    earlier = training_of(before) if before else {}
    datasets = [(opened, _edition(config, opened.config)) for opened in open_sets(config, sets)]
    data = earlier.get("data", {})
    names = [*_listed(data, "name"), *(_name(opened) for opened, _ in datasets)]
    editions = list(dict.fromkeys([*_listed(data, "edition"), *(edition for _, edition in datasets)]))
    rendered = {
        *(rendered_sets(data) or ()),
        *(_name(opened) for opened, edition in datasets if edition == "mini"),
    }
    trained = [
        video.name
        for opened, edition in datasets
        if edition == "official" and _is_compared_on(opened)
        for video in opened.train
    ]
    selection = [
        _selection(opened, edition, monitor) | ({} if config.val == "clips" else {"val": config.val})
        for opened, edition in datasets
        if opened.val_split is not None
    ]
    parts = earlier.get("parts", []) if before else _parts(module)
    return {
        "data": {
            "name": ", ".join(dict.fromkeys(names)),
            "edition": ", ".join(editions),
            "sequences": sorted({*data.get("sequences", ()), *trained}),
            **({RENDERED: sorted(rendered)} if len(editions) > 1 else {}),
        },
        "selection": _once([*earlier.get("selection", ()), *selection]),
        **({"parts": parts} if parts else {}),
    }


def _selection(opened: OpenSet, edition: str, monitor: str) -> dict[str, Any]:
    selection: dict[str, Any] = {
        "name": _name(opened),
        "edition": edition,
        "split": opened.val_split,
        "monitor": monitor,
    }
    if _is_compared_on(opened) or opened.val_split == opened.config.split:
        selection["sequences"] = sorted(video.name for video in opened.val)
    return selection


def _parts(module: VOSModule) -> list[dict[str, Any]]:
    """Return the provenance of the files that the keys of a network name, and of weights of the package."""
    named = {
        key: Path(value)
        for key, value in module.hparams.items()
        if str(key).endswith("_weights") and isinstance(value, str) and Path(value).is_file()
    }
    starting = {key: path for key, path in module.packaged_weights.items() if key.endswith("_weights")}
    return [part_of(str(key), path) for key, path in {**named, **starting}.items()]


def _name(opened: OpenSet) -> str:
    return dataset_spec(opened.config.name).name


def _listed(data: Mapping[str, Any], key: str) -> list[str]:
    return str(data[key]).split(", ") if key in data else []


def _once(values: Iterable[T]) -> list[T]:
    unique: list[T] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return unique


def _edition(config: FitConfig, dataset: DataConfig) -> str:
    """Return the edition on disk: a folder of official data may hold a miniature."""
    root = data_root(Path(config.data_root) if config.data_root else None)
    if is_own(dataset.name):
        return "official"
    return edition_of(root, dataset.name) if dataset.edition == "official" else dataset.edition


def _is_compared_on(opened: OpenSet) -> bool:
    return dataset_spec(opened.config.name).kind == "evaluation"
