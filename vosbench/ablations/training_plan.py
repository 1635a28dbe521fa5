"""Plan of the trainings of a suite: one task per training and seed, shared between rows and suites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vosbench.ablations.schema import Edition, Suite, Training, training_order
from vosbench.errors import InputError, unknown_name
from vosbench.evaluation.store import content_hash
from vosbench.plain_data import read_json

FINISHED = "suite.json"
"""File in the folder of a finished run: the training and its key."""

_NOT_LEARNT = ("accelerator", "devices", "strategy", "log_every_n_steps", "enable_progress_bar")
"""Trainer arguments on devices and messages, without effect on the weights."""

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class TrainTask:
    """One training with one seed.

    Attributes:
        training, seed: name and seed.
        key: hash over everything that its weights depend on but the seed.
        folder: the run folder.
        overrides: arguments of `vosbench.training.fit`.
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
            content = read_json(self.folder / FINISHED)
        except InputError:
            return False
        return content.get("key") == self.key and self.checkpoint.is_file()


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
            depth[key] = 1 + max((depth[other] for other in needed), default=-1)
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
    """Return the trainings to run, checked as far as possible without data.

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


@dataclass(frozen=True)
class _Family:
    """A training without its seed.

    Attributes:
        key: hash over everything that its weights depend on but the seed.
        folder: of its seeds.
        keys: keys of `vosbench fit`.
        weights: switch -> training whose checkpoint it is given.
        init: training whose checkpoint it starts from.
        last: name of the last stage.
    """

    key: str
    folder: Path
    keys: Mapping[str, Any]
    weights: Mapping[str, str]
    init: str | None
    last: str


def _family(
    suite: Suite, edition: Edition, training: Training, before: Mapping[str, _Family], runs: Path
) -> _Family:
    from vosbench.composition import compose_fit

    try:
        keys = _keys(suite, edition, training)
        config = compose_fit(_lines(keys))
        known = list(config.recipe)
        stages = known if training.stage == "all" else [training.stage]
        if not {*stages} <= {*known}:
            raise unknown_name("stage", training.stage, [*known, "all"])
        recipe = {name: config.recipe[name] for name in stages}
        names = sorted({name for stage in recipe.values() for name in stage.data})
        data = (
            [config.data] if "data" in keys else [compose_fit(_lines(keys | {"data": n})).data for n in names]
        )
    except InputError as error:
        raise InputError(f"{suite.id}, trainings.{training.name}: {error}") from None
    weights, init = training.weights_in(edition), training.init_in(edition)
    described = {
        "model": config.model,
        "size": config.size,
        "recipe": {name: asdict(stage) for name, stage in recipe.items()},
        "data": [asdict(item) for item in data],
        "trainer": {key: value for key, value in config.trainer.items() if key not in _NOT_LEARNT},
        "init": before[init].key if init else None,
        "weights": {switch: before[name].key for switch, name in weights.items()},
    }
    if edition == "lite" and config.trainer.get("limit_val_batches") == 0:
        raise InputError(
            f"{suite.id}, trainings.{training.name}: trainer.limit_val_batches=0 holds nothing out, and the "
            "lite edition tests what is held out: write trainer.check_val_every_n_epoch=1000"
        )
    key = content_hash(described)
    folder = runs / f"{training.model}-{config.size}-{key[:10]}"
    return _Family(key, folder, keys, weights, init, stages[-1])


def _task(
    training: Training, family: _Family, seed: int, families: Mapping[str, _Family], data_root: Path | None
) -> TrainTask:
    def checkpoint(name: str) -> Path:
        return families[name].folder / f"seed{seed}" / families[name].last / "checkpoints" / "last.ckpt"

    folder = family.folder / f"seed{seed}"
    keys = dict(family.keys) | {"seed": seed, "run": folder, "trainer.enable_progress_bar": False}
    keys |= {f"model.{switch}": checkpoint(name) for switch, name in family.weights.items()}
    keys |= {"init": checkpoint(family.init)} if family.init else {}
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
    settings = suite.editions[edition]
    keys: dict[str, Any] = {"model": training.model, "size": settings.size, "stage": training.stage}
    if edition != "lite":
        # tables test the last checkpoint, of networks that have learnt from all of a split, as in the papers
        keys["data.val_split"] = None
    keys |= {"data.edition": "mini"} if edition == "mini" else {}
    keys |= dict(settings.set.get(training.model, {})) | dict(training.set)
    keys |= dict(training.keys_in(edition))
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
