"""Validation of a stage on whole videos: values of the protocol, which the best checkpoint follows."""

import csv

import pytest
import torch
from pytorch_lightning import Trainer

from vosbench.composition import compose_fit
from vosbench.data import DAVIS16DataModule
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit
from vosbench.training.run_folder import what_to_test
from vosbench.training.stage_data import stage_data
from vosbench.training.video_validation import with_whole_videos


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_mini("davis16", root, scenes=2, size=(64, 96), frames=4)
    write_mini("davis17", root, scenes=2, size=(64, 96), frames=4)
    return root


@pytest.fixture(scope="module")
def arguments(root, tmp_path_factory):
    return [
        *("model=mpnet", "size=tiny", "stage=C", "data.scale=0.75", "workers=0", "data.val_split=val"),
        *("recipe.C.batch_size=2", "recipe.C.augment.crop=[48,64]", "recipe.C.epochs=2", "val=videos"),
        *("trainer.accelerator=cpu", "trainer.limit_train_batches=1", "trainer.num_sanity_val_steps=1"),
        *("trainer.enable_progress_bar=false", f"data_root={root}"),
        f"runs={tmp_path_factory.mktemp('runs')}",
    ]


@pytest.fixture(scope="module")
def run(arguments):
    return fit(arguments)


def logged(run):
    with (run / "C/logs/version_0/metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["val/J"]]


def test_the_values_are_those_of_a_test_of_the_same_videos(run, root):
    data = DAVIS16DataModule(root, split="val", metrics=["j", "f"])
    method, _ = load_method("mpnet", checkpoint=run / "C/checkpoints/last.ckpt")
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    [tested] = trainer.test(method, data, verbose=False)
    last = logged(run)[-1]
    assert len(logged(run)) == 2
    # frames as they are, not by the scale of the training clips
    assert float(last["val/J"]) == pytest.approx(tested["test/J_mean"], rel=1e-6)
    assert float(last["val/F"]) == pytest.approx(tested["test/F_mean"], rel=1e-6)


def test_best_follows_j(run):
    values = [float(row["val/J"]) for row in logged(run)]
    best = torch.load(run / "C/checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == values.index(max(values))
    with (run / "C/final.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(rows["val/J"]["best"]) == pytest.approx(max(values))
    assert rows["val/F"]["last"]
    assert sorted((run / "C/pictures").iterdir())
    (selection,) = best["training"]["selection"]
    assert (selection["monitor"], selection["val"]) == ("val/J", "videos")
    assert "with the best val/J" in what_to_test(run)[1]


def module_of(name, stage, settings):
    module = build(name, "tiny")
    module.configure_stage(stage, settings)
    return module


def data_of(root, name, stage, *overrides):
    config = compose_fit([f"model={name}", "size=tiny", "workers=0", f"data_root={root}", *overrides])
    settings = config.recipe[stage]
    module = module_of(name, stage, settings)
    clips = stage_data(config, settings, [config.data], needs_flow=module.needs_flow)
    return with_whole_videos(clips, config, settings, [config.data], module)


def test_held_out_videos_are_validated_under_the_usual_protocol_of_the_task(root):
    data = data_of(root, "lip", "vos", "data=davis17", "recipe.vos.clip.length=2", "val=videos")
    assert data.protocol.id == "davis17-semi-supervised"
    steps = list(data.val_dataloader())
    trained = {int(video) for batch in data.train_dataloader() for video in batch["video"]}
    assert (len(steps), len(trained)) == (1, 1)
    # every object by itself, from the first frame to the last
    assert len(steps[0].video.annotations) == len(steps[0].video) == 4


def test_a_protocol_may_be_named(root):
    overrides = ("data=davis16", "val=videos", "val_protocol=davis16-matlab")
    assert data_of(root, "mpnet", "C", *overrides).protocol.id == "davis16-matlab"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("val=video", "unknown val 'video'.*did you mean videos"),
        ("val_protocol=ft3d-iou", "not made for davis16"),
        ("val_protocol=davis16-semi-supervised", "made for semi-supervised methods: name another protocol"),
        ("data.val_split=null", "leave no video to validate on"),
        ("trainer.limit_val_batches=0", "leave no video to validate on"),
    ],
)
def test_mistakes_are_one_line(arguments, override, message):
    with pytest.raises(InputError, match=message) as error:
        fit([*arguments, *override.split()])
    assert "\n" not in str(error.value)


def test_a_stage_that_segments_no_video_says_so(root):
    with pytest.raises(InputError, match="stage motion of fusionseg trains nothing that segments a video"):
        data_of(root, "fusionseg", "motion", "data=davis16", "val=videos")


def test_data_without_a_protocol_say_so(root):
    write_mini("ytvos", root, scenes=2, size=(64, 96), frames=6)
    anything = ("recipe.memory.clip.masks=any", "val=videos")
    with pytest.raises(InputError, match="no protocol is made for ytvos and unsupervised methods"):
        data_of(root, "lvo", "memory", "data=ytvos_moving", "recipe.memory.clip.length=2", *anything)
