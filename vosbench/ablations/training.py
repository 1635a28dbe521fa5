"""The trainings of a suite: one run per training and seed, shared, resumed and kept."""

from __future__ import annotations

import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vosbench.ablations.schema import Edition, Suite, Training, training_order
from vosbench.errors import InputError, unknown_name
from vosbench.evaluation.store import content_hash
from vosbench.executors.local import run_tasks
from vosbench.files import write_text

FINISHED = "suite.json"
"""In a run folder: what was trained, and that it is finished."""

State = Literal["trained", "kept", "planned", "failed"]
Progress = Callable[[int, int, "TrainOutcome"], None]

_NOT_LEARNT = ("accelerator", "devices", "strategy", "log_every_n_steps", "enable_progress_bar")
"""Trainer arguments that say where and how loudly, not what is trained."""

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class TrainTask:
    """One training with one seed.

    Attributes:
        training, seed: which.
        key: hash over everything that its weights depend on but the seed.
        folder: the run folder.
        overrides: arguments of `vosbench.training.fit.fit`.
        checkpoint: the weights it ends with.
    """

    training: str
    seed: int
    key: str
    folder: Path
    overrides: tuple[str, ...]
    checkpoint: Path

    @property
    def finished(self) -> bool:
        """Whether the run is there as a whole, made under the same key."""
        try:
            content = json.loads((self.folder / FINISHED).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return content.get("key") == self.key and self.checkpoint.is_file()


@dataclass(frozen=True)
class TrainOutcome:
    """What became of a task; `message` says why it failed."""

    task: TrainTask
    state: State
    seconds: float = 0.0
    message: str = ""


@dataclass
class TrainPlan:
    """The tasks of the rows asked for.

    Attributes:
        tasks: (training, seed) -> task, each after those it needs.
        needs: the same -> the tasks it needs.
    """

    tasks: dict[tuple[str, int], TrainTask] = field(default_factory=dict)
    needs: dict[tuple[str, int], list[tuple[str, int]]] = field(default_factory=dict)

    def waves(self) -> list[list[TrainTask]]:
        """Return the tasks in groups; a group needs only those before it. Equal tasks appear once."""
        depth: dict[tuple[str, int], int] = {}
        for key, needed in self.needs.items():
            depth[key] = 1 + max((depth[each] for each in needed), default=-1)
        waves: dict[int, dict[Path, TrainTask]] = {}
        for key, level in depth.items():
            waves.setdefault(level, {}).setdefault(self.tasks[key].folder, self.tasks[key])
        return [list(waves[level].values()) for level in sorted(waves)]


def plan_trainings(
    suite: Suite,
    edition: Edition,
    trainings: Iterable[str],
    seeds: Sequence[int],
    runs: Path,
    data_root: Path | None,
) -> TrainPlan:
    """Return what has to be trained, checked as far as that goes without data.

    Args:
        suite: the table.
        edition: which of its editions.
        trainings: those that rows ask for; what they need comes along.
        seeds: one run each.
        runs: folder of the run folders, ``<model>-<size>-<key>/seed<seed>``; suites may share it.
        data_root: where official data are.

    Raises:
        InputError: a key or value that `vosbench fit` does not take, or an unset variable of a flow.
    """
    plan = TrainPlan()
    families: dict[str, _Family] = {}
    for name in training_order(suite, edition, trainings):
        training = suite.trainings[name]
        families[name] = _family(suite, edition, training, families, runs)
        for seed in seeds:
            plan.needs[name, seed] = [(needed, seed) for needed in training.needs(edition)]
            plan.tasks[name, seed] = _task(training, families[name], seed, families, data_root)
    return plan


def run_trainings(
    plan: TrainPlan, workers: int, *, dry_run: bool = False, progress: Progress | None = None
) -> dict[tuple[str, int], TrainOutcome]:
    """Train what is not finished; a training that fails stops only those that need it.

    An unfinished run folder is continued from its last checkpoint.

    Args:
        plan: from `plan_trainings`.
        workers: trainings side by side, each in a process with its share of the cores.
        dry_run: only find out what would be trained.
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
        due: list[TrainTask] = []
        for task in wave:
            outcome = _settled(plan, task, by_folder, dry_run)
            if outcome is None:
                due.append(task)
            else:
                finished(outcome)
        run_tasks(train, due, max(1, min(workers, len(due))), finished)
    return {key: by_folder[task.folder] for key, task in plan.tasks.items()}


def train(task: TrainTask) -> TrainOutcome:
    """Train one task; whatever it raises is its own result."""
    from vosbench.training import fit

    started = time.monotonic()
    try:
        with _quiet():
            fit.fit(list(task.overrides))
        if not task.checkpoint.is_file():
            raise InputError(f"no checkpoint {task.checkpoint} after training")
    except InputError as error:
        return TrainOutcome(task, "failed", message=" ".join(str(error).split()))
    except Exception as error:  # a training that breaks must not stop the others
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return TrainOutcome(task, "failed", message=message)
    seconds = time.monotonic() - started
    content = {
        "training": task.training,
        "seed": task.seed,
        "key": task.key,
        "checkpoint": str(task.checkpoint.relative_to(task.folder)),
        "command": ["vosbench", "fit", *task.overrides],
        "seconds_of_last_session": round(seconds, 1),
    }
    write_text(task.folder / FINISHED, json.dumps(content, indent=1) + "\n")
    return TrainOutcome(task, "trained", seconds)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Lightning says about devices and data loaders: here it would say it dozens of times."""
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


@dataclass(frozen=True)
class _Family:
    """A training without its seed.

    Attributes:
        key: hash over everything that its weights depend on but the seed.
        folder: of its seeds.
        keys: keys of `vosbench fit`.
        weights: switch -> training whose checkpoint it is given.
        last: name of the last stage.
    """

    key: str
    folder: Path
    keys: Mapping[str, Any]
    weights: Mapping[str, str]
    last: str


def _family(
    suite: Suite, edition: Edition, training: Training, before: Mapping[str, _Family], runs: Path
) -> _Family:
    from vosbench.config import compose_fit

    try:
        keys = _keys(suite, edition, training)
        config = compose_fit(_lines(keys))
        known = list(config.recipe)
        stages = known if training.stage == "all" else [training.stage]
        if not {*stages} <= {*known}:
            raise unknown_name("stage", training.stage, [*known, "all"])
        recipe = {name: config.recipe[name] for name in stages}
        names = sorted({name for stage in recipe.values() for name in stage.data})
        chosen = (
            [config.data] if "data" in keys else [compose_fit(_lines(keys | {"data": n})).data for n in names]
        )
    except InputError as error:
        raise InputError(f"{suite.id}, trainings.{training.name}: {error}") from None
    weights = training.weights_in(edition)
    described = {
        "model": config.model,
        "size": config.size,
        "recipe": {name: asdict(stage) for name, stage in recipe.items()},
        "data": [asdict(each) for each in chosen],
        "trainer": {key: value for key, value in config.trainer.items() if key not in _NOT_LEARNT},
        "init": before[training.init].key if training.init else None,
        "weights": {switch: before[name].key for switch, name in weights.items()},
    }
    key = content_hash(described)
    folder = runs / f"{training.model}-{config.size}-{key[:10]}"
    return _Family(key, folder, keys, weights, stages[-1])


def _task(
    training: Training, family: _Family, seed: int, families: Mapping[str, _Family], data_root: Path | None
) -> TrainTask:
    def checkpoint(name: str) -> Path:
        return families[name].folder / f"seed{seed}" / families[name].last / "checkpoints" / "last.ckpt"

    folder = family.folder / f"seed{seed}"
    keys = dict(family.keys) | {"seed": seed, "run": folder, "trainer.enable_progress_bar": False}
    keys |= {f"model.{switch}": checkpoint(name) for switch, name in family.weights.items()}
    keys |= {"init": checkpoint(training.init)} if training.init else {}
    keys |= {"data_root": data_root} if data_root else {}
    return TrainTask(
        training=training.name,
        seed=seed,
        key=family.key,
        folder=folder,
        overrides=tuple(_lines(keys)),
        checkpoint=checkpoint(training.name),
    )


def _keys(suite: Suite, edition: Edition, training: Training) -> dict[str, Any]:
    chosen = suite.editions[edition]
    keys: dict[str, Any] = {"model": training.model, "size": chosen.size, "stage": training.stage}
    # tables test the last checkpoint, of networks that have learnt from all of a split, as in the papers
    keys["data.val_split"] = None
    keys |= {"data.edition": "mini"} if edition == "mini" else {}
    keys |= dict(chosen.set.get(training.model, {})) | dict(training.set)
    keys |= dict(training.official if edition == "official" else training.mini)
    for stage, names in training.flow.items():
        keys[f"recipe.{stage}.flow"] = [suite.flows[name].text(edition) for name in names]
    return keys


def _lines(keys: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_hydra(value)}" for key, value in keys.items()]


def _hydra(value: Any) -> str:
    """Return a value as Hydra's grammar writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_hydra(item)}' for key, item in value.items())}}}"
    if isinstance(value, int | float) or _PLAIN.fullmatch(str(value)):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
