"""Trainings of a suite: tasks run, resumed and kept."""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vosbench.ablations.training_plan import FINISHED, TrainPlan, TrainTask
from vosbench.errors import InputError
from vosbench.executors.local import run_tasks
from vosbench.files import write_text
from vosbench.locks import claimed

State = Literal["trained", "kept", "planned", "failed"]
Progress = Callable[[int, int, "TrainOutcome"], None]


@dataclass(frozen=True)
class TrainOutcome:
    """Outcome of a task; `message` is the reason of a failure."""

    task: TrainTask
    state: State
    seconds: float = 0.0
    message: str = ""


def run_trainings(
    plan: TrainPlan, workers: int, *, dry_run: bool = False, progress: Progress | None = None
) -> dict[tuple[str, int], TrainOutcome]:
    """Train the tasks that are not finished; a training that fails stops only those that need it.

    An unfinished run folder is continued from its last checkpoint.

    Args:
        plan: from `plan_trainings`.
        workers: trainings side by side, each in a process with its share of the cores.
        dry_run: only plan the trainings.
        progress: called with the number of finished trainings, of all, and the last outcome.

    Returns:
        (training, seed) -> outcome.
    """
    by_folder: dict[Path, TrainOutcome] = {}
    total = len({task.folder for task in plan.tasks.values()})

    def finished(outcome: TrainOutcome) -> None:
        by_folder[outcome.task.folder] = outcome
        if progress is not None:
            progress(len(by_folder), total, outcome)

    for wave in plan.waves():
        waiting: list[TrainTask] = []
        for task in wave:
            outcome = _settled(plan, task, by_folder, dry_run)
            if outcome is None:
                waiting.append(task)
            else:
                finished(outcome)
        run_tasks(train, waiting, max(1, min(workers, len(waiting))), finished)
    return {key: by_folder[task.folder] for key, task in plan.tasks.items()}


def train(task: TrainTask) -> TrainOutcome:
    """Train one task; an error becomes its outcome. What another process trains meanwhile is waited for."""
    from vosbench.training import fit

    started = time.monotonic()
    try:
        with claimed(task.folder.parent, task.folder.name, wait=math.inf):
            if task.finished:
                return TrainOutcome(task, "kept")
            with _quiet():
                fit(list(task.overrides))
            if not task.checkpoint.is_file():
                raise InputError(f"no checkpoint {task.checkpoint} after training")
            seconds = time.monotonic() - started
            _write_finished(task, seconds)
    except InputError as error:
        return TrainOutcome(task, "failed", message=" ".join(str(error).split()))
    except Exception as error:  # a training that breaks must not stop the others
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return TrainOutcome(task, "failed", message=message)
    return TrainOutcome(task, "trained", seconds)


def _write_finished(task: TrainTask, seconds: float) -> None:
    content = {
        "training": task.training,
        "seed": task.seed,
        "key": task.key,
        "checkpoint": str(task.checkpoint.relative_to(task.folder)),
        "command": ["vosbench", "fit", *task.overrides],
        "seconds_of_last_session": round(seconds, 1),
    }
    write_text(task.folder / FINISHED, json.dumps(content, indent=1) + "\n")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's messages on devices and data loaders, which every training would repeat."""
    # importing it sets its level
    import pytorch_lightning  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _settled(
    plan: TrainPlan, task: TrainTask, done: Mapping[Path, TrainOutcome], dry_run: bool
) -> TrainOutcome | None:
    """Return the outcome of a task that is not to be run now; None for one that is."""
    for needed in plan.needs[task.training, task.seed]:
        before = done[plan.tasks[needed].folder]
        if before.state == "failed":
            return TrainOutcome(task, "failed", message=f"needs {needed[0]}, which failed: {before.message}")
    if task.finished:
        return TrainOutcome(task, "kept")
    return TrainOutcome(task, "planned") if dry_run else None
