"""Processes that write one output at once: each finishes, and the output is that of one."""

import json
import math
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vosbench.benchmark import compare
from vosbench.composition import compose_fit
from vosbench.errors import InputError
from vosbench.evaluation.store import read_records
from vosbench.files import whole_folder
from vosbench.leaderboard.build import write_report
from vosbench.locks import claimed
from vosbench.scoring.predictions import PredictionStore
from vosbench.training.run_folder import run_claimed, run_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has imported torch")


def together(function, *arguments, processes=4):
    """Call a function in several processes at once; return their results."""
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        return [
            result.get(300) for result in [pool.apply_async(function, arguments) for _ in range(processes)]
        ]


def save(path):
    store = PredictionStore(Path(path), ("00000", "00001"))
    return [store.save_ids(np.full((2, 8, 8), 1, np.uint8)) for _ in range(20)]


def test_predictions_saved_at_once_are_whole(tmp_path):
    path = tmp_path / "masks/dog"
    hashes = together(save, path)
    assert len({each for of_process in hashes for each in of_process}) == 1
    assert PredictionStore(path, ("00000", "00001")).content() == hashes[0][0]
    assert [item.name for item in path.parent.iterdir()] == ["dog"]


def fill(folder):
    for _ in range(50):
        with whole_folder(folder) as new:
            for name in "abc":
                (new / name).write_text(name)
    return True


def test_folders_put_in_place_at_once_are_whole(tmp_path):
    assert together(fill, tmp_path / "masks") == [True] * 4
    assert sorted(item.name for item in (tmp_path / "masks").iterdir()) == ["a", "b", "c"]
    assert [item.name for item in tmp_path.iterdir()] == ["masks"]


def new_run(runs):
    config = compose_fit(["model=mpnet", f"runs={runs}"])
    return [run_folder(config).name for _ in range(5)]


def test_runs_that_start_at_once_have_numbers_of_their_own(tmp_path):
    numbers = [number for of_process in together(new_run, tmp_path) for number in of_process]
    assert sorted(numbers) == [f"{number:03d}" for number in range(20)]


def test_a_run_folder_belongs_to_one_training(tmp_path, monkeypatch):
    monkeypatch.setattr("vosbench.training.run_folder._WORKERS_END", 0)
    with claimed(tmp_path / "run", "training"):
        second = run_claimed(tmp_path / "run")
        with pytest.raises(InputError, match="another process is writing it"):
            second.__enter__()


def test_a_run_that_never_began_leaves_no_folder(tmp_path):
    config = compose_fit(["model=mpnet", f"runs={tmp_path}/runs"])
    with pytest.raises(InputError, match="no such"), run_claimed(run_folder(config)):
        raise InputError("no such weights")
    assert not (tmp_path / "runs").exists()
    with run_claimed(run_folder(config)):
        (tmp_path / "runs/mpnet-full/000/config.yaml").touch()
    assert [item.name for item in (tmp_path / "runs/mpnet-full").iterdir()] == ["000"]


def compared(root, out):
    result = compare(
        models=["all_foreground", "centre_box"],
        datasets=["davis16"],
        data_root=root,
        out=out,
        workers=1,
        metrics=["j"],
    )
    write_report(out, videos=result.videos, lengths=result.lengths, pictures=False)
    return dict(result.counts)


def test_comparisons_in_one_folder_share_the_work_and_lose_nothing(tmp_path, make_davis):
    root = make_davis(tmp_path / "data")
    counts = together(compared, root, tmp_path / "out")
    assert sum(count.get("computed", 0) for count in counts) == 6
    assert sum(count.get("kept", 0) for count in counts) == 3 * 6
    compared(root, tmp_path / "alone")
    assert values(tmp_path / "out") == values(tmp_path / "alone")
    files = [{path.relative_to(out).as_posix() for path in out.rglob("*")} for out in folders(tmp_path)]
    assert files[0] == files[1]
    assert "| centre_box |" in (tmp_path / "out/leaderboard.md").read_text()


def folders(tmp_path):
    return tmp_path / "out", tmp_path / "alone"


def values(out):
    return [(item.model, item.sequence, item.values) for item in read_records(out / "records")]


def test_a_record_that_another_comparison_removes_meanwhile_is_not_missed(tmp_path, make_davis, monkeypatch):
    compared(make_davis(tmp_path / "data"), tmp_path / "out")
    real = sorted((tmp_path / "out/records").rglob("*.json"))
    monkeypatch.setattr(Path, "rglob", lambda *_: [*real, tmp_path / "out/records/gone.json"])
    assert len(read_records(tmp_path / "out/records")) == len(real)


def wait_for(folder):
    with claimed(folder, "work", wait=math.inf):
        started = json.loads((folder / "log").read_text())
        (folder / "log").write_text(json.dumps([*started, len(started)]))
        time.sleep(0.01)
    return True


def test_a_claim_is_had_by_one_process_at_a_time(tmp_path):
    (tmp_path / "log").write_text("[]")
    together(wait_for, tmp_path, processes=6)
    assert json.loads((tmp_path / "log").read_text()) == list(range(6))
