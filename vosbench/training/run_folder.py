"""Run folders: their numbers, the checkpoint a run resumes from, the checkpoint to test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from vosbench.config import FitConfig
from vosbench.errors import InputError
from vosbench.files import check_folder, writing
from vosbench.locks import LOCKS, claimed
from vosbench.plain_data import read_yaml

CONFIG_FILE = "config.yaml"
"""File of a run folder with every key of the configuration of its last training."""

MEANWHILE = "a training wrote to it"
"""What is said of a run folder that somebody removes."""

RUN_VARIABLE = "VOSBENCH_RUN"
"""Run folder of the processes that Lightning starts for further devices."""

_WORKERS_END = 10
"""Seconds after which the last worker of a killed training has ended, and with it the claim of the run."""

_SHOWN = 10
"""Names of videos that fit into a line."""


def what_to_test(run: Path) -> list[str]:
    """Return lines on the checkpoints of the last stage of a run: the one to test, the choice of the other.

    Args:
        run: from `vosbench.training.fit`.

    Raises:
        InputError: somebody removed the configuration or the checkpoint meanwhile.
    """
    content = read_yaml(run / CONFIG_FILE)
    named = content["stage"]
    last = _last_checkpoint(run, content["recipe"] if named in (None, "all") else [named])
    if last is None:
        raise InputError(f"{run}: the checkpoint just written was removed; run it again")
    lines = [f"to test: {last}"]
    if (best := last.with_name("best.ckpt")).is_file():
        from vosbench.models.pretrained.weight_files import training_of

        selections = training_of(best).get("selection", ())
        datasets = ", ".join(_described(selection) for selection in selections)
        monitor = selections[-1]["monitor"]
        lines.append(f"{best.name} beside it is the epoch with the best {monitor}; validated on {datasets}")
    return lines


def _last_checkpoint(run: Path, stages: Iterable[str]) -> Path | None:
    """Return the checkpoint of the last stage that has one; None: none has.

    By the order of the stages: a clock that was set back, or a copy of the folder, gives files other times.
    """
    written = [path for stage in stages if (path := run / stage / "checkpoints/last.ckpt").is_file()]
    return written[-1] if written else None


def _described(selection: Mapping[str, Any]) -> str:
    names = selection.get("sequences", ())
    shown = (
        f" ({', '.join(names)})" if 0 < len(names) <= _SHOWN else f" ({len(names)} videos)" if names else ""
    )
    return f"{selection['name']} {selection['split']}{shown}"


def rank() -> int:
    """Return the number of this process among those that train together, as Lightning counts them."""
    return _number(("RANK", "LOCAL_RANK", "SLURM_PROCID"), 0)


def processes() -> int:
    """Return how many processes Slurm or torchrun started to train together; 1 without them."""
    # in such a job of Slurm it is Lightning that starts the processes
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return _number(("WORLD_SIZE",) if interactive else ("WORLD_SIZE", "SLURM_NTASKS"), 1)


def _number(variables: Sequence[str], otherwise: int) -> int:
    values = (os.environ.get(name, "") for name in variables)
    return next((int(value) for value in values if value.isdigit()), otherwise)


def run_folder(config: FitConfig) -> Path:
    """Return the folder of a run, which is made: the named one, or that of the next number.

    Raises:
        InputError: it cannot be made, or there are several processes without a named one.
    """
    if RUN_VARIABLE in os.environ:
        return Path(os.environ[RUN_VARIABLE])
    if config.run is not None:
        return Path(config.run)
    if processes() > 1:
        # each would count the folders by itself, and not all find the same number
        raise InputError(
            f"{processes()} processes train together, as Slurm or torchrun started them: name their folder "
            "with run=DIR"
        )
    folder = _runs_folder(config)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        first = max((int(path.name) for path in _runs(folder)), default=-1) + 1
        for number in count(first):
            # whoever makes the folder has the number
            with suppress(FileExistsError):
                (run := folder / f"{number:03d}").mkdir()
                return run
    raise AssertionError("numbers do not end")


@contextmanager
def run_claimed(run: Path) -> Iterator[None]:
    """Let the processes of one training alone write into a run folder; remove it if it stays empty.

    Raises:
        InputError: another training writes there, or the folder cannot be written.
    """
    if RUN_VARIABLE in os.environ or rank() > 0:
        # started for a further device: the first process of the training has the claim
        yield
        return
    check_folder(run)
    try:
        with claimed(run, "training", wait=_WORKERS_END):
            os.environ[RUN_VARIABLE] = str(run)
            try:
                yield
            finally:
                del os.environ[RUN_VARIABLE]
    finally:
        if run.is_dir() and {path.name for path in run.iterdir()} <= {LOCKS}:
            shutil.rmtree(run / LOCKS, ignore_errors=True)
            with suppress(OSError):
                # the runs folder, too, if nothing else is in it
                os.removedirs(run)


def _runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and path.name.isdigit())


def resumed_checkpoint(config: FitConfig, stages: Sequence[str]) -> Path | None:
    """Return the checkpoint that ``resume`` names; None without.

    Args:
        config: of the run.
        stages: to train, in order.

    Raises:
        InputError: no such checkpoint, not one in a run folder, or one of a stage that is not to be trained.
    """
    if config.resume is None:
        return None
    if config.resume != "auto":
        path = Path(config.resume)
        if not path.is_file():
            raise InputError(f"resume: no file {path}")
        if path.parent.name != "checkpoints" or path.parents[1].name not in config.recipe:
            raise InputError(f"resume: {path} is not in a run folder (RUN/STAGE/checkpoints/last.ckpt)")
        if (stage := path.parents[1].name) not in stages:
            raise InputError(
                f"resume: {path} is of stage {stage}, and {', '.join(stages)} is to be trained: write "
                f"stage={stage} or stage=all"
            )
        return path
    for run in reversed(_runs(_runs_folder(config))):
        if last := _last_checkpoint(run, stages):
            return last
    raise InputError(
        f"resume=auto: no run with a checkpoint of {', '.join(stages)} under {_runs_folder(config)}"
    )


def _runs_folder(config: FitConfig) -> Path:
    return Path(config.runs) / f"{config.model['name']}-{config.size}"
