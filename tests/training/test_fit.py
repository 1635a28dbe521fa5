import csv
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.pretrained.weight_files import read_state
from vosbench.models.pretrained.zoo import load_method, packaged
from vosbench.temporary import temporary_file
from vosbench.training import fit
from vosbench.training.checkpoints import WholeCheckpoints
from vosbench.training.run import plan_fit, start_weights
from vosbench.training.run_folder import what_to_test
from vosbench.training.stage import load_weights


def write_davis(root, split, sequence, frames=4, size=(64, 96)):
    """A square that moves over noise, in the official layout."""
    random = np.random.default_rng(0)
    background = random.integers(0, 255, (*size, 3), dtype=np.uint8)
    for kind in ("JPEGImages", "Annotations"):
        (root / "davis16" / kind / "480p" / sequence).mkdir(parents=True)
    lines = []
    for index in range(frames):
        image, mask = background.copy(), np.zeros(size, np.uint8)
        window = (slice(20, 40), slice(10 + 3 * index, 40 + 3 * index))
        image[window], mask[window] = (200, 40, 40), 255
        stem = f"480p/{sequence}/{index:05d}"
        Image.fromarray(image).save(root / f"davis16/JPEGImages/{stem}.jpg", quality=95)
        Image.fromarray(mask).save(root / f"davis16/Annotations/{stem}.png")
        lines.append(f"/JPEGImages/{stem}.jpg /Annotations/{stem}.png \n")
    sets = root / "davis16/ImageSets/480p"
    sets.mkdir(parents=True, exist_ok=True)
    with (sets / f"{split}.txt").open("a") as file:
        file.writelines(lines)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_davis(root, "train", "square")
    write_davis(root, "val", "other", frames=2)
    runs = tmp_path_factory.mktemp("runs")
    return [
        *("model=mpnet", "size=tiny", "stage=C", "data.scale=1.0", "workers=0", "data.val_split=val"),
        *("recipe.C.batch_size=2", "recipe.C.augment.crop=[48,64]", "recipe.C.epochs=2"),
        *("trainer.accelerator=cpu", "trainer.limit_train_batches=1", "trainer.log_every_n_steps=1"),
        *("trainer.enable_progress_bar=false", f"data_root={root}", f"runs={runs}"),
    ]


@pytest.fixture(scope="module")
def run(arguments):
    return fit(arguments)


def test_run_folder_holds_config_checkpoints_and_log(run):
    assert run.name == "000"
    assert yaml.safe_load((run / "config.yaml").read_text())["recipe"]["C"]["augment"]["crop"] == [48, 64]
    assert (run / "C/checkpoints/best.ckpt").is_file()
    with (run / "C/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["train/loss"]) > 0 for row in rows if row["train/loss"]] == [True, True]
    assert any(row["val/J"] for row in rows)


def test_every_epoch_leaves_a_checkpoint_however_rarely_is_validated(arguments, tmp_path):
    rarely = ("trainer.check_val_every_n_epoch=5", "recipe.C.epochs=1", f"runs={tmp_path}")
    written = fit([*arguments, *rarely]) / "C/checkpoints/last.ckpt"
    assert torch.load(written, weights_only=True)["global_step"] == 1


def test_resume_continues_at_the_next_epoch_and_step(run, arguments):
    before = torch.load(run / "C/checkpoints/last.ckpt", weights_only=True)
    assert (before["epoch"], before["global_step"]) == (1, 2)
    assert fit([*arguments, "resume=auto", "recipe.C.epochs=3"]) == run
    after = torch.load(run / "C/checkpoints/last.ckpt", weights_only=True)
    assert (after["epoch"], after["global_step"]) == (2, 3)
    moments = [state["optimizer_states"][0]["state"] for state in (before, after)]
    assert len(moments[0]) == len(moments[1]) > 0
    assert sorted(path.name for path in (run / "C/logs").iterdir()) == ["version_0", "version_1"]


def test_a_second_run_gets_its_own_folder_and_starts_from_given_weights(run, arguments):
    first = run / "C/checkpoints/best.ckpt"
    again = fit([*arguments, f"init={first}", "recipe.C.optimizer.lr=0.0"])
    assert again.name == "001"
    initial, kept = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (first, again / "C/checkpoints/last.ckpt")
    )
    weights = [key for key in initial if key.endswith("0.weight")]
    assert weights
    assert all(torch.equal(initial[key], kept[key]) for key in weights)


