"""Training a method, stage by stage."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from vosbench.config import DataConfig, FitConfig, StageConfig, compose_fit, group_options
from vosbench.errors import InputError, unknown_name
from vosbench.files import write_text
from vosbench.training.stage_data import VALIDATIONS, check_data, stage_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import Callback

    from vosbench.models.random_weights import RandomWeights
    from vosbench.models.vos_module import VOSModule

CONFIG_FILE = "config.yaml"
_SHOWN = 10
"""Names of videos that fit into a line."""
_ROUNDED = ("bf16-true", "16-true", "transformer-engine", "transformer-engine-float16")
"""Precisions of Lightning in which inputs and targets become as short as the weights."""

RUN_VARIABLE = "VOSBENCH_RUN"
"""Tells the processes that Lightning starts for further devices which run folder they work on."""


def fit(overrides: list[str]) -> Path:
    """Train a method as its recipe says.

    The run folder holds ``config.yaml`` (every key resolved) and, per stage, a folder with
    ``checkpoints/last.ckpt`` (written after every epoch), ``checkpoints/best.ckpt`` (highest validation J,
    where something is validated), the logs with pictures of the same validation clips or videos each time,
    and ``finished.yaml`` (what the stage was trained with) once it is through. A stage starts from the
    weights the one before ended with. By default sequences of the training split are held out for validation
    (``data.val_split``, ``data.hold_out``); ``val=videos`` segments them from start to end. ``last.ckpt`` is
    what to test: the checkpoint describes how ``best.ckpt`` was chosen, whose validation J is that of a
    choice.

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
    resumed = _resumed_checkpoint(config)
    run = resumed.parents[2] if resumed else _run_folder(config)
    os.environ[RUN_VARIABLE] = str(run)

    weights = Path(config.init) if config.init else None
    if resumed:
        names = names[names.index(resumed.parents[1].name) :]
    try:
        for name in names:
            stage = _Stage(config, name, run / name, tuple(sets[name]))
            weights = _fit_stage(stage, weights, resumed or _interrupted(stage))
            resumed = None
    finally:
        del os.environ[RUN_VARIABLE]
    return run


