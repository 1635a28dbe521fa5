"""Callback that writes the masks of `Trainer.predict` in the form of DAVIS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from vosbench.files import whole_folder
from vosbench.formats.png import write_ids
from vosbench.models.vos_module import learning_allowed


class MaskWriter(BasePredictionWriter):
    """Writes ``out/SEQUENCE/FRAME.png``, indexed PNG in DAVIS colours, while the method segments.

    A folder appears when all its masks are written; one from an earlier run is replaced then.

    Args:
        out: folder for the results.
    """

    def __init__(self, out: str | Path) -> None:
        super().__init__(write_interval="batch")
        self.out = Path(out)

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the masks of one video; none on a device without a video."""
        if batch is None:
            return
        video = batch.video
        with whole_folder(self.out / video.name) as folder, learning_allowed():
            for name, ids in zip(video.frame_names, prediction, strict=True):
                write_ids(folder / f"{name}.png", ids)