def test_a_run_starts_from_the_weights_of_the_package(arguments, tmp_path):
    started = fit([*arguments, "init=zoo", "recipe.C.optimizer.lr=0.0", f"runs={tmp_path}"])
    last = started / "C/checkpoints/last.ckpt"
    state, _ = read_state(packaged("mpnet", "tiny"))
    kept = torch.load(last, weights_only=True)["state_dict"]
    assert all(torch.equal(kept[key], state[key]) for key in state if key.endswith("0.weight"))
    # they learnt from the data of the package's training, too
    learnt = load_method("mpnet", checkpoint=last)[1]["training"]["data"]
    assert learnt["sequences"] == ["square"]
    assert set(learnt["name"].split(", ")) > {"davis16"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "model=mpnet size=full",
            "init=zoo: the package has no weights of mpnet of size full: write size=tiny",
        ),
        ("model=stcnn size=tiny", "no weights of stcnn of size tiny: write size=lite"),
    ],
)
def test_weights_that_the_package_does_not_have_are_refused_with_the_sizes_that_it_has(words, message):
    with pytest.raises(InputError, match=message):
        start_weights(plan_fit([*words.split(), "init=zoo"]).config)


def test_weights_of_another_network_are_refused_with_the_switches_of_theirs():
    network = build("motion_maskrcnn", "lite", merge="average")
    with pytest.raises(InputError, match=r"they are of one with .*model\.merge=concat_conv") as error:
        load_weights(network, packaged("motion_maskrcnn", "lite"))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("crop", ["[8,8]", "[64,31]", "0.1"])
def test_a_crop_too_small_for_the_network_is_refused_with_the_least(arguments, tmp_path, crop):
    least = "[64, 32]" if crop == "[64,31]" else "[32, 32]"
    words = [f"recipe.C.augment.crop={crop}", f"runs={tmp_path}"]
    with pytest.raises(InputError) as error:
        fit([*arguments, *words])
    assert str(error.value).startswith(
        f"recipe.C.augment.crop={crop.replace(',', ', ')} is too small for mpnet"
    )
    assert str(error.value).endswith(f"the least that can be trained on is {least}")


def test_the_least_crop_is_that_of_the_batch(arguments, tmp_path):
    """Batch normalisation takes two values at least, of two clips or of two places."""
    words = [
        *("model=fusionseg", "stage=appearance", "recipe=fusionseg_tiny", "data=davis16", f"runs={tmp_path}"),
        *("recipe.appearance.mixing=none", "recipe.appearance.shares=[]", "recipe.appearance.epochs=1"),
        *("recipe.appearance.augment.crop=[8,8]", "recipe.appearance.epoch_length=null"),
    ]
    usual = [line for line in arguments if not line.startswith(("model=", "stage=", "recipe.", "runs="))]
    with pytest.raises(InputError, match=r"batch_size=1 .*the least that can be trained on is \[16, 16\]$"):
        fit([*usual, *words, "recipe.appearance.batch_size=1"])
    assert (fit([*usual, *words, "recipe.appearance.batch_size=2"]) / "appearance/finished.yaml").is_file()


def test_clips_too_small_without_a_crop(arguments, tmp_path):
    with pytest.raises(InputError, match=r"clips are too small for mpnet .*: raise data\.scale"):
        fit([*arguments, "recipe.C.augment.crop=null", "data.scale=0.25", f"runs={tmp_path}"])


def test_checkpoint_of_a_run_loads_as_a_method(run):
    method, provenance = load_method("mpnet", checkpoint=run / "C/checkpoints/last.ckpt")
    assert provenance["size"] == "tiny"
    assert provenance["variant"]["input"] == "angle_field"
    assert len(provenance["sha256"]) == 64
    json.dumps(provenance)
    assert method.task == "unsupervised"


