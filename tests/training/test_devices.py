"""Training on two devices, and in jobs: what equals training on one.

A step of two devices with batches of b sees the clips, with the random changes, that a step of one device
with batches of 2b sees, and takes the mean of the two gradients.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.models.pretrained.weight_files import read_state
from vosbench.training import fit

VOSBENCH = Path(sys.executable).parent / "vosbench"

# no layer of it normalises by a batch that is being trained on: MP-Net is frozen beside the memory
LVO = [
    *("model=lvo", "size=tiny", "stage=memory", "recipe=lvo_tiny", "model.appearance=none"),
    *("recipe.memory.clip.length=3", "recipe.memory.clip.per_video=false", "recipe.memory.mixing=none"),
    *("recipe.memory.epochs=2", "recipe.memory.optimizer.name=sgd", "recipe.memory.epoch_length=null"),
]
# batch normalisation is trained
MPNET = [
    *("model=mpnet", "size=tiny", "stage=C", "recipe=mpnet_davis", "recipe.C.mixing=none"),
    *("recipe.C.clip.per_video=false", "recipe.C.epoch_length=null", "recipe.C.epochs=2"),
    *("recipe.C.augment.crop=[48,64]", "recipe.C.augment.resize=[1.0,1.0]", "recipe.C.optimizer.name=sgd"),
]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Arguments of every run: rendered videos as DAVIS 2016, one process, one thread, no progress."""
    root = tmp_path_factory.mktemp("data")
    write_mini("davis16", root, scenes=4, size=(64, 96), frames=5)
    return [
        *(f"data_root={root}", "data=davis16", "data.scale=1.0", "workers=0", "trainer.accelerator=cpu"),
        *("trainer.devices=1", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1"),
    ]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    """Sums of one order, whatever the machine, and flow that is kept between the runs of a test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights(run):
    """Return the parameters of the only stage of a run, without the statistics of normalisation."""
    (last,) = run.glob("*/checkpoints/last.ckpt")
    state, _ = read_state(last)
    return {key: value for key, value in state.items() if "running_" not in key and "num_batches" not in key}


def validation(run):
    (log,) = run.glob("*/logs/version_0/metrics.csv")
    with log.open() as file:
        return [float(row["val/J"]) for row in csv.DictReader(file) if row["val/J"]]


def command(arguments, run):
    """Train in processes of their own; return the run folder."""
    subprocess.run([VOSBENCH, "fit", *arguments, f"run={run}"], check=True, capture_output=True, timeout=600)
    return run


@pytest.mark.slow
def test_two_devices_equal_one_with_twice_the_batch(usual, tmp_path):
    one = fit([*LVO, *usual, "recipe.memory.batch_size=2", f"run={tmp_path / 'one'}"])
    two = command([*LVO, *usual, *TWO, "recipe.memory.batch_size=1"], tmp_path / "two")
    start = fit([*LVO, *usual, "recipe.memory.optimizer.lr=0.0", f"run={tmp_path / 'start'}"])
    expected, before = weights(one), weights(start)
    moved = max((expected[key] - before[key]).abs().max().item() for key in expected)
    for key, value in weights(two).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-4 * moved, msg=key)
    assert validation(two) == pytest.approx(validation(one), abs=1e-3)


@pytest.mark.slow
def test_with_trained_batch_normalisation_two_devices_equal_one_that_accumulates(usual, tmp_path):
    """Each batch is normalised by itself; which device keeps the statistics for tests is another matter."""
    one = fit([*MPNET, *usual, "recipe.C.batch_size=1", "recipe.C.accumulate=2", f"run={tmp_path / 'one'}"])
    two = command([*MPNET, *usual, *TWO, "recipe.C.batch_size=1"], tmp_path / "two")
    start = fit(
        [*MPNET, *usual, "recipe.C.optimizer.lr=0.0", "recipe.C.batch_size=2", f"run={tmp_path / 'start'}"]
    )
    expected, before = weights(one), weights(start)
    moved = max((expected[key] - before[key]).abs().max().item() for key in expected)
    for key, value in weights(two).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-4 * moved, msg=key)


@pytest.mark.slow
def test_tasks_of_slurm_train_together(usual, tmp_path):
    """Started as srun does, which need not be here: variables of the environment say who they are."""
    run = tmp_path / "run"
    arguments = [VOSBENCH, "fit", *LVO, *usual, *TWO, "recipe.memory.batch_size=1", f"run={run}"]
    job = {"SLURM_JOB_ID": "41", "SLURM_JOB_NAME": "fit", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    job |= {"SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1", "SLURM_NNODES": "1"}
    tasks = [
        subprocess.Popen(
            arguments,
            env=os.environ | job | {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [task.communicate(timeout=600) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    # the first alone says where the result is
    assert [out for out, _ in said] == [f"{run}\n", ""]
    one = fit([*LVO, *usual, "recipe.memory.batch_size=2", f"run={tmp_path / 'one'}"])
    for key, value in weights(one).items():
        torch.testing.assert_close(weights(run)[key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("variable", ["SLURM_NTASKS", "WORLD_SIZE"])
def test_tasks_that_others_start_need_a_named_folder(usual, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "8")
    with pytest.raises(InputError, match=r"8 processes train together.*run=DIR"):
        fit([*LVO, *usual, f"runs={tmp_path}"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_job_of_submitit_trains(usual, tmp_path):
    submitit = pytest.importorskip("submitit", reason="the extra slurm is not installed")
    import vosbench

    executor = submitit.AutoExecutor(folder=tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=10)
    arguments = [*LVO, *usual, "recipe.memory.batch_size=2", f"run={tmp_path / 'run'}"]
    job = executor.submit(vosbench.fit, arguments)
    assert job.result() == tmp_path / "run"
    here = fit([*arguments[:-1], f"run={tmp_path / 'here'}"])
    for key, value in weights(here).items():
        assert torch.equal(weights(tmp_path / "run")[key], value), key
