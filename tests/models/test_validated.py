"""What every method's validation step measures and returns to be looked at; nothing known is no number.

Run as a script this file is the two processes of a test.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from vosbench.data.loading.collate import detection_collate, pad_collate
from vosbench.models import build

HEIGHT, WIDTH = 64, 96
STAGES = [
    ("mpnet", "A", 2, pad_collate),
    ("lvo", "appearance", 1, pad_collate),
    ("lvo", "memory", 3, pad_collate),
    ("fusionseg", "motion", 2, pad_collate),
    ("fusionseg", "joint", 2, pad_collate),
    ("stcnn", "spatial", 5, pad_collate),
    ("stcnn", "joint", 5, pad_collate),
    ("motion_maskrcnn", "M1", 3, detection_collate),
    ("lip", "vos", 3, detection_collate),
]


def clip(frames, grey, known=True):
    """A square on frames of one grey level; of the second of three or more, or of all, nothing is known."""
    masks = torch.zeros(frames, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[:, 10:40, 10:50] = 1
    if frames > 2:
        masks[1] = 255
    if not known:
        masks[:] = 255
    return {
        "frames": torch.full((frames, 3, HEIGHT, WIDTH), grey, dtype=torch.uint8),
        "masks": masks,
        "flow": torch.ones(frames - 1, 2, HEIGHT, WIDTH),
        "video": torch.tensor(grey),
    }


def configured(name, stage):
    torch.manual_seed(0)
    module = build(name, "tiny")
    module.configure_stage(stage)
    return module


def measured(module, batches):
    """Value of a validation over batches, as Lightning logs it."""
    trainer = quiet_trainer()
    trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    return trainer.callback_metrics["val/J"].item()


def quiet_trainer(**options):
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )


@pytest.fixture
def validated():
    """Return a function: method, stage, frames of a clip, collate -> what its validation step returns."""

    def run(name, stage, frames, collate):
        module = configured(name, stage).eval()
        with torch.inference_mode():
            return module.validation_step(collate([clip(frames, 40), clip(frames, 90)]), 0)

    return run


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize(("name", "stage", "frames", "collate"), STAGES)
def test_frames_masks_and_ground_truth_belong_together(validated, name, stage, frames, collate):
    seen = validated(name, stage, frames, collate)
    count = len(seen["frames"])
    assert count == len(seen["predicted"]) == len(seen["target"]) > 0
    for frame, predicted, target in zip(seen["frames"], seen["predicted"], seen["target"], strict=True):
        assert (frame.shape, frame.dtype) == ((3, HEIGHT, WIDTH), torch.uint8)
        assert predicted.shape == target.shape == (HEIGHT, WIDTH)
        assert target.dtype == torch.uint8
        # the square is known: no frame without ground truth is shown
        assert target[20, 20] == 1
    assert {int(frame[0, 0, 0]) for frame in seen["frames"]} == {40, 90}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "stage", "frames", "collate"), STAGES)
def test_batches_of_which_nothing_is_known_change_no_value(name, stage, frames, collate):
    """Neither before, between nor after others, and not in the epochs that follow."""
    module = configured(name, stage)
    bright, dark = collate([clip(frames, 90)]), collate([clip(frames, 40)])
    void = collate([clip(frames, 60, known=False)])
    wanted = measured(module, [bright, dark])
    assert 0 <= wanted < 1
    assert measured(module, [void, bright, void, dark, void]) == pytest.approx(wanted, rel=1e-6)
    assert measured(module, [dark, bright]) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_frames_count_alike_in_batches_of_any_size():
    """Two frames found rightly in one batch, one missed in another: 2/3, not the mean of batches."""
    module = configured("mpnet", "A")
    found = torch.zeros(2, 4, 4, dtype=torch.bool)
    found[:, :2] = True
    module.log = lambda *_, **__: None
    target = found.to(torch.uint8)
    module.measure({"frames": torch.zeros(2, 3, 4, 4), "predicted": found, "target": target})
    module.measure({"frames": torch.zeros(1, 3, 4, 4), "predicted": ~found[:1], "target": target[:1]})
    assert module.clip_similarity.compute().item() == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "stage", "frames", "collate"), STAGES)
def test_without_anything_known_there_is_no_value(name, stage, frames, collate):
    assert math.isnan(measured(configured(name, stage), [collate([clip(frames, 60, known=False)])]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "stage", "frames", "collate"), [each for each in STAGES if each[:2] != ("stcnn", "joint")]
)
def test_nothing_is_learnt_where_nothing_is_known(name, stage, frames, collate):
    """The loss is 0 and reaches what is trained, with gradients of 0."""
    module = configured(name, stage)
    module.log = module.log_dict = lambda *_, **__: None
    loss = module.training_step(collate([clip(frames, 60, known=False)]), 0)
    assert loss.item() == 0
    loss.backward()
    gradients = [each.grad for each in module.parameters() if each.requires_grad]
    assert all(grad is None or not grad.any() for grad in gradients)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "stage", "frames", "collate"), [each for each in STAGES if each[:2] != ("stcnn", "joint")]
)
def test_a_step_reaches_everything_that_is_trained(name, stage, frames, collate):
    """Several devices wait for the gradient of every parameter: ``trainer.strategy=ddp``."""
    module = configured(name, stage)
    module.log = module.log_dict = lambda *_, **__: None
    module.training_step(collate([clip(frames, 60), clip(frames, 90)]), 0).backward()
    trained = {key: value for key, value in module.named_parameters() if value.requires_grad}
    assert trained
    assert [key for key, value in trained.items() if value.grad is None] == []


@pytest.mark.slow
def test_a_device_that_knows_nothing_neither_waits_nor_counts(tmp_path):
    """The value is that of the other device, on both."""
    subprocess.run([sys.executable, __file__, tmp_path], check=True, timeout=300, capture_output=True)
    values = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    alone = measured(configured("motion_maskrcnn", "M1"), [detection_collate([clip(3, 90)])])
    assert values == pytest.approx([alone, alone], rel=1e-6)


def main(folder):
    trainer = quiet_trainer(devices=2, strategy="ddp")
    batch = detection_collate([clip(3, 90, known=trainer.global_rank == 0)])
    trainer.validate(configured("motion_maskrcnn", "M1"), DataLoader([batch], batch_size=None), verbose=False)
    told = json.dumps(trainer.callback_metrics["val/J"].item())
    Path(folder, f"{trainer.global_rank}.json").write_text(told)


if __name__ == "__main__":
    main(sys.argv[1])
