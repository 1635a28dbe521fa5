"""Training plans of the packaged weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vosbench.config import compose_fit
from vosbench.data import open_dataset
from vosbench.errors import InputError
from vosbench.models import METHODS, build
from vosbench.models.pretrained.zoo import load_method

PLANS = sorted((Path(__file__).parents[1] / "benchmarks" / "zoo").glob("*.yaml"))

SMOKE = {
    "model": "mpnet",
    "world": {"seed": 3, "sets": {"ft3d": {"scenes": 2, "test_scenes": 1, "frames": 2, "size": [64, 96]}}},
    "fit": [
        *("size=tiny", "recipe=mpnet_tiny", "data=ft3d", "data.edition=official", "data.scale=1.0"),
        *("workers=0", "trainer.accelerator=cpu", "trainer.limit_val_batches=0"),
        *("recipe.A.epochs=1", "recipe.A.batch_size=2", "recipe.A.augment.crop=[48,64]"),
    ],
    "variant": {"threshold": 0.4},
    "note": "a smoke test",
}


@pytest.fixture(scope="module")
def train(zoo_program):
    return zoo_program("train")


def test_every_method_has_a_plan_of_its_tiny_size(train):
    plans = [train.read_plan(path) for path in PLANS]
    assert {plan.model for plan in plans if "size=tiny" in plan.fit} == set(METHODS)
    assert all("size=lite" in plan.fit or "size=tiny" in plan.fit for plan in plans)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_composes_and_renders_every_set_that_its_stages_read(train, path, tmp_path):
    plan = train.read_plan(path)
    overrides = plan.overrides(tmp_path)
    config = compose_fit(overrides)
    named = [line for line in overrides if line.startswith("data=")]
    for stage in config.recipe.values():
        for name in [""] if named else stage.data:
            read = compose_fit([*overrides, *([f"data={name}"] if name else [])]).data
            # what has an edition of its own is rendered where it is read
            assert read.edition == "mini" or read.name in plan.world["sets"] or read.name in plan.real
    assert set(plan.flows) <= {name for name, stage in config.recipe.items() if stage.flow}


def test_a_plan_may_not_render_what_is_tested_on(train, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(SMOKE | {"world": SMOKE["world"] | {"seed": 0}}))
    with pytest.raises(InputError, match="seed of the scenes that are tested on"):
        train.read_plan(path)
    path.write_text(yaml.safe_dump({"modle": "mpnet"}))
    with pytest.raises(InputError, match="not a plan of the zoo"):
        train.read_plan(path)


def test_time_of_a_run_that_goes_on_is_added_and_its_first_commit_stays(train, tmp_path):
    memory = tmp_path / "memory.json"
    memory.write_text(json.dumps({"git": {"commit": "a" * 40, "clean": True}, "cpu_seconds_at_least": 100}))
    with train.kept_in_mind(memory):
        pass
    provenance = train.remembered(memory)
    assert provenance["git"]["commit"] == "a" * 40
    assert 100 <= provenance["cpu_seconds_at_least"] < 110


def test_flow_of_real_data_and_folders_are_the_users(train, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "model": "lvo",
                "real": ["davis16"],
                "flows": ["memory"],
                "fit": ["size=lite", "recipe=lvo_lite", "model.appearance_weights={out}/a-{work}"],
            }
        )
    )
    plan = train.read_plan(path)
    config = compose_fit(plan.overrides("W", "O", ["dis", "raft:/x/raft-small.pth"]))
    assert config.recipe["memory"].flow == ["dis", "raft:/x/raft-small.pth"]
    assert config.model["appearance_weights"] == "O/a-W"
    with pytest.raises(InputError, match="no folder davis16 in --data-root"):
        train.link(plan.real, tmp_path, tmp_path / "world")
    (tmp_path / "davis16").mkdir()
    train.link(plan.real, tmp_path, tmp_path / "world")
    train.link(plan.real, tmp_path, tmp_path / "world")
    assert (tmp_path / "world" / "davis16").resolve() == tmp_path / "davis16"


def test_held_out_videos_are_measured(zoo_program, make_davis, tmp_path, monkeypatch):
    make_davis(tmp_path, {"boat": 4, "bear": 3, "bus": 4})
    lists = tmp_path / "davis16" / "ImageSets" / "480p"
    (lists / "val.txt").rename(lists / "train.txt")
    measuring = zoo_program("measuring")
    torch.manual_seed(0)
    model = build("mpnet", "tiny", threshold=0)
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, tmp_path / "a.ckpt")
    measured = measuring.measure_held_out("mpnet", tmp_path / "a.ckpt", tmp_path, "dis", tmp_path / "cache")
    videos = {video.name: video for video in open_dataset("davis16", tmp_path, "train")}
    # with threshold 0 all is foreground; the first and the last frame do not count
    expected = {
        name: np.mean([(videos[name].annotations[t] > 0).mean() for t in (1, 2)]) for name in ("boat", "bus")
    }
    assert measured["mpnet"]["J_mean_by_sequence"] == pytest.approx(expected, abs=1e-4)
    assert measured["mpnet"]["sequences"] == 2


@pytest.mark.slow
def test_one_command_renders_trains_measures_and_exports(train, zoo_program, tmp_path, monkeypatch):
    plan, out = tmp_path / "smoke.yaml", tmp_path / "out"
    plan.write_text(yaml.safe_dump(SMOKE))
    measuring = zoo_program("measuring")
    world = measuring.World("davis16", {"seed": 5, "scenes": 2, "frames": 3})
    monkeypatch.setattr(measuring, "WORLDS", (world,))
    monkeypatch.setenv("VOSBENCH_CACHE", "")
    monkeypatch.setattr(
        "sys.argv", ["train.py", str(plan), "--work", str(tmp_path / "work"), "--out", str(out)]
    )
    train.main()
    provenance = json.loads((out / "mpnet-tiny.json").read_text())
    assert provenance["variant"]["threshold"] == 0.4
    assert provenance["training"]["data"]["seed"] == 3
    assert provenance["training"]["stages"] == {"A": {"epochs": 1, "steps": provenance["training"]["steps"]}}
    measured = provenance["training"]["measured"][world.title]
    assert set(measured) == {"mpnet", *measuring.BASELINES}
    assert measured["mpnet"]["sequences"] == 2
    method, _ = load_method("mpnet", checkpoint=out / "mpnet-tiny.safetensors")
    assert method.threshold == 0.4
