from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import SGD, RMSprop

from vosbench.composition import load_stage
from vosbench.config import OptimizerConfig, ScheduleConfig, StageConfig
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.loading.datamodule import ClipDataModule, Loading, Source
from vosbench.data.mini import write_mini
from vosbench.data.mini.render import RenderedView
from vosbench.data.mini.sampling import Recipe, sample_visible_scene
from vosbench.data.mini.scene import Behaviour
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.models import build
from vosbench.models.lvo.module import LVO
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.training import fit
from vosbench.video import Video

FRAMES, STOP, SIZE = 8, 4, (72, 128)


def configured(stage, **variant):
    model = build("lvo", "tiny", **variant)
    model.configure_stage(stage)
    return model, model.configure_optimizers()


def test_memory_is_trained_as_the_paper_says():
    model, configuration = configured("memory")
    optimizer, scheduler = configuration["optimizer"], configuration["lr_scheduler"]["scheduler"]
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, RMSprop)
    assert (group["lr"], group["weight_decay"], group["alpha"], group["eps"]) == (1e-4, 0.005, 0.99, 1e-8)
    assert (group["momentum"], group["centered"]) == (0, False)
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert {id(parameter) for parameter in group["params"]} == trained
    optimizer.step()
    scheduler.step()
    assert configuration["lr_scheduler"]["interval"] == "epoch"
    assert (group["lr"], group["weight_decay"]) == (pytest.approx(0.95e-4), 0.005)


def test_clips_of_the_memory_stage():
    stage = load_stage("lvo", "memory")
    assert stage.epochs * stage.epoch_length // stage.batch_size == 30_000
    assert (stage.clip.length, stage.clip.per_video, stage.clip_gradients) == (14, True, 50)
    changes = stage.augment
    assert (changes.crop, changes.mirror, changes.stop, changes.stop_frames) == (0.8, 0.5, 0.2, 5)


