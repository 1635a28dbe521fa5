"""What fit logs of a validation: the frames that were measured, always the same, and final numbers."""

import csv
import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from vosbench.training.validation_log import BestCheckpoint, TrainingLog, lightning_logger


class Learner(pl.LightningModule):
    """Finds nothing in frames whose grey level is their index; `shows` says what its validation returns."""

    def __init__(self, shows=True, fails=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.shows, self.fails = shows, fails

    def training_step(self, batch, _):
        if self.fails:
            raise RuntimeError("out of memory")
        loss = (self.weight - 1).square().sum()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val/J", 0.5 + self.current_epoch / 4)
        if not self.shows:
            return None
        frames = batch[:, None, None, None].expand(-1, 3, 12, 16).to(torch.uint8)
        masks = torch.ones(len(batch), 12, 16, dtype=torch.uint8)
        return {"frames": frames, "predicted": torch.zeros_like(masks).bool(), "target": masks}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(folder, kind="csv", epochs=2, batch_size=2, frames=16, **options):
    logger = lightning_logger(kind, folder, "run")
    best = pl.callbacks.ModelCheckpoint(folder / "checkpoints", monitor="val/J", mode="max")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=logger,
        callbacks=[TrainingLog(logger, folder), best],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    data = torch.arange(frames) * 10
    trainer.fit(Learner(**options), DataLoader(data, 8), DataLoader(data, batch_size))
    return folder


def greys(picture):
    """Grey levels of the frames of a sheet, from the top; each panel is 240 high."""
    pixels = np.asarray(Image.open(picture))
    return pixels[120::240, 160, 0].tolist()


def test_every_validation_shows_the_same_clips_spread_over_the_set(tmp_path):
    folder = train(tmp_path)
    pictures = sorted((folder / "pictures").iterdir())
    assert [path.name for path in pictures] == ["val-000002.png", "val-000004.png"]
    # batches 0, 2, 4 and 6 of eight, the first frame of each
    assert greys(pictures[0]) == greys(pictures[1]) == [0, 40, 80, 120]


def test_one_batch_of_many_frames_shows_four_of_them(tmp_path):
    folder = train(tmp_path, epochs=1, batch_size=16)
    assert greys(folder / "pictures/val-000002.png") == [0, 40, 80, 120]


def test_fewer_frames_than_wanted_are_shown_once(tmp_path):
    folder = train(tmp_path, epochs=1, batch_size=1, frames=2)
    assert greys(folder / "pictures/val-000001.png") == [0, 10]


def test_a_step_that_returns_nothing_has_no_pictures(tmp_path):
    assert not (train(tmp_path, epochs=1, shows=False) / "pictures").exists()


def test_final_numbers_are_a_table_with_the_best(tmp_path):
    with (train(tmp_path) / "final.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert (rows["val/J"]["last"], rows["val/J"]["best"]) == ("0.75", "0.75")
    assert float(rows["train/loss"]["last"]) < 1
    assert rows["train/loss"]["best"] == ""
    assert (rows["epochs"]["last"], rows["steps"]["last"]) == ("2", "4")


def test_tensorboard_has_curves_pictures_and_the_table_in_one_place(tmp_path):
    folder = train(tmp_path, "tensorboard")
    events = EventAccumulator(str(folder / "logs/version_0"))
    events.Reload()
    assert [event.step for event in events.Images("pictures/val")] == [2, 4]
    assert [event.value for event in events.Scalars("val/J")] == [0.5, 0.75]
    assert b"| val/J | 0.75 | 0.75 |" in events.Tensors("final/text_summary")[0].tensor_proto.string_val[0]


def test_every_stage_is_a_run_of_its_own_in_wandb_even_after_one_that_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(tmp_path / "A", "wandb", fails=True)
    train(tmp_path / "B", "wandb", epochs=1)
    (run,) = (tmp_path / "B/wandb").glob("offline-run-*")
    assert len(list(run.glob("files/media/images/pictures/*.png"))) == 4
    assert len(list(run.glob("files/media/table/final_*.table.json"))) == 1
    assert len(list((tmp_path / "A/wandb").glob("offline-run-*"))) == 1


class Unsure(pl.LightningModule):
    """Validation values that are given, one per epoch; each epoch has weights of its own."""

    def __init__(self, values):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.values = values

    def training_step(self, batch, _):
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, _):
        self.log("val/J", self.values[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([math.nan, 0.5, 0.25], 1),
        ([0.5, math.nan, 0.25], 0),
        ([0.25, 0.5, math.nan], 1),
        ([math.nan, math.nan, math.nan], None),
    ],
)
def test_an_epoch_without_a_value_is_never_the_best(tmp_path, values, best):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        num_sanity_val_steps=0,
        callbacks=[BestCheckpoint(tmp_path, "val/J")],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = DataLoader(torch.zeros(1), 1)
    trainer.fit(Unsure(values), data, data)
    kept = tmp_path / "best.ckpt"
    assert kept.is_file() == (best is not None)
    if best is not None:
        assert torch.load(kept, weights_only=True)["epoch"] == best
