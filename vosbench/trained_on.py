"""What weights have learnt from, written into every checkpoint, so that nobody scores them on it unawares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import Callback

from vosbench.config import DataConfig, FitConfig
from vosbench.data.catalogue import entry
from vosbench.data.datasets.base import edition_of
from vosbench.data.roots import data_root
from vosbench.models.zoo import read_state
from vosbench.stage_data import open_split

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer


class TrainedOn(Callback):
    """Writes `told` into checkpoints, under ``training``, where `vosbench.models.zoo.read_state` finds it.

    Args:
        told: see `trained_on`.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = dict(told)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what was trained on."""
        checkpoint["training"] = self.told


def trained_on(config: FitConfig, sets: Sequence[DataConfig], before: Path | None) -> dict[str, Any]:
    """Return what a stage and those before it learn from.

    Weights that a network takes in by its own keys (``model.motion_weights``) are not followed.

    Args:
        config: where data are.
        sets: the data sets of the stage.
        before: the checkpoint it starts from or goes on with.

    Returns:
        ``data``: ``name`` and ``edition``, lists separated by commas, and ``sequences``, the real ones
        of data sets that methods are compared on.

    Raises:
        InputError: data are missing.
    """
    told = read_state(before)[1].get("training", {}).get("data", {}) if before else {}
    names = [*_listed(told, "name"), *(each.name for each in sets)]
    editions = [*_listed(told, "edition"), *(_edition(config, each) for each in sets)]
    sequences = [*told.get("sequences", ()), *(name for each in sets for name in _scored(config, each))]
    return {
        "data": {
            "name": ", ".join(dict.fromkeys(names)),
            "edition": ", ".join(dict.fromkeys(editions)),
            "sequences": sorted(set(sequences)),
        }
    }


def _listed(data: Mapping[str, Any], key: str) -> list[str]:
    return str(data[key]).split(", ") if key in data else []


def _edition(config: FitConfig, chosen: DataConfig) -> str:
    """Return what is there: a folder that is given as the official data may hold a miniature."""
    root = data_root(Path(config.data_root) if config.data_root else None)
    return edition_of(root, chosen.name) if chosen.edition == "official" else chosen.edition


def _scored(config: FitConfig, chosen: DataConfig) -> list[str]:
    if _edition(config, chosen) != "official" or entry(chosen.name).kind != "evaluation":
        return []
    return [video.name for video in open_split(config, chosen, chosen.split)]
