"""Training run: the stages of a method, one after the other."""

from __future__ import annotations

import os
from pathlib import Path

from vosbench.config import DataConfig, FitConfig, StageConfig, compose_fit, group_options
from vosbench.errors import InputError, unknown_name
from vosbench.training.run_folder import RUN_VARIABLE, resumed_checkpoint, run_folder
from vosbench.training.stage import StageRun, train_stage
from vosbench.training.stage_data import VALIDATIONS, check_data

_ROUNDED = ("bf16-true", "16-true", "transformer-engine", "transformer-engine-float16")
"""Precisions of Lightning in which inputs and targets become as short as the weights."""


def fit(overrides: list[str]) -> Path:
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

    Returns:
        The run folder.

    Raises:
        InputError: a mistake in the configuration, missing data, nothing to resume.
    """
    config = compose_fit(overrides)
    names = _stages(config)
    sets = {name: _data_sets(config.recipe[name], overrides) for name in names}
    _check(config, sets)
    if not _named("model", overrides):
        raise InputError(f"no model named: write model={' or model='.join(group_options('model'))}")
    resumed = resumed_checkpoint(config)
    run = resumed.parents[2] if resumed else run_folder(config)
    os.environ[RUN_VARIABLE] = str(run)

    weights = Path(config.init) if config.init else None
    if resumed:
        names = names[names.index(resumed.parents[1].name) :]
    try:
        for name in names:
            stage = StageRun(config, name, run / name, tuple(sets[name]))
            weights = train_stage(stage, weights, resumed or stage.interrupted())
            resumed = None
    finally:
        del os.environ[RUN_VARIABLE]
    return run


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


def _data_sets(stage: StageConfig, overrides: list[str]) -> list[DataConfig]:
    """Return the sets of a stage; a stage brings its own unless the user chose one for all."""
    if _named("data", overrides):
        return [compose_fit(overrides).data]
    if not stage.data:
        raise InputError("the recipe names no data for this stage: write data=NAME")
    return [compose_fit([*overrides, f"data={name}"]).data for name in stage.data]


def _check(config: FitConfig, sets: dict[str, list[DataConfig]]) -> None:
    from vosbench.training.loggers import LOGGERS

    if config.logger not in LOGGERS:
        raise unknown_name("logger", config.logger, LOGGERS)
    if config.val not in VALIDATIONS:
        raise unknown_name("val", config.val, VALIDATIONS)
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
