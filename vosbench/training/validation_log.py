"""Validation log of a stage: the best checkpoint, pictures, a table of final numbers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from vosbench.models.validated import Validated
from vosbench.scoring.evaluate import ProtocolVideo
from vosbench.training.loggers import (
    Cell,
    FolderLog,
    Log,
    LoggedFrame,
    TensorBoardLog,
    WandbLog,
    wandb_is_offline,
    wandb_project,
)
from vosbench.video import IdMap

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 4
"""Pictures of a validation, always of the same clips."""


def lightning_logger(kind: str, folder: Path, name: str) -> Logger:
    """Return the logger of Lightning for losses and metrics.

    Args:
        kind: one of `vosbench.training.loggers.LOGGERS`.
        folder: of the stage.
        name: of the run, where runs have names.
    """
    if kind == "csv":
        return CSVLogger(folder, name="logs")
    if kind == "tensorboard":
        return TensorBoardLogger(folder, name="logs")
    folder.mkdir(parents=True, exist_ok=True)
    offline = wandb_is_offline()
    # Lightning says offline by an environment variable, which is read only once in a process
    mode: dict[str, Any] = {"mode": "offline"} if offline else {}
    return WandbLogger(project=wandb_project(), name=name, save_dir=folder, offline=offline, **mode)


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, of the epoch with the best validation value; one without a value is never best.

    Args:
        folder: of the checkpoints.
        monitor: name of the value, see `vosbench.models.vos_module.VOSModule.monitor`.
        mode: whether the highest value is the best, or the lowest.
    """

    def __init__(self, folder: Path, monitor: str, mode: Literal["max", "min"] = "max") -> None:
        super().__init__(folder, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Return whether a value is the best so far."""
        known = current is not None and not bool(current.isnan())
        return known and super().check_monitor_top_k(trainer, current)


class TrainingLog(Callback):
    """Logs pictures of fixed validation clips after every validation, and the numbers a stage ends with.

    Pictures show the frames that the validation step measured: a step that returns a
    `vosbench.models.validated.Validated` gets pictures, any other none.

    Args:
        logger: from `lightning_logger`.
        folder: of the stage, where files go.
    """

    def __init__(self, logger: Logger, folder: Path) -> None:
        self._logger = logger
        self._folder = folder
        self._frames: list[LoggedFrame] = []
        self._started = 0.0
        self._log: Log | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Open the log, on the first process alone, and start the clock."""
        self._started = time.monotonic()
        if trainer.is_global_zero:
            self._log = self._open()

    def _open(self) -> Log:
        if isinstance(self._logger, WandbLogger):
            return WandbLog(self._logger.experiment)
        if isinstance(self._logger, TensorBoardLogger):
            return TensorBoardLog(self._logger.experiment)
        return FolderLog(self._folder)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the frames of this batch that are shown."""
        if trainer.sanity_checking or self._log is None or not _is_validated(outputs):
            return
        batches = int(trainer.num_val_batches[dataloader_idx])
        wanted = Counter(number * batches // SHOWN for number in range(SHOWN))[batch_idx]
        name = batch.video.name if isinstance(batch, ProtocolVideo) else f"clip {batch_idx}"
        self._frames += _frames(outputs, wanted, name)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the frames."""
        if self._log is not None and self._frames:
            self._log.pictures("pictures/val", self._frames, trainer.global_step)
            self._frames = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last and best value of every metric."""
        if self._log is not None:
            seconds = time.monotonic() - self._started
            self._log.table("final", ["metric", "last", "best"], _final(trainer, seconds))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the log: the next stage is a run of its own."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the log."""
        self.teardown(trainer, pl_module, "fit")


def _is_validated(outputs: object) -> TypeGuard[Validated]:
    return isinstance(outputs, Mapping) and outputs.keys() >= {"frames", "predicted", "target"}


def _frames(seen: Validated, wanted: int, name: str) -> list[LoggedFrame]:
    """Return frames spread evenly over the frames of a batch; fewer when there are fewer."""
    count = len(seen["frames"])
    indices = dict.fromkeys(number * count // wanted for number in range(wanted)) if count else {}
    return [
        LoggedFrame(
            f"{name}.{index}",
            seen["frames"][index].permute(1, 2, 0).cpu().numpy(),
            {"ground truth": _ids(seen["target"], index), "prediction": _ids(seen["predicted"], index)},
        )
        for index in indices
    ]


def _ids(maps: Sequence[Tensor] | Tensor, index: int) -> IdMap:
    ids: IdMap = maps[index].byte().cpu().numpy()
    return ids


def _final(trainer: pl.Trainer, seconds: float) -> list[list[Cell]]:
    best = {
        saved.monitor: float(saved.best_model_score)
        for saved in trainer.checkpoint_callbacks
        if isinstance(saved, ModelCheckpoint) and saved.monitor and saved.best_model_score is not None
    }
    return [
        *([name, float(value), best.get(name)] for name, value in sorted(trainer.callback_metrics.items())),
        ["epochs", trainer.current_epoch, None],
        ["steps", trainer.global_step, None],
        ["seconds", round(seconds, 1), None],
    ]
