"""Trained methods under Lightning: `Trainer.test` equals `compare`, `Trainer.predict` equals `predict`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from vosbench.benchmark import compare
from vosbench.data import DAVIS16DataModule, SegTrackDataModule, VideoFolderDataModule
from vosbench.errors import InputError
from vosbench.evaluation import score
from vosbench.formats.png import read_ids
from vosbench.inference.mask_writer import MaskWriter
from vosbench.inference.prediction import predict
from vosbench.models import load


def quiet(**options):
    return Trainer(
        logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", **options
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A miniature of DAVIS 2016: two sequences of few small frames."""
    from vosbench.data.mini import write_mini

    root = tmp_path_factory.mktemp("data")
    write_mini("davis16", root, scenes=2, size=(96, 128), frames=5)
    return root


@pytest.mark.parametrize(
    ("method", "settings", "protocol"),
    [
        ("mpnet", {}, "davis16-unsupervised"),
        ("fusionseg", {}, "davis16-unsupervised"),
        # learns the objects of each video with gradients, in a loop that keeps none
        ("stcnn", {"online_iterations": 1, "adapt_steps": 1}, "davis16-semi-supervised"),
    ],
)
def test_the_test_equals_compare(root, tmp_path, method, settings, protocol):
    data = DAVIS16DataModule(root, protocol)
    trainer = quiet()
    [logged] = trainer.test(load(method, **settings), data, verbose=False)
    result = compare(
        models=[method], datasets=["davis16"], data_root=root, out=tmp_path, workers=1, settings=settings
    )
    scores = score(tmp_path / "masks" / "davis16-mini" / method, "davis16", data_root=root, protocol=protocol)
    assert result.counts["computed"] >= 2
    # to the last bit
    assert logged == {f"test/{name}": value for name, value in scores.overall.items()}


def test_masks_of_predict_equal_those_of_the_command(root, tmp_path):
    quiet(callbacks=[MaskWriter(tmp_path / "lightning")]).predict(load("mpnet"), DAVIS16DataModule(root))
    predict("davis16", load("mpnet"), tmp_path / "command", data_root=root)
    files = sorted((tmp_path / "command").rglob("*.png"))
    assert len(files) == 10
    for file in files:
        other = tmp_path / "lightning" / file.relative_to(tmp_path / "command")
        assert np.array_equal(read_ids(file), read_ids(other))


def test_own_frames_and_masks_score_as_the_data_set_they_are_taken_from(root, tmp_path):
    official = DAVIS16DataModule(root, metrics=["j"])
    for video in official.test_videos():
        for kind in ("JPEGImages", "Annotations"):
            shutil.copytree(root / "davis16" / kind / "480p" / video.name, tmp_path / kind / video.name)
    own = VideoFolderDataModule(tmp_path / "JPEGImages", tmp_path / "Annotations", metrics=["j"])
    values = [quiet().test(load("mpnet"), data, verbose=False) for data in (official, own)]
    assert values[0] == values[1]


def test_validation_on_whole_videos_is_the_test_of_the_same_videos(root):
    data = DAVIS16DataModule(root, metrics=["j"])
    [validated] = quiet().validate(load("mpnet"), data, verbose=False)
    [tested] = quiet().test(load("mpnet"), data, verbose=False)
    names = {"test/J_mean": "val/J"}
    assert validated == {
        names.get(name, name.replace("test/", "val/")): value for name, value in tested.items()
    }


def test_a_method_is_tested_under_protocols_of_its_task(root):
    with pytest.raises(InputError, match="protocol davis16-semi-supervised is made for semi-supervised"):
        quiet().test(load("mpnet"), DAVIS16DataModule(root, "davis16-semi-supervised"), verbose=False)


def test_what_cannot_be_tested_is_said(root):
    with pytest.raises(InputError, match="not made for segtrack: choose from segtrack-iou"):
        SegTrackDataModule(root, "davis16-unsupervised")
    with pytest.raises(InputError, match="segtrack has no training split"):
        SegTrackDataModule(root).train_dataloader()
    with pytest.raises(InputError, match="centre_box has no weights"):
        load("centre_box")
    with pytest.raises(InputError, match="a test needs a protocol"):
        quiet().test(load("mpnet"), dataloaders=[torch.zeros(1)], verbose=False)


TWO_PROCESSES = """
import json, sys
from pytorch_lightning import Trainer
from vosbench.data import DAVIS16DataModule
from vosbench.models import load

if __name__ == "__main__":
    root, devices, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    strategy = "ddp_spawn" if devices > 1 else "auto"
    trainer = Trainer(
        logger=False, enable_progress_bar=False, accelerator="cpu", devices=devices, strategy=strategy
    )
    run = getattr(trainer, sys.argv[4])
    [values] = run(load("mpnet"), DAVIS16DataModule(root, metrics=["j"]), verbose=False)
    if trainer.is_global_zero:
        open(out, "w").write(json.dumps(values))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "videos"), [("test", 3), ("test", 1), ("validate", 1)])
def test_two_devices_equal_one_with_an_uneven_number_of_videos_and_with_less_than_two(tmp_path, loop, videos):
    from vosbench.data.mini import write_mini

    write_mini("davis16", tmp_path / "data", scenes=videos, size=(64, 96), frames=4)
    program = tmp_path / "program.py"
    program.write_text(TWO_PROCESSES)
    values = []
    for devices in (1, 2):
        out = tmp_path / f"{devices}.json"
        command = [sys.executable, str(program), str(tmp_path / "data"), str(devices), str(out), loop]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        values.append(json.loads(Path(out).read_text()))
    assert values[0] == values[1]