def what_to_test(run: Path) -> list[str]:
    """Return lines on the checkpoints of a run's last stage: which to test, and what chose the other.

    Args:
        run: from `fit`.
    """
    last = max(run.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    lines = [f"to test: {last}"]
    if (best := last.with_name("best.ckpt")).is_file():
        from vosbench.models.pretrained.zoo import training_of

        selections = training_of(best).get("selection", ())
        chosen_on = ", ".join(_described(each) for each in selections)
        monitor = selections[-1]["monitor"]
        lines.append(
            f"{best.name} beside it is the epoch with the highest {monitor}; validated on {chosen_on}"
        )
    return lines


def _described(selection: Mapping[str, Any]) -> str:
    names = selection.get("sequences", ())
    shown = (
        f" ({', '.join(names)})" if 0 < len(names) <= _SHOWN else f" ({len(names)} videos)" if names else ""
    )
    return f"{selection['name']} {selection['split']}{shown}"


@dataclass(frozen=True)
class _Stage:
    """One stage of a run: its name, the folder it writes and the data sets it reads."""

    config: FitConfig
    name: str
    folder: Path
    sets: tuple[DataConfig, ...]

    @property
    def settings(self) -> StageConfig:
        return self.config.recipe[self.name]

    @property
    def described(self) -> str:
        """Everything that the weights of the stage depend on, but the weights it starts from."""
        config = self.config
        # absent for clips, as in the files of runs from before there was a choice
        clips = config.val == "clips"
        validation = {} if clips else {"val": config.val, "val_protocol": config.val_protocol}
        told = {
            "model": config.model,
            "size": config.size,
            "seed": config.seed,
            "init": config.init,
            "trainer": config.trainer,
            **validation,
            "stage": asdict(self.settings),
            "data": [asdict(each) for each in self.sets],
        }
        return yaml.safe_dump(told, sort_keys=False)

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def finished(self) -> Path:
        return self.folder / "finished.yaml"


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
    for chosen in sets.values():
        for each in chosen:
            check_data(each)


def _interrupted(stage: _Stage) -> Path | None:
    """Return the checkpoint, finished or not, that is already in a run folder which the user named."""
    if stage.config.run is None or not stage.last.is_file():
        return None
    if stage.finished.is_file() and stage.finished.read_text(encoding="utf-8") != stage.described:
        raise InputError(f"{stage.folder} was trained with other settings: name another folder with run=DIR")
    return stage.last


def _fit_stage(stage: _Stage, weights: Path | None, resumed: Path | None) -> Path:
    import pytorch_lightning as pl

    from vosbench.models.random_weights import RandomWeights
    from vosbench.training.provenance import trained_on
    from vosbench.training.video_validation import with_whole_videos

    if resumed and stage.config.run is not None and stage.finished.is_file():
        return stage.last
    config = stage.config
    _silence_advertisements()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    module = _module(config)
    random = RandomWeights(module)
    module.configure_stage(stage.name, stage.settings)
    if weights:
        load_weights(module, weights)
    clips = stage_data(config, stage.settings, stage.sets, needs_flow=module.needs_flow)
    whole = config.val == "videos"
    data = with_whole_videos(clips, config, stage.settings, stage.sets, module) if whole else clips
    told = trained_on(config, stage.sets, resumed or weights, module)
    started = [] if resumed else [_started(random, stage.name)]
    monitor = module.monitor if whole or clips.validates else None
    trainer = _trainer(stage, told, started, monitor)
    if trainer.is_global_zero:
        _write_config(stage)
    trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    if trainer.is_global_zero and not trainer.interrupted:
        write_text(stage.finished, stage.described)
    return stage.last


def _write_config(stage: _Stage) -> None:
    """Write what the user would have to say to get the same run; `data` as the stage in hand reads it."""
    told = asdict(stage.config) | {"data": [asdict(each) for each in stage.sets]}
    write_text(stage.folder.parent / CONFIG_FILE, yaml.safe_dump(told, sort_keys=False))


def _silence_advertisements() -> None:
    """Leave out what Lightning says about other products, its own code, and parts frozen on purpose."""
    reporter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    reporter.addFilter(_no_advertisement)
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")


def _no_advertisement(line: logging.LogRecord) -> bool:
    return "litlogger" not in line.getMessage()


def _started(random: RandomWeights, stage: str) -> Callback:
    """Return what refuses to train beside random weights, once a method has loaded all it starts from."""
    from pytorch_lightning.callbacks import LambdaCallback

    def refuse(_: Trainer, module: LightningModule) -> None:
        random.refuse(module, cast("VOSModule", module).kept, stage)

    return LambdaCallback(on_fit_start=refuse)


def _module(config: FitConfig) -> VOSModule:
    from vosbench.models import build

    variant = {key: value for key, value in config.model.items() if key != "name"}
    return build(config.model["name"], config.size, **variant)


def _trainer(stage: _Stage, told: Mapping[str, Any], started: list[Callback], monitor: str | None) -> Trainer:
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint

    from vosbench.training.provenance import TrainedOn
    from vosbench.training.validation_log import BestCheckpoint, TrainingLog, lightning_logger

    config, settings = stage.config, stage.settings
    arguments = {
        "max_epochs": settings.epochs,
        "accumulate_grad_batches": settings.accumulate,
        "gradient_clip_val": settings.clip_gradients,
        "gradient_clip_algorithm": None if settings.clip_gradients is None else "value",
        # Lightning shuffles and shards what it samples; here that is the data module's own
        "use_distributed_sampler": False,
        **config.trainer,
    }
    checkpoints = stage.folder / "checkpoints"
    run_name = f"{config.model['name']}-{config.size}-{stage.name}"
    logger = lightning_logger(config.logger, stage.folder, run_name)
    callbacks: list[Callback] = [
        *started,
        ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False),
        LearningRateMonitor(),
        TrainingLog(logger, stage.folder),
        TrainedOn(told),
    ]
    if monitor:
        callbacks.append(BestCheckpoint(checkpoints, monitor))
    try:
        return Trainer(
            **arguments,
            logger=logger,
            callbacks=callbacks,
            default_root_dir=stage.folder,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"trainer: {str(error).strip().splitlines()[0]}") from None


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Copy the weights of a Lightning checkpoint or safetensors file into `module`.

    Raises:
        InputError: the file is missing, unreadable or of another network.
    """
    from vosbench.models.pretrained.zoo import read_state

    state, _ = read_state(checkpoint)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[1].strip()
        raise InputError(f"{checkpoint}: not weights of this network ({reason})") from None


def _runs_folder(config: FitConfig) -> Path:
    return Path(config.runs) / f"{config.model['name']}-{config.size}"


def _run_folder(config: FitConfig) -> Path:
    if RUN_VARIABLE in os.environ:
        return Path(os.environ[RUN_VARIABLE])
    if config.run is not None:
        return Path(config.run)
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
