"""Training of one stage: module, data, Trainer and callbacks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.errors import InputError
from vosbench.files import check_marker, write_text, writing
from vosbench.training.run_folder import CONFIG_FILE, MEANWHILE
from vosbench.training.stage_data import stage_data

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import Callback

    from vosbench.data.loading.datamodule import ClipDataModule
    from vosbench.models.random_weights import RandomWeights
    from vosbench.models.vos_module import VOSModule

_LONGEST = 120
"""Characters of a list of names of weights in a message."""


@dataclass(frozen=True)
class StageRun:
    """One stage of a run.

    Attributes:
        config: of the run.
        name: of the stage.
        folder: where the stage writes.
        sets: data sets that the stage reads.
    """

    config: FitConfig
    name: str
    folder: Path
    sets: tuple[DataConfig, ...]

    @property
    def settings(self) -> StageConfig:
        """Settings of the stage."""
        return self.config.recipe[self.name]

    @property
    def described(self) -> str:
        """YAML of everything that the weights of the stage depend on, but the weights it starts from."""
        config = self.config
        # absent for clips, as in the files of runs from before there was a choice
        clips = config.val == "clips"
        validation = {} if clips else {"val": config.val, "val_protocol": config.val_protocol}
        # absent by default, as in the files of runs from before there were any
        followed = {
            key: value
            for key, value in (("monitor", config.monitor), ("callbacks", config.callbacks))
            if value
        }
        settings = {
            "model": config.model,
            "size": config.size,
            "seed": config.seed,
            "init": config.init,
            "trainer": config.trainer,
            **validation,
            **followed,
            "stage": asdict(self.settings),
            "data": [asdict(dataset) for dataset in self.sets],
        }
        return yaml.safe_dump(settings, sort_keys=False)

    @property
    def last(self) -> Path:
        """Checkpoint of the last epoch."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def finished(self) -> Path:
        """File that is written when the stage ends."""
        return self.folder / "finished.yaml"

    @property
    def kept(self) -> bool:
        """Whether the stage is finished in the folder that the user named, and will be left as it is."""
        return self.config.run is not None and self.finished.is_file()

    def interrupted(self) -> Path | None:
        """Return the checkpoint, finished or not, that is already in a run folder which the user named.

        Raises:
            InputError: the stage was trained with other settings there.
        """
        if self.config.run is None or not self.last.is_file():
            return None
        if self.finished.is_file() and self.finished.read_bytes() != self.described.encode():
            raise InputError(
                f"{self.folder} was trained with other settings: name another folder with run=DIR"
            )
        return self.last


def train_stage(stage: StageRun, weights: Path | None, resumed: Path | None) -> Path:
    """Train a stage and return its last checkpoint; one that is finished is left as it is.

    Args:
        stage: of a run.
        weights: file that the stage starts from; None: only what its model names.
        resumed: checkpoint of the stage to go on from.

    Raises:
        InputError: settings, data or weights that cannot be used.
    """
    import pytorch_lightning as pl

    from vosbench.models.random_weights import RandomWeights
    from vosbench.training.callbacks import MonitorCheck, direction, make_callbacks, monitored
    from vosbench.training.provenance import TrainedOn, trained_on
    from vosbench.training.validation_log import BestCheckpoint
    from vosbench.training.video_validation import with_whole_videos

    if resumed and stage.kept:
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
    monitor = config.monitor or module.monitor
    own = make_callbacks(config.callbacks, monitor)
    watched = monitored(own) | ({"monitor": monitor} if config.monitor else {})
    validates = whole or clips.validates
    _require_validation(watched, validates)
    learnt = trained_on(config, stage.sets, resumed or weights, module, monitor)
    callbacks: list[Callback] = [MonitorCheck(watched), *own, TrainedOn(learnt)]
    if not resumed:
        callbacks.append(_random_weight_check(random, stage.name))
    if validates:
        callbacks.append(BestCheckpoint(stage.last.parent, monitor, direction(monitor, "monitor")))
    trainer = _trainer(stage, callbacks)
    if trainer.is_global_zero:
        _write_config(stage)
    with writing(stage.folder), _large_enough(stage, module, trainer):
        trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    if trainer.is_global_zero and not trainer.interrupted:
        write_text(stage.finished, stage.described)
        check_marker(stage.folder.parent / CONFIG_FILE, MEANWHILE, stage.finished)
    return stage.last