def test_checkpoints_tell_what_they_and_those_before_them_learnt_from(run, arguments, tmp_path):
    told = {"name": "davis16", "edition": "official", "sequences": ["square"]}
    chosen = {"name": "davis16", "edition": "official", "split": "val", "monitor": "val/J"}
    first = run / "C/checkpoints/last.ckpt"
    training = load_method("mpnet", checkpoint=first)[1]["training"]
    assert training == {"data": told, "selection": [chosen | {"sequences": ["other"]}]}
    others = tmp_path / "data"
    write_davis(others, "train", "circle")
    write_davis(others, "val", "third", frames=2)
    again = fit([*arguments, f"data_root={others}", f"runs={tmp_path}", f"init={first}"])
    both = load_method("mpnet", checkpoint=again / "C/checkpoints/last.ckpt")[1]["training"]
    assert both == {
        "data": told | {"sequences": ["circle", "square"]},
        "selection": [chosen | {"sequences": [name]} for name in ("other", "third")],
    }
    # a run that goes on starts from its own checkpoint, not from init
    fit([*arguments, f"data_root={others}", f"runs={tmp_path}", "resume=auto", "recipe.C.epochs=3"])
    assert load_method("mpnet", checkpoint=again / "C/checkpoints/last.ckpt")[1]["training"] == both


def test_by_default_a_video_is_held_out_and_validated_on(arguments, tmp_path):
    for name in ("square", "circle", "star"):
        write_davis(tmp_path, "train", name)
    usual = [line for line in arguments if line != "data.val_split=val"]
    run = fit([*usual, f"data_root={tmp_path}", f"runs={tmp_path}", "recipe.C.epochs=1"])
    told = load_method("mpnet", checkpoint=run / "C/checkpoints/last.ckpt")[1]["training"]
    (selection,) = told["selection"]
    assert selection["split"] == "train"
    assert sorted([*told["data"]["sequences"], *selection["sequences"]]) == ["circle", "square", "star"]
    last, best = what_to_test(run)
    assert last == f"to test: {run}/C/checkpoints/last.ckpt"
    assert best == (
        "best.ckpt beside it is the epoch with the best val/J; validated on davis16 train "
        f"({', '.join(selection['sequences'])})"
    )
    # a run that goes on from there compares with the best epoch so far
    states = torch.load(run / "C/checkpoints/last.ckpt", weights_only=True)["callbacks"]
    [known] = [state for name, state in states.items() if name.startswith("BestCheckpoint")]
    assert known["best_model_score"] is not None


def test_without_validation_there_is_no_best_and_all_is_trained_on(arguments, tmp_path):
    for name in ("square", "circle"):
        write_davis(tmp_path, "train", name)
    run = fit([*arguments, "data.val_split=null", f"data_root={tmp_path}", f"runs={tmp_path}"])
    told = load_method("mpnet", checkpoint=run / "C/checkpoints/last.ckpt")[1]["training"]
    assert (told["data"]["sequences"], told["selection"]) == (["circle", "square"], [])
    assert what_to_test(run) == [f"to test: {run}/C/checkpoints/last.ckpt"]
    assert not (run / "C/checkpoints/best.ckpt").exists()


def test_checkpoints_tell_of_the_networks_that_were_taken_in(run, tmp_path):
    """LVO takes in an MP-Net that was trained on square and validated on other."""
    inside = run / "C/checkpoints/last.ckpt"
    write_davis(tmp_path, "train", "circle")
    lvo = [
        "model=lvo",
        "size=tiny",
        "recipe=lvo_tiny",
        "stage=memory",
        "workers=0",
        "recipe.memory.clip.length=3",
    ]
    lvo += ["data.val_split=null", "recipe.memory.epochs=1", "recipe.memory.epoch_length=1"]
    lvo += ["model.appearance_weights=random"]
    lvo += ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false", f"data_root={tmp_path}"]
    found = fit([*lvo, f"model.motion_weights={inside}", f"runs={tmp_path}"]) / "memory/checkpoints/last.ckpt"
    told = load_method("lvo", checkpoint=found)[1]
    assert told["training"]["data"]["sequences"] == ["circle"]
    (part,) = told["training"]["parts"]
    assert (part["key"], part["weights"]) == ("motion_weights", "last.ckpt")
    assert part["training"] == load_method("mpnet", checkpoint=inside)[1]["training"]
    # the next stage, or a run that starts from it, tells it again; its own keys are not used
    again = fit([*lvo, f"init={found}", f"runs={tmp_path}"]) / "memory/checkpoints/last.ckpt"
    assert load_method("lvo", checkpoint=again)[1]["training"]["parts"] == [part]
    packaged = fit([*lvo, f"runs={tmp_path}"]) / "memory/checkpoints/last.ckpt"
    (part,) = load_method("lvo", checkpoint=packaged)[1]["training"]["parts"]
    assert part["weights"] == "mpnet-tiny.safetensors"
    assert "blackswan" in part["training"]["selection"][0]["sequences"]
    changed = load_method("lvo", checkpoint=packaged, settings={"motion_test": str(inside)})[1]
    assert [(each["key"], each["training"]["data"]["sequences"]) for each in changed["parts"]] == [
        ("motion_test", ["square"])
    ]


