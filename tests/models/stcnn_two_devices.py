"""Stage joint of STCNN on two processes, which see different clips; not a test, see `test_stcnn_training`.

python tests/models/stcnn_two_devices.py FOLDER    # process N writes FOLDER/N.json
"""

import json
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from test_stcnn_training import batch, configured, digests
from torch.utils.data import DataLoader

from vosbench.models.stcnn import module as place

OWN = {0: [(0.1, 0.4), (0.6, 0.4), (0.1, 0.1)], 1: [(0.6, 0.6), (0.6, 0.9), (0.1, 0.4)]}
"""Process -> losses of the discriminator in every step. Means: (0.35, 0.5), (0.6, 0.65), (0.1, 0.25)."""


class Notes(pl.Callback):
    def __init__(self):
        self.next = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.next.append((module.balance.generator, module.balance.discriminator))


def main(folder):
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
    teach, given = place.teach_discriminator, iter(torch.tensor(OWN[rank]))

    def with_given_losses(*arguments):
        teach(*arguments)
        return next(given)

    place.teach_discriminator = with_given_losses
    module = configured("joint")
    clips = [batch(seed=10 * rank + step) for step in range(len(OWN[rank]))]
    trainer.fit(module, DataLoader(clips, batch_size=None))
    told = {"own": OWN[rank], "next": notes.next, "weights": digests(module)}
    Path(folder, f"{rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
