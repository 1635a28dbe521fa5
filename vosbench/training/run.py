"""Training run: the stages of a method, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.composition import compose_data, compose_fit, group_options
from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.errors import InputError, check_name, unknown_name
from vosbench.files import expanded
from vosbench.models import SIZES
from vosbench.models.pretrained.zoo import ZOO, packaged_sizes
from vosbench.training.run_folder import resumed_checkpoint, run_claimed, run_folder
from vosbench.training.stage import StageRun, train_stage
from vosbench.training.stage_data import VALIDATIONS, check_data, render_data, require_data
from vosbench.waiting import Waiting, unreported

_ROUNDED = ("bf16-true", "16-true", "transformer-engine", "transformer-engine-float16")
"""Precisions of Lightning in which inputs and targets become as short as the weights."""


def fit(overrides: list[str], waiting: Waiting = unreported) -> Path:
    """Train a method by its recipe.

    The run folder holds ``config.yaml`` (every key resolved) and, per stage, a folder with
    ``checkpoints/last.ckpt`` (written after every epoch), ``checkpoints/best.ckpt`` (highest validation J,
    where something is validated), the logs with pictures of the same validation clips or videos each time,
    and ``finished.yaml`` (what the stage was trained with) once it is through. A stage starts from the
    weights the one before ended with. By default sequences of the training split are held out for validation
    (``data.val_split``, ``data.hold_out``); ``val=videos`` segments them from start to end. ``last.ckpt`` is
    to be tested: ``best.ckpt`` is chosen by the validation, whose videos the checkpoint names.

    Args:
        overrides: ``key=value`` and ``group=option``, e.g. ``["model=mpnet", "size=tiny"]``.
        waiting: called with what is done before the first step: miniatures that are rendered, imports.

    Returns:
        The run folder.

    Raises:
        InputError: a mistake in the configuration, missing data, nothing to resume, another training in the
            run folder, or the run folder cannot be written.
    """
    plan = plan_fit(overrides)
    config, names = plan.config, list(plan.sets)
    resumed = resumed_checkpoint(config, names)
    run = resumed.parents[2] if resumed else run_folder(config)
    if resumed:
        names = names[names.index(resumed.parents[1].name) :]
    with run_claimed(run):
        stages = [StageRun(config, name, run / name, tuple(plan.sets[name])) for name in names]
        require_data(config, {stage.name: stage.sets for stage in stages if not stage.kept})
        weights = None if resumed else start_weights(config)
        render_data([dataset for stage in stages if not stage.kept for dataset in stage.sets], waiting)
        for stage in stages:
            waiting(f"importing PyTorch and Lightning, building {config.model['name']}", 0, None)
            weights = train_stage(stage, weights, resumed or stage.interrupted())
            resumed = None
    return run


def start_weights(config: FitConfig) -> Path | None:
    """Return the weights file that a run starts from; None: only what its model names.

    Raises:
        InputError: there is no such file, or the package has no weights of this method and size.
    """
    if config.init is None:
        return None
    if config.init != ZOO:
        weights = expanded(config.init)
        if not weights.is_file():
            raise InputError(f"init: no weights file {weights}; the weights of the package are init={ZOO}")
        return weights
    name, there = config.model["name"], packaged_sizes(config.model["name"])
    if config.size in there:
        return there[config.size]
    remedy = f"write size={' or size='.join(there)}" if there else "give a checkpoint, init=FILE"
    raise InputError(f"init={ZOO}: the package has no weights of {name} of size {config.size}: {remedy}")


@dataclass(frozen=True)
class FitPlan:
    """Configuration of a run, checked as far as goes without PyTorch.

    Attributes:
        config: of the run.
        sets: stage to train -> its data sets, in the order of training.
    """

    config: FitConfig
    sets: Mapping[str, Sequence[DataConfig]]


def plan_fit(overrides: list[str]) -> FitPlan:
    """Compose and check the configuration of a run; data and weights need not be there.

    Args:
        overrides: as for `fit`.

    Raises:
        InputError: a mistake in the configuration.
    """
    config = compose_fit(overrides)
    options = {name: data_options(config.recipe[name], overrides) for name in _stages(config)}
    sets = {name: [compose_data(option, overrides) for option in chosen] for name, chosen in options.items()}
    _check(config, sets)
    if not _named("model", overrides):
        raise InputError(f"no model named: write model={' or model='.join(group_options('model'))}")
    return FitPlan(config, sets)


def _named(group: str, overrides: list[str]) -> bool:
    return any(line.split("=")[0] == group for line in overrides)


def _stages(config: FitConfig) -> list[str]:
    known = list(config.recipe)
    if config.stage == "all":
        return known
    stage = config.stage or known[0]
    if stage not in known:
        raise unknown_name(f"stage of {config.model['name']}", stage, [*known, "all"])
    return [stage]


def data_options(stage: StageConfig, overrides: list[str]) -> list[str]:
    """Return the options of the data group that a stage reads: its own unless the user chose one for all.

    Raises:
        InputError: there are none.
    """
    chosen = [line.partition("=")[2] for line in overrides if line.startswith("data=")]
    if chosen:
        return chosen[-1:]
    if not stage.data:
        raise InputError("the recipe names no data for this stage: write data=NAME")
    return stage.data


def _check(config: FitConfig, sets: Mapping[str, Sequence[DataConfig]]) -> None:
    from vosbench.training.loggers import LOGGERS

    check_name("size", config.size, SIZES)
    check_name("logger", config.logger, LOGGERS)
    check_name("val", config.val, VALIDATIONS)
    if config.monitor is not None and not config.monitor.startswith("val/"):
        raise InputError(f"monitor={config.monitor}: write a value of the validation, e.g. monitor=val/J")
    if config.run is not None and config.resume is not None:
        raise InputError("run=DIR continues by itself what is in DIR: leave resume out")
    precision = str(config.trainer.get("precision"))
    if precision in _ROUNDED:
        raise InputError(
            f"trainer.precision={precision} would round boxes and flow (bf16 to multiples of 8 beyond 1024 "
            "pixels): write trainer.precision=bf16-mixed, which keeps them"
        )
    for stage_sets in sets.values():
        for dataset in stage_sets:
            check_data(dataset)