def test_a_miniature_in_the_place_of_the_official_data_is_told_as_one(arguments, tmp_path):
    write_davis(tmp_path, "train", "square")
    write_davis(tmp_path, "val", "other", frames=2)
    (tmp_path / "davis16/MINI.json").write_text("{}")
    run = fit([*arguments, f"data_root={tmp_path}", f"runs={tmp_path}", "recipe.C.epochs=1"])
    told = load_method("mpnet", checkpoint=run / "C/checkpoints/last.ckpt")[1]["training"]
    assert told["data"] == {"name": "davis16", "edition": "mini", "sequences": []}
    assert [each["edition"] for each in told["selection"]] == ["mini"]
    first = run / "C/checkpoints/last.ckpt"
    again = fit([*arguments, f"runs={tmp_path}", f"init={first}", "recipe.C.epochs=1"])
    both = load_method("mpnet", checkpoint=again / "C/checkpoints/last.ckpt")[1]["training"]["data"]
    assert (both["edition"], both["rendered"]) == ("mini, official", ["davis16"])


def test_a_stage_beside_random_weights_names_them_and_what_to_write(arguments, tmp_path):
    memory = [
        *("model=lvo", "size=tiny", "stage=memory", "recipe=lvo_tiny", "data=davis16", "workers=0"),
        *("recipe.memory.epochs=1", "recipe.memory.clip.length=2", "trainer.limit_train_batches=1"),
        *("recipe.memory.augment.crop=1.0", "trainer.limit_val_batches=0", f"runs={tmp_path}"),
        *(line for line in arguments if line.startswith(("data_root=", "trainer.accel", "trainer.enable"))),
    ]
    message = (
        r"stage memory keeps weights that are random \(network\.appearance\.body\.conv1\.weight, .* and "
    )
    with pytest.raises(InputError, match=message + r"\d+ more\): write model\.appearance_weights=") as error:
        fit(memory)
    assert "\n" not in str(error.value)
    run = fit([*memory, "model.appearance_weights=random"])
    assert (run / "memory/checkpoints/last.ckpt").is_file()


