"""Training plans of the packaged weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vosbench.composition import compose_fit
from vosbench.data import open_dataset
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError
from vosbench.models import METHODS, build
from vosbench.models.baselines import CopyFirst
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


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_earlier_runs_of_a_plan_compose(train, path, tmp_path):
    plan = train.read_plan(path)
    for run, settings in plan.earlier.items():
        if "fit" in settings:
            assert settings["stage"] in compose_fit(plan.overrides(tmp_path, run=run)).recipe


def test_an_earlier_run_changes_arguments_of_its_plan_and_is_named_by_them(train, tmp_path):
    plan = train.Plan(
        name="plan",
        model="fusionseg",
        fit=["stage=all", "seed=0", "model.appearance_weights={start}"],
        earlier={
            "short": {"stage": "appearance", "fit": ["model.appearance_weights=null"]},
            "start": {"mean": ["short"]},
        },
    )
    folders = [f"data_root={tmp_path}/plan-data", f"run={tmp_path}/plan"]
    weights = f"model.appearance_weights={tmp_path}/plan-start.ckpt"
    assert plan.overrides(tmp_path) == ["model=fusionseg", "stage=all", "seed=0", weights, *folders]
    first = ["model=fusionseg", "seed=0", "stage=appearance", "model.appearance_weights=null"]
    assert plan.overrides(tmp_path, run="short") == [*first, folders[0], f"{folders[1]}-short"]
    assert plan.checkpoint_of("short", "W") == "W/plan-short/appearance/checkpoints/last.ckpt"


def test_either_half_of_the_videos_is_held_out_of_a_run_by_its_name(train, tmp_path):
    plan = train.read_plan(PLANS[0].parent / "fusionseg_lite.yaml")
    videos = set(shipped_split("davis16_train"))
    learnt = {
        run: videos - set(compose_fit(plan.overrides(tmp_path, run=run)).data.hold_out)
        for run in ("first", "second", "fusion_of_first", "fusion_of_second")
    }
    assert learnt["first"] == learnt["fusion_of_second"]
    assert learnt["second"] == learnt["fusion_of_first"]
    assert not learnt["first"] & learnt["second"]
    assert learnt["first"] | learnt["second"] == videos - set(shipped_split("davis16_held_out"))


def test_weights_are_averaged_and_counters_are_not(train, tmp_path):
    values = [torch.tensor([1.0, -2.0]), torch.tensor([2.0, 4.0]), torch.tensor([6.0, 1.0])]
    for index, value in enumerate(values):
        state = {"weight": value, "num_batches_tracked": torch.tensor(index)}
        content = {
            "state_dict": state,
            "epoch": index,
            "vosbench": {},
            "training": {
                "data": {"sequences": [f"b{index}", "a"]},
                "selection": [{"sequences": ["b1", "held"]}],
            },
        }
        torch.save(content, tmp_path / f"{index}.ckpt")
    train.average([tmp_path / f"{index}.ckpt" for index in range(3)], tmp_path / "mean.ckpt")
    mean = torch.load(tmp_path / "mean.ckpt", weights_only=True)
    assert mean["state_dict"]["weight"].tolist() == [3.0, 1.0]
    assert mean["state_dict"]["num_batches_tracked"] == 0
    assert mean["epoch"] == 0
    assert mean["training"]["data"]["sequences"] == ["a", "b0", "b1", "b2"]
    assert mean["training"]["selection"] == [{"sequences": ["held"]}]
    parts = mean["training"]["parts"]
    assert [(part["weights"], part["training"]["data"]) for part in parts] == [
        ("1.ckpt", {"sequences": ["b1", "a"]}),
        ("2.ckpt", {"sequences": ["b2", "a"]}),
    ]


def test_tensors_are_grafted_by_their_prefix(train, tmp_path):
    states = {
        "own": {"network.body.a": torch.zeros(2), "network.head.a": torch.ones(1)},
        "other": {"network.appearance.body.a": torch.tensor([3.0, 4.0]), "network.head.a": torch.zeros(1)},
    }
    for name, state in states.items():
        content = {"state_dict": state, "vosbench": {}, "training": {"data": {"name": name}}}
        torch.save(content, tmp_path / f"{name}.ckpt")
    tensors = {"network.body.": "network.appearance.body."}
    train.graft(tmp_path / "own.ckpt", tmp_path / "other.ckpt", tensors, tmp_path / "both.ckpt")
    both = torch.load(tmp_path / "both.ckpt", weights_only=True)
    assert both["state_dict"]["network.body.a"].tolist() == [3.0, 4.0]
    assert both["state_dict"]["network.head.a"].tolist() == [1.0]
    assert both["training"]["data"] == {"name": "own"}
    (part,) = both["training"]["parts"]
    assert (part["weights"], part["training"]["data"]) == ("other.ckpt", {"name": "other"})


def test_a_plan_may_not_render_what_is_tested_on(train, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(SMOKE | {"world": SMOKE["world"] | {"seed": 0}}))
    with pytest.raises(InputError, match="seed of the scenes that are tested on"):
        train.read_plan(path)
    path.write_text(yaml.safe_dump(SMOKE | {"real": ["ft3d"]}))
    with pytest.raises(InputError, match="ft3d cannot be rendered and real at once"):
        train.read_plan(path)
    path.write_text(yaml.safe_dump({"modle": "mpnet"}))
    with pytest.raises(InputError, match="not a plan of the zoo"):
        train.read_plan(path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"earlier": {"a": {"mean": ["b"]}}}, "unknown earlier run in .*plan.yaml 'b'"),
        ({"earlier": {"a": {"graft": "a", "of": "x.ckpt", "tensors": {}}}}, "unknown earlier run .* 'a'"),
        (
            {"earlier": {"a": {"stage": "A"}}},
            "earlier.a has stage, must have fit, stage or mean",
        ),
        ({"take": "a"}, "unknown earlier run in .*plan.yaml 'a'"),
        ({"bases": "mpnet-tiny"}, "bases is 'mpnet-tiny', must be a list"),
        ({"earlier": {"a": {"mean": "b"}}}, "earlier.a.mean is 'b', must be a list"),
    ],
)
def test_runs_of_a_plan_build_on_those_before_them(train, tmp_path, changes, problem):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(SMOKE | changes))
    with pytest.raises(InputError, match=problem):
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


@pytest.fixture
def held_out(make_davis, tmp_path):
    """DAVIS 2016 train: the held-out sequences and one more, three or four frames each."""
    names = shipped_split("davis16_held_out")
    make_davis(tmp_path, {"bear": 3} | {name: 3 + number % 2 for number, name in enumerate(names)})
    lists = tmp_path / "davis16" / "ImageSets" / "480p"
    (lists / "val.txt").rename(lists / "train.txt")
    return tmp_path


def saved(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_runs_and_data_of_two_plans_of_a_method_lie_apart(train):
    plans = [train.read_plan(path) for path in PLANS]
    for key in ("run=", "data_root="):
        folders = [line for plan in plans for line in plan.overrides("W") if line.startswith(key)]
        assert len(set(folders)) == len(plans)


def test_settings_of_a_run_name_files_without_their_folders(train, tmp_path):
    config = {
        "model": {"name": "lvo", "appearance_weights": "/home/me/fusionseg.ckpt"},
        "size": "lite",
        "seed": 0,
        "init": "/home/me/runs/a.ckpt",
        "trainer": {"max_steps": 3},
        "recipe": {"appearance": {"flow": []}, "memory": {"flow": ["dis", "raft:/home/me/raft-small.pth"]}},
        "data_root": "/home/me/data",
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "memory" / "checkpoints").mkdir(parents=True)
    (tmp_path / "memory" / "checkpoints" / "last.ckpt").touch()
    assert train.settings_of(tmp_path) == {
        "model": {"name": "lvo", "appearance_weights": "fusionseg.ckpt"},
        "size": "lite",
        "seed": 0,
        "init": "a.ckpt",
        "trainer": {"max_steps": 3},
        "stages": {"memory": {"flow": ["dis", "raft:raft-small.pth"]}},
    }


def test_data_of_weights_say_what_was_rendered(train):
    plan = train.Plan("mpnet_davis", "mpnet", [], real=["davis16"])
    mixed = {"name": "ft3d, davis16", "edition": "mini, official"}
    assert train.data_of(plan, mixed) == mixed | {"rendered": ["ft3d"]}
    assert train.data_of(plan, mixed | {"rendered": []}) == mixed | {"rendered": []}
    official = {"name": "davis16", "edition": "official", "sequences": ["bear"]}
    assert train.data_of(plan, official) == official
    world = {"seed": 7, "sets": {"ft3d": {"scenes": 3}}}
    both = train.Plan("a", "mpnet", [], world, real=["davis16"])
    assert train.data_of(both, official) == official | {"world": world}
    assert (
        train.data_of(train.Plan("a", "mpnet", [], world), {}) == {"name": "ft3d", "edition": "mini"} | world
    )


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_states_the_weights_that_it_builds_on(train, path):
    plan = train.read_plan(path)
    lines = [*plan.fit, *(line for run in plan.earlier.values() for line in run.get("fit", []))]
    named = re.findall(r"\{out\}/([\w-]+)\.safetensors", " ".join(lines))
    assert set(named) <= set(plan.bases)


def test_weights_that_a_plan_builds_on_must_be_there(train, tmp_path):
    with pytest.raises(InputError, match=r"no fusionseg-lite\.safetensors in --out .* make it first"):
        train.check_bases(["fusionseg-lite"], tmp_path)
    (tmp_path / "fusionseg-lite.safetensors").touch()
    train.check_bases(["fusionseg-lite"], tmp_path)


def test_held_out_videos_are_measured_beside_trivial_methods(zoo_program, held_out):
    measuring = zoo_program("measuring")
    weights = saved(held_out / "a.ckpt", build("mpnet", "tiny", threshold=0))
    flows = ["dis", "farneback"]
    measured = measuring.measure_held_out("mpnet", weights, held_out, flows, held_out / "cache")
    dis, farneback = measured.values()
    assert list(measured) == [
        "davis16 train, held out, flow dis",
        "davis16 train, held out, flow farneback",
    ]
    videos = {video.name: video for video in open_dataset("davis16", held_out, "train")}
    # with threshold 0 all is foreground; the first and the last frame do not count
    expected = {
        name: np.mean([(videos[name].annotations[t] > 0).mean() for t in range(1, len(videos[name]) - 1)])
        for name in shipped_split("davis16_held_out")
    }
    assert dis["mpnet"]["J_mean_by_sequence"] == pytest.approx(expected, abs=1e-4)
    assert dis["mpnet"]["sequences"] == 6
    assert dis["mpnet"]["protocol"] == "davis16-unsupervised"
    assert set(dis) == set(farneback) == {"mpnet", "centre_box", "flow_threshold"}


def test_semi_supervised_methods_are_measured_once_and_given_the_first_mask(
    zoo_program, held_out, monkeypatch
):
    measuring = zoo_program("measuring")
    monkeypatch.setattr(measuring, "load_method", lambda name, checkpoint=None: (CopyFirst(), {}))
    (measured,) = measuring.measure_held_out(
        "stcnn", held_out / "a.ckpt", held_out, ["dis", "farneback"], held_out / "cache"
    ).values()
    assert set(measured) == {"stcnn", "copy_first", "propagate_flow"}
    assert measured["stcnn"]["protocol"] == "davis16-semi-supervised"
    # a square of 10 x 10 pixels that has moved by 2 pixels, and by 4
    near, far = 80 / 120, 60 / 140
    expected = {
        name: np.mean([near, far][: 1 + number % 2])
        for number, name in enumerate(shipped_split("davis16_held_out"))
    }
    assert measured["stcnn"]["J_mean_by_sequence"] == pytest.approx(expected, abs=1e-4)


def test_a_held_out_video_that_is_missing_is_an_error(zoo_program, make_davis, tmp_path):
    make_davis(tmp_path, {"bear": 3, "boat": 3})
    lists = tmp_path / "davis16" / "ImageSets" / "480p"
    (lists / "val.txt").rename(lists / "train.txt")
    weights = saved(tmp_path / "a.ckpt", build("mpnet", "tiny"))
    with pytest.raises(InputError, match="unknown video to hold out 'bus'"):
        zoo_program("measuring").measure_held_out("mpnet", weights, tmp_path, ["dis"], tmp_path / "cache")


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
