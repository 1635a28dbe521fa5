"""Training a method, stage by stage."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from vosbench.config import FitConfig, StageConfig, compose_fit, group_options
from vosbench.data.roots import cache_root, data_root
from vosbench.errors import InputError, unknown_name
from vosbench.files import write_text

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule, LightningModule, Trainer
    from pytorch_lightning.loggers import Logger

    from vosbench.data.datasets.base import Dataset
    from vosbench.flow.estimators import FlowEstimator

LOGGERS = ("csv", "tensorboard", "wandb")
CONFIG_FILE = "config.yaml"
RUN_VARIABLE = "VOSBENCH_RUN"
"""Tells the processes that Lightning starts for further devices which run folder they work on."""


def fit(overrides: list[str]) -> Path:
    """Train a method as its recipe says.

    The run folder holds ``config.yaml`` (every key resolved) and, per stage, a folder with
    ``checkpoints/last.ckpt`` (written after every epoch), ``checkpoints/best.ckpt`` (highest
    validation IoU) and the logs. A stage starts from the weights the one before ended with.

    Args:
        overrides: ``key=value`` and ``group=option``, e.g. ``["model=mpnet", "size=tiny"]``.

    Returns:
        The run folder.

    Raises:
        InputError: a mistake in the configuration, missing data, nothing to resume.
    """
    config = compose_fit(overrides)
    names = _stages(config)
    for stage in names:
        _check(config, config.recipe[stage])
    if not _named("model", overrides):
        raise InputError(f"no model named: write model={' or model='.join(group_options('model'))}")
    resumed = _resumed_checkpoint(config)
    run = resumed.parents[2] if resumed else _next_run(config)
    os.environ[RUN_VARIABLE] = str(run)

    weights = Path(config.init) if config.init else None
    if resumed:
        names = names[names.index(resumed.parents[1].name) :]
    try:
        for stage in names:
            # a stage brings its own data unless the user chose a set for all
            if not _named("data", overrides):
                config = compose_fit([*overrides, f"data={config.recipe[stage].data}"])
            weights = _fit_stage(config, stage, run / stage, weights, resumed)
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


def _check(config: FitConfig, stage: StageConfig) -> None:
    if config.logger not in LOGGERS:
        raise unknown_name("logger", config.logger, LOGGERS)
    if len(stage.crop) != 2 or min(stage.crop) < 1:
        raise InputError(f"crop is {stage.crop}: write crop=[height,width] in pixels")
    if stage.batch_size < 2:
        raise InputError("batch_size must be at least 2: batch normalisation compares the pairs of a batch")
    if config.data.scale <= 0:
        raise InputError(f"data.scale is {config.data.scale}: it must be above 0")
    if config.data.edition not in ("official", "mini"):
        raise unknown_name("data.edition", config.data.edition, ("official", "mini"))


def _fit_stage(
    config: FitConfig, name: str, folder: Path, weights: Path | None, resumed: Path | None
) -> Path:
    import pytorch_lightning as pl

    _silence_advertisements()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = _module(config)
    cast(Any, module).configure_stage(name, config.recipe[name])
    if weights:
        load_weights(module, weights)
    data = _data(config, config.recipe[name], needs_flow=bool(cast(Any, module).needs_flow))
    trainer = _trainer(config, config.recipe[name], folder)
    if trainer.is_global_zero:
        write_text(folder.parent / CONFIG_FILE, yaml.safe_dump(asdict(config), sort_keys=False))
    trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    return folder / "checkpoints" / "last.ckpt"


def _silence_advertisements() -> None:
    """Leave out what Lightning says about other products and about its own code."""
    reporter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    reporter.addFilter(_no_advertisement)
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def _no_advertisement(line: logging.LogRecord) -> bool:
    return "litlogger" not in line.getMessage()


def _module(config: FitConfig) -> LightningModule:
    from vosbench.models import build

    variant = {key: value for key, value in config.model.items() if key != "name"}
    return build(config.model["name"], config.size, **variant)


def _trainer(config: FitConfig, stage: StageConfig, folder: Path) -> Trainer:
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint

    arguments = {"max_epochs": stage.epochs, **config.trainer}
    checkpoints = folder / "checkpoints"
    callbacks: list[Callback] = [
        ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False),
        LearningRateMonitor(),
    ]
    if arguments.get("limit_val_batches") != 0:
        best = ModelCheckpoint(
            checkpoints, filename="best", monitor="val/iou", mode="max", enable_version_counter=False
        )
        callbacks.append(best)
    try:
        return Trainer(
            **arguments,
            logger=_logger(config, folder),
            callbacks=callbacks,
            default_root_dir=folder,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"trainer: {str(error).strip().splitlines()[0]}") from None


def _logger(config: FitConfig, folder: Path) -> Logger:
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

    if config.logger == "csv":
        return CSVLogger(folder, name="logs")
    if config.logger == "tensorboard":
        return TensorBoardLogger(folder, name="logs")
    folder.mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project="vosbench",
        name=f"{config.model['name']}-{config.size}-{folder.name}",
        save_dir=folder,
        offline=os.environ.get("WANDB_MODE", "offline") == "offline",
    )


def _data(config: FitConfig, stage: StageConfig, *, needs_flow: bool) -> LightningDataModule:
    from vosbench.data.datamodule import PairDataModule, PairSettings, TrainTransform

    sources = stage.flow if needs_flow else []
    if needs_flow and not sources:
        raise InputError("flow is empty: write e.g. flow=[ground_truth]")
    height, width = stage.crop
    return PairDataModule(
        _open(config, config.data.split),
        _open(config, config.data.val_split),
        PairSettings(
            flow=tuple(_flow_source(name) for name in sources),
            scale=config.data.scale,
            in_memory=config.data.in_memory,
        ),
        batch_size=stage.batch_size,
        transform=TrainTransform((height, width), **asdict(stage.augment)),
        workers=config.workers,
    )


def _flow_source(name: str) -> FlowEstimator | None:
    from vosbench.flow.estimators import ESTIMATORS, FlowEstimator, build_estimator

    if name == "ground_truth":
        return None
    if name not in ESTIMATORS:
        raise unknown_name("flow", name, ["ground_truth", *ESTIMATORS])
    estimator = build_estimator(name)
    if not isinstance(estimator, FlowEstimator):
        raise InputError(f"flow={name} reads files: training computes flow, choose ground_truth or dis")
    return estimator


def _open(config: FitConfig, split: str) -> Dataset:
    from vosbench.data import open_dataset

    name = config.data.name
    if config.data.edition == "mini":
        from vosbench.data.mini import ensure_mini

        root = cache_root() / "mini"
        ensure_mini(name, root)
        return open_dataset(name, root, split, **config.data.options)
    root = data_root(Path(config.data_root) if config.data_root else None)
    if not (root / name).is_dir():
        raise InputError(
            f"no folder {root / name}: put {name} there in its official layout, point data_root=DIR or "
            f"VOSBENCH_DATA at the folder that holds it, or train on rendered scenes with data=mini"
        )
    return open_dataset(name, root, split, **config.data.options)


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Copy the weights of a Lightning checkpoint or safetensors file into `module`.

    Raises:
        InputError: the file is missing, unreadable or of another network.
    """
    from vosbench.models.zoo import read_state

    state, _ = read_state(checkpoint)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[1].strip()
        raise InputError(f"{checkpoint}: not weights of this network ({reason})") from None


def _runs_folder(config: FitConfig) -> Path:
    return Path(config.runs) / f"{config.model['name']}-{config.size}"


def _next_run(config: FitConfig) -> Path:
    if RUN_VARIABLE in os.environ:
        return Path(os.environ[RUN_VARIABLE])
    folder = _runs_folder(config)
    numbers = [int(path.name) for path in _runs(folder)]
    return folder / f"{max(numbers, default=-1) + 1:03d}"


def _runs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and path.name.isdigit())


def _resumed_checkpoint(config: FitConfig) -> Path | None:
    if config.resume is None:
        return None
    if config.resume != "auto":
        path = Path(config.resume)
        if not path.is_file():
            raise InputError(f"resume: no file {path}")
        if path.parent.name != "checkpoints" or path.parents[1].name not in config.recipe:
            raise InputError(f"resume: {path} is not in a run folder (RUN/STAGE/checkpoints/last.ckpt)")
        return path
    for run in reversed(_runs(_runs_folder(config))):
        written = list(run.glob("*/checkpoints/last.ckpt"))
        if written:
            return max(written, key=lambda path: path.stat().st_mtime)
    raise InputError(f"resume=auto: no run with a checkpoint under {_runs_folder(config)}")