def test_missing_data_names_both_ways_out(tmp_path):
    with pytest.raises(InputError, match=r"no folder .*ft3d.*data_root=DIR.*data.edition=mini"):
        fit(["model=mpnet", f"data_root={tmp_path}", f"runs={tmp_path / 'runs'}"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage=D", "unknown stage of mpnet 'D'"),
        ("logger=cvs", "did you mean csv"),
        ("recipe.C.augment.crop=[48]", "write crop="),
        ("recipe.C.batch_size=0", "batch_size"),
        ("recipe.C.batch_size=9", "fill no batch of 9"),
        ("recipe.C.shares=[1,2]", "for 1 data sets"),
        ("recipe.C.clip.masks=frist", "did you mean first"),
        ("recipe.C.flow=[diss]", "did you mean dis"),
        ("recipe.C.flow=[ground_truth]", "no ground-truth flow"),
        ("recipe.C.optimizer.name=sdg", "did you mean sgd"),
        ("recipe.C.schedule.name=stepp", "did you mean step"),
        ("recipe.C.clip_gradient=1", "did you mean recipe.C.clip_gradients"),
        ("run=here resume=auto", "leave resume out"),
        ("trainer.precision=17", "trainer: "),
        ("trainer.precision=bf16-true", "would round boxes and flow.*precision=bf16-mixed"),
        ("trainer.precision=16-true", "would round boxes and flow"),
        ("trainer.accelerator=tpuu", "trainer: "),
        ("callbacks=[{class:EarlyStoping}]", "unknown callback 'EarlyStoping': did you mean EarlyStopping"),
        ("callbacks=[{class:nowhere.Mine}]", "callbacks: nowhere.Mine cannot be imported"),
        ("callbacks=[{class:pathlib.Path}]", "pathlib.Path is no class of callbacks"),
        ("callbacks=[{patience:3}]", "a class for each"),
        ("callbacks=[{class:EarlyStopping,patiense:3}]", "unexpected keyword argument 'patiense'"),
        ("callbacks=[{class:EarlyStopping,monitor:val/K}]", "does val/K get better as it rises or falls"),
        (
            "callbacks=[{class:EarlyStopping,monitor:val/T}]",
            r"unknown value in callbacks \(EarlyStopping\) 'val/T'",
        ),
        (
            "callbacks=[{class:EarlyStopping,monitor:train/los,mode:min}]",
            "'train/los': did you mean train/loss",
        ),
        ("callbacks=[{class:EarlyStopping}] data.val_split=null", "val/J is never measured"),
        ("monitor=val/F", "unknown value in monitor 'val/F': .*val/J"),
        ("monitor=val/J data.val_split=null", "monitor: val/J is never measured"),
        ("resume=nowhere.ckpt", "no file nowhere.ckpt"),
        ("init=nowhere.ckpt", "no weights file nowhere.ckpt"),
        ("data.split=trial", "trial"),
        ("data.val_split=held_out", "nothing can be held out of a single video: write data.val_split=null"),
        ("data.hold_out=2", "write a share above 0 and below 1"),
    ],
)
def test_mistakes_are_one_line(arguments, override, message):
    with pytest.raises(InputError, match=message) as error:
        fit([*arguments, *override.split()])
    assert "\n" not in str(error.value)


def test_a_stage_that_gets_no_better_is_stopped_early(arguments, tmp_path):
    """The value and its direction are those of best.ckpt; Lightning alone would wait for J to fall."""
    stop = "callbacks=[{class: pytorch_lightning.callbacks.EarlyStopping, min_delta: 2.0, patience: 1}]"
    run = fit([*arguments, stop, "recipe.C.epochs=5", f"runs={tmp_path}"])
    stopped = torch.load(run / "C/checkpoints/last.ckpt", weights_only=True)
    assert stopped["epoch"] == 1
    (state,) = [key for key in stopped["callbacks"] if key.startswith("EarlyStopping")]
    assert "'monitor': 'val/J'" in state
    assert "'mode': 'max'" in state
    assert "min_delta: 2.0" in (run / "C/finished.yaml").read_text()


def test_averaged_weights_are_what_a_checkpoint_holds(arguments, tmp_path):
    """Mean of the weights after both steps: the average starts with the first and has a decay of a half."""
    average = "callbacks=[{class: EMAWeightAveraging, decay: 0.5, use_buffers: false}]"

    def trained(name, *lines):
        run = fit([*arguments, "recipe.C.optimizer.lr=0.1", *lines, f"runs={tmp_path / name}"])
        return run / "C/checkpoints/last.ckpt"

    averaged = trained("averaged", average)
    one, two, both = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (trained("one", "recipe.C.epochs=1"), trained("two"), averaged)
    )
    weights = [key for key in one if key.endswith("0.weight")]
    assert not any(torch.equal(one[key], two[key]) for key in weights)
    for key in weights:
        torch.testing.assert_close(both[key], (one[key] + two[key]) / 2)
    method, _ = load_method("mpnet", checkpoint=averaged)
    loaded = method.state_dict()
    assert all(torch.equal(loaded[key], both[key]) for key in weights)


