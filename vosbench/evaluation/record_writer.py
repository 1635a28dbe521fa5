"""Callback that writes the records of `Trainer.test`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from vosbench.data.datasets.base import Dataset
from vosbench.data.video_datamodule import VideoDataModule
from vosbench.environment.load import LoadMeter
from vosbench.errors import InputError
from vosbench.evaluation.record import record_path
from vosbench.evaluation.record_template import RecordTemplate, command_line, prediction_provenance
from vosbench.evaluation.store import hash_videos
from vosbench.models.vos_module import VOSModule
from vosbench.scoring.evaluate import Evaluation, ProtocolVideo


class RecordWriter(pl.Callback):
    """Writes ``out/records/DATASET/PROTOCOL/MODEL/SEQUENCE.json``, the records of `vosbench compare`.

    Key, values and hashes are those of `compare`, so the leaderboard takes records of both.

    Args:
        out: folder for the results.
        model: name of the method in records and tables; by default that of the module.
    """

    def __init__(self, out: str | Path, model: str | None = None) -> None:
        self.out = Path(out)
        self._model = model
        self._meter = LoadMeter()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse tests whose records could not name weights or data.

        Raises:
            InputError: the module is no loaded `VOSModule`, or the data set is not of the catalogue.
        """
        if not isinstance(pl_module, VOSModule):
            raise InputError(f"RecordWriter takes a VOSModule, not a {type(pl_module).__name__}")
        if pl_module.provenance is None or trainer.ckpt_path is not None:
            raise InputError(
                "RecordWriter: a record names the file of the weights: load them with "
                f'vosbench.models.load("{pl_module.name}", checkpoint=FILE), and leave ckpt_path out'
            )
        self._dataset(trainer)

    def on_test_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Start to measure the load of the machine."""
        self._meter = LoadMeter()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ProtocolVideo | None,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the record of one video; none on a device without a video."""
        if batch is None:
            return
        assert isinstance(pl_module, VOSModule)
        evaluation: Evaluation = outputs["evaluation"]
        dataset = self._dataset(trainer)
        weights = dict(pl_module.provenance or {})
        training = weights.pop("training", {})
        (hashes,) = hash_videos([batch.video])
        template = RecordTemplate(
            item=batch,
            hashes=hashes,
            model=self._model or pl_module.name,
            method=pl_module.name,
            weights=weights,
            training=training,
            flow=batch.flow.describe() if pl_module.needs_flow and batch.flow else None,
            dataset=dataset.name,
            edition=dataset.edition,
            split=dataset.split,
            command=command_line(),
        )
        provenance = prediction_provenance(pl_module, self._meter)
        record = template.fill(evaluation, provenance)
        record.write(
            record_path(self.out / "records", dataset.label, record.protocol, record.model, record.sequence)
        )

    def _dataset(self, trainer: pl.Trainer) -> Dataset:
        data: Any = getattr(trainer, "datamodule", None)
        videos = data.test_videos() if isinstance(data, VideoDataModule) else None
        if not isinstance(videos, Dataset):
            raise InputError(
                "RecordWriter: records are of data sets of the catalogue, e.g. DAVIS16DataModule"
            )
        return videos
