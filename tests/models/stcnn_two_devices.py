"""Program of `test_stcnn_training`: stage joint of STCNN on two processes with different clips.

python tests/models/stcnn_two_devices.py FOLDER    # process N writes FOLDER/N.json
"""

import json
import sys
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytorch_lightning as pl
import torch
from test_stcnn_training import batch, configured, digests
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vosbench.models.stcnn import module as stcnn
from vosbench.models.stcnn.training import teach_discriminator

OWN = {0: [(0.1, 0.4), (0.6, 0.4), (0.1, 0.1)], 1: [(0.6, 0.6), (0.6, 0.9), (0.1, 0.4)]}
"""Process -> losses of the discriminator in every step. Means: (0.35, 0.5), (0.6, 0.65), (0.1, 0.25)."""


class Notes(pl.Callback):
    def __init__(self) -> None:
        self.next: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.next.append((module.balance.generator, module.balance.discriminator))


def main(folder: str) -> None:
    notes = Notes()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[notes],
    )
    rank = trainer.global_rank
    losses = iter(torch.tensor(OWN[rank]))

    def with_chosen_losses(*arguments: Any) -> Tensor:
        teach_discriminator(*arguments)
        loss: Tensor = next(losses)
        return loss

    module = configured("joint")
    clips = [batch(seed=10 * rank + step) for step in range(len(OWN[rank]))]
    with mock.patch.object(stcnn, "teach_discriminator", with_chosen_losses):
        trainer.fit(module, DataLoader(cast("Dataset[Any]", clips), batch_size=None))
    report = {"own": OWN[rank], "next": notes.next, "weights": digests(module)}
    Path(folder, f"{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