def test_a_callback_of_ones_own_environment(arguments, tmp_path, monkeypatch):
    (tmp_path / "own_callback.py").write_text(
        "from pathlib import Path\n"
        "from pytorch_lightning.callbacks import Callback\n"
        "class Note(Callback):\n"
        "    def __init__(self, file):\n"
        "        self.file = Path(file)\n"
        "    def on_train_epoch_end(self, trainer, pl_module):\n"
        "        self.file.open('a').write(f'{pl_module.name} {trainer.current_epoch}\\n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    note = tmp_path / "note.txt"
    fit([*arguments, f"callbacks=[{{class: own_callback.Note, file: {note}}}]", f"runs={tmp_path}"])
    assert note.read_text() == "mpnet 0\nmpnet 1\n"


def test_a_named_run_folder_keeps_what_is_finished_and_goes_on_with_the_rest(arguments, tmp_path):
    here = [*arguments, f"run={tmp_path / 'here'}"]
    first = fit([*here, "recipe.C.epochs=1"])
    written = first / "C/checkpoints/last.ckpt"
    before = written.read_bytes()
    assert fit([*here, "recipe.C.epochs=1"]) == first == tmp_path / "here"
    assert written.read_bytes() == before
    with pytest.raises(InputError, match=r"here/C was trained with other settings.*run=DIR"):
        fit(here)
    # as if the process had been stopped after the first of two epochs
    (first / "C/finished.yaml").unlink()
    fit(here)
    assert torch.load(written, weights_only=True)["epoch"] == 1


def test_flow_of_estimators_is_kept_between_runs(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    once = [*arguments, f"runs={tmp_path}", "recipe.C.epochs=1"]
    fit(once)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache/flow/dis").rglob("*.npz")}
    assert kept
    fit(once)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_resume_auto_without_a_run_says_so(arguments, tmp_path):
    with pytest.raises(InputError, match="no run with a checkpoint"):
        fit([*arguments, "resume=auto", f"runs={tmp_path}"])


@pytest.mark.slow
def test_training_on_rendered_scenes_needs_no_download(tmp_path, monkeypatch):
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    run = fit(
        [
            *("model=mpnet", "size=tiny", "recipe=mpnet_tiny", "data=mini", f"runs={tmp_path / 'runs'}"),
            *("recipe.A.epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=2"),
            *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "recipe.A.batch_size=2"),
        ]
    )
    assert (tmp_path / "cache/mini/ft3d/MINI.json").is_file()
    assert (run / "A/checkpoints/last.ckpt").is_file()


@pytest.mark.slow
def test_two_processes_share_a_run_folder(arguments, tmp_path):
    runs = tmp_path / "runs"
    command = [Path(sys.executable).parent / "vosbench", "fit", *arguments[:-1], f"runs={runs}"]
    # three pairs: one for each device
    command += ["trainer.devices=2", "trainer.strategy=ddp", "recipe.C.batch_size=1"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert finished.stdout.splitlines()[-1] == str(runs / "mpnet-tiny/000")
    assert [path.name for path in (runs / "mpnet-tiny").iterdir()] == ["000"]
    assert (runs / "mpnet-tiny/000/C/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize("written", ["best.ckpt", "last.ckpt", "finished.yaml"])
def test_a_run_folder_that_is_removed_in_mid_run_is_begun_anew(arguments, tmp_path, monkeypatch, written):
    begun = []

    @contextmanager
    def removing(path):
        if path.name == written and not begun:
            begun.append(path)
            shutil.rmtree(tmp_path / "run")
            path.parent.mkdir(parents=True)
        with temporary_file(path) as temporary:
            yield temporary

    monkeypatch.setattr("vosbench.files.temporary_file", removing)
    words = [*arguments, "data.val_split=val", f"run={tmp_path}/run"]
    with pytest.raises(InputError, match="run: was removed while a training wrote to it; run it again"):
        fit(words)
    assert begun
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    run = fit(words)
    files = {path.name for path in run.rglob("*") if path.suffix in (".ckpt", ".yaml")}
    assert files >= {"config.yaml", "best.ckpt", "last.ckpt", "finished.yaml"}


def test_without_its_configuration_a_run_keeps_the_checkpoint_of_the_epoch_before(arguments, tmp_path):
    run = fit([*arguments, f"run={tmp_path}/run", "recipe.C.epochs=1"])
    last = run / "C/checkpoints/last.ckpt"
    before = last.read_bytes()
    (run / "config.yaml").unlink()
    with pytest.raises(InputError, match="run: was removed while a training wrote to it"):
        WholeCheckpoints(run).save_checkpoint({"epoch": 1}, last)
    assert last.read_bytes() == before