@contextmanager
def _large_enough(stage: StageRun, module: VOSModule, trainer: Trainer) -> Iterator[None]:
    """Name the size of clips where it makes the first step fail.

    Raises:
        InputError: clips are too small for the network.
    """
    from vosbench.training.clip_size import is_too_small, too_small_error

    try:
        yield
    except (RuntimeError, ValueError) as error:
        if trainer.global_step or trainer.world_size > 1 or not is_too_small(error):
            raise

        def data_of(settings: StageConfig) -> ClipDataModule:
            return stage_data(stage.config, settings, stage.sets, needs_flow=module.needs_flow)

        raise too_small_error(stage.name, stage.settings, module, data_of, error) from None


def _require_validation(watched: Mapping[str, str], validates: bool) -> None:
    for key, name in watched.items():
        if name.startswith("val/") and not validates:
            raise InputError(
                f"{key}: {name} is never measured, as the stage has no validation: leave out "
                "data.val_split=null and trainer.limit_val_batches=0, or follow train/loss"
            )


def _write_config(stage: StageRun) -> None:
    """Write every key of the run, resolved; ``data`` as the stage reads it."""
    keys = asdict(stage.config) | {"data": [asdict(dataset) for dataset in stage.sets]}
    write_text(stage.folder.parent / CONFIG_FILE, yaml.safe_dump(keys, sort_keys=False))


def _silence_advertisements() -> None:
    """Silence Lightning on other products, on its own code, and on parts that are frozen on purpose."""
    reporter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    reporter.addFilter(_no_advertisement)
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")


def _no_advertisement(line: logging.LogRecord) -> bool:
    return "litlogger" not in line.getMessage()


def _random_weight_check(random: RandomWeights, stage: str) -> Callback:
    """Return a callback that refuses to train beside random weights, once all weights are loaded."""
    from pytorch_lightning.callbacks import LambdaCallback

    def refuse(_: Trainer, module: LightningModule) -> None:
        random.refuse(module, cast("VOSModule", module).kept, stage)

    return LambdaCallback(on_fit_start=refuse)


def _module(config: FitConfig) -> VOSModule:
    from vosbench.models import build

    variant = {key: value for key, value in config.model.items() if key != "name"}
    return build(config.model["name"], config.size, **variant)


def _trainer(stage: StageRun, callbacks: Sequence[Callback]) -> Trainer:
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint

    from vosbench.training.checkpoints import WholeCheckpoints
    from vosbench.training.validation_log import TrainingLog, lightning_logger

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
    run_name = f"{config.model['name']}-{config.size}-{stage.name}"
    logger = lightning_logger(config.logger, stage.folder, run_name)
    try:
        return Trainer(
            **arguments,
            logger=logger,
            plugins=[WholeCheckpoints(stage.folder.parent)],
            callbacks=[
                LearningRateMonitor(),
                TrainingLog(logger, stage.folder),
                *callbacks,
                # after the callback of the best one, whose state the last one holds
                ModelCheckpoint(
                    stage.last.parent,
                    filename="last",
                    enable_version_counter=False,
                    # Lightning's default waits for a validation, which may come rarely or never
                    save_on_train_epoch_end=True,
                ),
            ],
            default_root_dir=stage.folder,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"trainer: {str(error).strip().splitlines()[0]}") from None


def load_weights(module: LightningModule, checkpoint: Path) -> None:
    """Copy the weights of a Lightning checkpoint or safetensors file into `module`.

    Raises:
        InputError: the file is missing, unreadable or of another network.
    """
    from vosbench.models.pretrained.weight_files import read_state

    state, described = read_state(checkpoint)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[1].strip()
        raise InputError(
            f"{checkpoint}: not weights of this network ({reason[:_LONGEST]}){_differing(module, described)}"
        ) from None


def _differing(module: LightningModule, described: Mapping[str, Any]) -> str:
    """Return words on the network that weights say they belong to, where it is another one."""
    own = {"name": getattr(module, "name", None), "size": module.hparams.get("size")}
    stated = {key: described[key] for key in own if key in described}
    for key, value in described.get("variant", {}).items():
        if key in module.hparams:
            own[f"model.{key}"], stated[f"model.{key}"] = module.hparams[key], value
    differing = [f"{key}={value}" for key, value in stated.items() if own[key] != value]
    return f"; they are of one with {', '.join(differing)}" if differing else ""