def test_appearance_is_fine_tuned_as_deeplab_is():
    model, configuration = configured("appearance")
    optimizer = configuration["optimizer"]
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, SGD)
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (2.5e-4, 0.9, 5e-4)
    assert configuration["lr_scheduler"]["interval"] == "step"
    trained = {name for name, parameter in model.network.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(name.startswith("appearance.") for name in trained)
    stage = load_stage("lvo", "appearance")
    assert stage.epochs * stage.epoch_length // stage.batch_size == 20_000


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_mini("davis16", root, scenes=2, size=SIZE, frames=4)
    return root


def arguments(root, runs, *more):
    return [
        *("model=lvo", "size=tiny", f"data_root={root}", f"runs={runs}", "workers=0"),
        *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", *more),
    ]


def test_a_gradient_of_1000_is_applied_as_50(mini, tmp_path, monkeypatch):
    """A step of SGD with a learning rate of 1 takes the gradient off the weight, which starts at 0."""
    monkeypatch.setattr(LVO, "training_step", lambda self, *_: 1000 * self.network.classifier.bias.sum())
    run = fit(
        arguments(
            *(mini, tmp_path, "stage=memory", "model.appearance=none", "recipe.memory.clip.length=3"),
            *("recipe.memory.epochs=1", "recipe.memory.epoch_length=1", "trainer.limit_val_batches=0"),
            *("recipe.memory.optimizer.name=sgd", "recipe.memory.optimizer.lr=1"),
            "recipe.memory.optimizer.weight_decay=0",
        )
    )
    state, _ = read_state(run / "memory/checkpoints/last.ckpt")
    assert state["network.classifier.bias"].tolist() == [-50, -50]


@pytest.mark.slow
def test_the_tiny_recipe_runs_through_both_stages(mini, tmp_path):
    write_mini("voc2012", mini, scenes=8)
    run = fit(
        arguments(
            *(mini, tmp_path, "recipe=lvo_tiny", "stage=all", "recipe.appearance.epochs=1"),
            *("recipe.appearance.epoch_length=8", "recipe.memory.epochs=1", "recipe.memory.epoch_length=2"),
            *("recipe.memory.clip.length=3", "recipe.memory.augment.stop_frames=1"),
        )
    )
    model, _ = load_method("lvo", checkpoint=run / "memory/checkpoints/last.ckpt")
    shipped, _ = load_method("mpnet", "tiny")
    first, _ = read_state(run / "appearance/checkpoints/last.ckpt")
    last = model.state_dict()
    # what the first stage learned is kept, with the motion network that comes with the package
    same = {key for key, value in first.items() if torch.equal(value, last[key])}
    assert {key for key in first if key.startswith(("network.appearance.", "network.motion."))} <= same
    assert "network.classifier.weight" not in same
    assert torch.equal(model.network.motion.classifier.weight, shipped.network.classifier.weight)


def stopping(number):
    """A rendered video, seen by a still camera, whose object stops at frame `STOP` and stays."""
    kind = ("vehicle", "quadruped", "biped")[number % 3]
    recipe = Recipe("static", kind, 1, Behaviour.STOP_AND_GO, foreground=0, main_height=0.5, speed=4)
    scene = sample_visible_scene((5, number), recipe, FRAMES, SIZE[0] / SIZE[1], 0.03)
    # time 0 is the middle of the video
    pause = STOP - (FRAMES - 1) / 2, float("inf")
    bodies = tuple(replace(body, pause=pause) if body.annotated else body for body in scene.bodies)
    scene = replace(scene, bodies=bodies)
    cameras = [scene.camera(frame, SIZE) for frame in range(FRAMES)]
    views = [RenderedView(scene, frame, camera) for frame, camera in enumerate(cameras)]
    return Video(
        f"stop{number}",
        [view.rgb() for view in views],
        tuple(f"{frame:05d}" for frame in range(FRAMES)),
        {frame: view.annotation().astype(np.uint8) for frame, view in enumerate(views)},
        [views[frame].motion(frame + 1, cameras[frame + 1]).flow for frame in range(FRAMES - 1)],
    )


class Kept(nn.Module):
    """A motion network that is asked once about each clip: it is frozen, and most of the time of training."""

    def __init__(self, motion, answers):
        super().__init__()
        self.motion = motion
        self.answers = answers

    def forward(self, code):
        key = code.numpy().tobytes()
        if key not in self.answers:
            self.answers[key] = self.motion(code)
        return self.answers[key]


def trained(memory, videos, answers):
    pl.seed_everything(0, verbose=False)
    # without appearance nothing but memory can tell where what stands now has moved
    model = build("lvo", "tiny", appearance="none", memory=memory)
    optimizer = OptimizerConfig("rmsprop", lr=3e-4, momentum=0, weight_decay=0)
    model.configure_stage("memory", StageConfig(optimizer=optimizer, schedule=ScheduleConfig("constant")))
    model.network.motion = Kept(model.network.motion, answers).eval()
    source = Source(videos, ClipSettings(FRAMES, flow=(None,), in_memory=True), ClipTransform(mirror=0.5))
    data = ClipDataModule([source], loading=Loading(1, mixing="shares", epoch_length=600))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        gradient_clip_val=50,
        gradient_clip_algorithm="value",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    return model


def overlap(model, videos, frames):
    values = []
    for video in videos:
        masks = model.segment(video).stack() > 0
        for frame in frames:
            truth = video.annotations[frame] > 0
            values.append((masks[frame] & truth).sum() / (masks[frame] | truth).sum())
    return float(np.mean(values))


@pytest.mark.slow
def test_memory_keeps_an_object_that_stops():
    """The paper's reason for memory: after the stop flow is zero, so without memory nothing is known."""
    videos, unseen = (
        [stopping(number) for number in range(16)],
        [stopping(number) for number in range(50, 54)],
    )
    moving, after = range(STOP), range(STOP, FRAMES)
    for video in (*videos, *unseen):
        assert all(field.any() == (frame in moving) for frame, field in enumerate(video.flow))
    answers = {}
    without, with_ = (trained(memory, videos, answers) for memory in ("none", "convgru"))
    for seen in (videos[:4], unseen):
        assert overlap(without, seen, moving) > 0.2  # it learned what it can
        assert overlap(with_, seen, after) - overlap(without, seen, after) >= 0.2
