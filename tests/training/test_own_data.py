"""``vosbench fit --dataset``: training on data of one's own."""

import numpy as np
import pytest
import yaml
from PIL import Image

from vosbench.models.pretrained.weight_files import training_of


@pytest.fixture
def clips(tmp_path):
    """Three videos of three frames, a square on noise, in a folder whose name has a blank."""
    noise = np.random.default_rng(0).integers(0, 120, (96, 128, 3), np.uint8)
    for name in ("boat", "kite", "lake"):
        for number in range(3):
            ids = np.zeros((96, 128), np.uint8)
            ids[32:64, 8 + 4 * number : 40 + 4 * number] = 255
            frame = np.where(ids[..., None] > 0, np.uint8(220), noise)
            for kind, values, suffix in (("JPEGImages", frame, "jpg"), ("Annotations", ids, "png")):
                path = tmp_path / f"my clips/{kind}/{name}/{number:03d}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    return tmp_path / "my clips"


def test_a_method_is_trained_on_a_folder_of_ones_own(clips, run, tmp_path):
    recipe = (
        "recipe.C.epochs=1",
        "recipe.C.epoch_length=2",
        "recipe.C.batch_size=1",
        "recipe.C.flow=[dis:fast]",
    )
    trainer = ("trainer.accelerator=cpu", "trainer.devices=1", "trainer.enable_progress_bar=false")
    words = ("model=mpnet", "size=tiny", "recipe=mpnet_davis", "workers=0", "recipe.C.augment.crop=[80,112]")
    status, out, err = run("fit", *words, *recipe, *trainer, "--dataset", clips)
    assert status == 0, err
    folder = tmp_path / out.strip()
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["data"][0]["name"] == f"my-clips={clips}"
    learnt = training_of(folder / "C/checkpoints/last.ckpt")
    assert (learnt["data"]["name"], learnt["data"]["edition"]) == ("my-clips", "official")
    [selection] = learnt["selection"]
    assert (selection["name"], selection["split"]) == ("my-clips", "all")
    # the leakage check knows both parts by the names of their videos
    assert {*learnt["data"]["sequences"], *selection["sequences"]} == {"boat", "kite", "lake"}


def test_mistakes_are_one_line(clips, run):
    status, out, err = run("fit", "model=mpnet", "--dataset", "./nowhere")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "no such folder" in err
    status, out, err = run("fit", "model=mpnet", "data=own")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "data=own does not say which: write data.name=FOLDER, or --dataset FOLDER" in err
