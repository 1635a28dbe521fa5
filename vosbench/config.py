"""The configuration of a training run: its schema, its composition, its errors.

Hydra composes the YAML groups under ``vosbench/configs``; the dataclasses here give every key a
type. A mistake is an `InputError` of one line that names the key and what would be right.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vosbench.errors import InputError, unknown_name
from vosbench.plugins import config_folders

GROUPS = ("model", "recipe", "data")

_LONGEST = 10_000
"""Characters of an override: the parser takes a second for more."""

CONFIGS = Path(str(files("vosbench") / "configs"))


@dataclass
class OptimizerConfig:
    """Optimiser of a stage.

    Attributes:
        name: ``sgd``, ``adam``, ``adamw`` or ``rmsprop``.
        lr: learning rate.
        momentum: of ``sgd`` and ``rmsprop``; the first beta of ``adam`` and ``adamw``.
        weight_decay: share of a weight that joins its gradient; ``adamw`` takes it off the weight.
        alpha: how slowly ``rmsprop`` forgets squared gradients.
        eps: added to the root of squared gradients, ``sgd`` has none.
    """

    name: str = "sgd"
    lr: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.005
    alpha: float = 0.99
    eps: float = 1e-8


@dataclass
class ScheduleConfig:
    """Schedule of the learning rate.

    Attributes:
        name: ``constant``, ``step``, ``multistep``, ``exponential``, ``poly`` or ``cosine``.
        milestones: epochs at which ``step`` multiplies learning rate and weight decay by `gamma`, and
            ``multistep`` the learning rate alone.
        gamma: factor of ``step`` and ``multistep``, and of the learning rate after every epoch of
            ``exponential``; the share of the learning rate that ``cosine`` ends at.
        power: of the share of steps that are left, in ``poly``.
    """

    name: str = "constant"
    milestones: list[int] = field(default_factory=list)
    gamma: float = 0.1
    power: float = 0.9


@dataclass
class ClipConfig:
    """Cutting of clips; keys as in `vosbench.data.loading.clips.ClipSettings`.

    Attributes:
        length, stride, masks, flow_beyond, backward, before, repeat: as there.
        val_stride: frames between the starts of two validation clips.
        per_video: an epoch takes one random clip of each video instead of all.
        classes: tell the class of every object; the data set must name its classes.
    """

    length: int = 1
    stride: int = 1
    val_stride: int = 1
    masks: str = "all"
    flow_beyond: bool = False
    backward: bool = False
    before: int = 0
    repeat: bool = False
    per_video: bool = False
    classes: bool = False


@dataclass
class AugmentConfig:
    """Random changes of training clips, keys as in `vosbench.data.transforms.augmentation.ClipTransform`."""

    crop: Any = None
    resize: list[float] = field(default_factory=lambda: [1.0, 1.0])
    zoom: list[float] = field(default_factory=lambda: [1.0, 1.0])
    rotate: float = 0.0
    mirror: float = 0.0
    reverse: float = 0.0
    stop: float = 0.0
    stop_frames: int = 5
    camera: float = 0.0
    degrade: float = 0.0
    colour: float = 0.0


@dataclass
class StageConfig:
    """One stage of a recipe.

    Attributes:
        data: options of the data group, used unless the user names one.
        mixing: of several data sets: ``none`` takes every clip of all once an epoch, ``shares`` draws from
            random ones, ``counts`` puts so many of each into a batch.
        shares: weight of each data set, or its clips per batch; empty: all alike.
        flow: ``ground_truth``, estimators as ``--flow`` takes them, folders; every clip comes with each.
        epochs: length.
        epoch_length: clips of an epoch, over all devices; null: the number that the data hold.
        batch_size: clips per step and device.
        collate: ``clips``, padded to one size, or ``detection``, lists with targets of detectors.
        accumulate: steps whose gradients are summed.
        clip: cutting of clips.
        augment: random changes of clips.
        optimizer: of the stage.
        schedule: of the learning rate.
        clip_gradients: largest absolute value of each gradient; null: any.
    """

    data: list[str] = field(default_factory=list)
    mixing: str = "none"
    shares: list[float] = field(default_factory=list)
    flow: list[str] = field(default_factory=list)
    epochs: int = 1
    epoch_length: int | None = None
    batch_size: int = 1
    collate: str = "clips"
    accumulate: int = 1
    clip: ClipConfig = field(default_factory=ClipConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    clip_gradients: float | None = None


@dataclass
class DataConfig:
    """A data set as training reads it.

    Attributes:
        name: data set.
        edition: ``official``, or ``mini`` to render it under the cache folder.
        scenes: of the miniature, scenes or sequences per split; null: those of the default miniature.
        split: what is trained on.
        val_split: what is validated on: ``held_out`` videos of `split`, which are not trained on; another
            split, all of `split` being trained on; null, as with ``trainer.limit_val_batches=0``: nothing.
        hold_out: of ``held_out``: names of videos, or about which share of them, chosen by their names; see
            `vosbench.data.hold_out.held_out`.
        scale: factor on frames and flow.
        in_memory: keep what was read and scaled; for sets of a few thousand small pairs.
        options: further arguments of the reader.
    """

    name: str
    edition: str
    split: str
    val_split: str | None
    scale: float
    in_memory: bool
    options: dict[str, Any]
    scenes: int | None = None
    hold_out: Any = 0.15


@dataclass
class FitConfig:
    """Configuration of `vosbench.training.fit`; ``configs/fit.yaml`` describes every key."""

    model: dict[str, Any]
    recipe: dict[str, StageConfig]
    data: DataConfig
    size: str
    stage: str | None
    init: str | None
    run: str | None
    data_root: str | None
    runs: str
    resume: str | None
    val: str
    val_protocol: str | None
    seed: int
    workers: int
    logger: str
    trainer: dict[str, Any]


def compose_fit(overrides: list[str]) -> FitConfig:
    """Compose the configuration of ``vosbench fit``.

    Args:
        overrides: ``key=value`` and ``group=option`` in Hydra's syntax.

    Raises:
        InputError: unknown key, option or trainer argument, a value of the wrong type, bad syntax.
    """
    parsed = _parse(overrides)
    options = [override for override in parsed if override.key_or_group in GROUPS]
    for override in options:
        known = group_options(override.key_or_group)
        if override.value() not in known:
            raise unknown_name(override.key_or_group, str(override.value()), known)
    try:
        base = _compose([_line(override) for override in options])
        known = _leaf_keys(OmegaConf.merge(OmegaConf.structured(FitConfig), base))
        for override in parsed:
            if override not in options:
                _check_key(override.key_or_group, known)
        composed = _compose([_line(override) for override in parsed])
        merged = OmegaConf.merge(OmegaConf.structured(FitConfig), composed)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        raise InputError(f"configuration: {key}{_first_line(error)}") from None
    except HydraException as error:
        raise InputError(f"configuration: {_first_line(error)}") from None
    assert isinstance(config, FitConfig)
    return config


def load_stage(recipe: str, name: str) -> StageConfig:
    """Return stage `name` of the recipe `recipe`, of vosbench or of a package with methods.

    Raises:
        InputError: there is no such recipe or stage.
    """
    if recipe not in group_options("recipe"):
        raise unknown_name("recipe", recipe, group_options("recipe"))
    path = _options("recipe")[recipe]
    stages: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")))  # type: ignore[assignment]
    if name not in stages:
        raise unknown_name(f"stage of {recipe}", name, stages)
    stage = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StageConfig), stages[name]))
    assert isinstance(stage, StageConfig)
    return stage


def group_options(group: str) -> list[str]:
    """Return the options of a configuration group, e.g. of ``"data"``."""
    return sorted(_options(group))


def _options(group: str) -> dict[str, Path]:
    """Return name -> file; a file of vosbench takes precedence over one of another package."""
    folders = [folder / group for folder in reversed([CONFIGS, *config_folders()])]
    return {path.stem: path for folder in folders for path in folder.glob("*.yaml")}


def _parse(overrides: list[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for line in overrides:
        if len(line) > _LONGEST:
            raise InputError(f"cannot use '{line[:40]}...': {len(line)} characters, at most {_LONGEST}")
        if "${" in line:
            # lines come from suites and plans of others, too: no variable of the environment gets out
            raise InputError(f"cannot use '{line}': write the value itself, ${{...}} is not replaced")
        try:
            override = parser.parse_override(line)
        except (HydraException, RecursionError):
            raise InputError(f"cannot read '{line}': write key=value, e.g. size=tiny") from None
        if not override.key_or_group or override.is_delete() or override.is_sweep_override():
            raise InputError(f"cannot use '{line}': write key=value with one value")
        parsed.append(override)
    return parsed


def _line(override: Override) -> str:
    """Return the override as Hydra takes it: these keys need not be in the YAML."""
    key = override.key_or_group
    prefix = "++" if key.startswith(("trainer.", "recipe.", "data.")) else ""
    return f"{prefix}{key}={override.get_value_element_as_str()}"


def _check_key(key: str, known: list[str]) -> None:
    if key.startswith("trainer."):
        arguments = _trainer_arguments()
        name = key.split(".")[1]
        if name not in arguments:
            raise unknown_name("trainer argument", name, arguments)
        return
    if key not in known:
        raise unknown_name("configuration key", key, known)


def _trainer_arguments() -> set[str]:
    from pytorch_lightning import Trainer

    taken = {"self", "logger", "callbacks", "default_root_dir"}
    return set(inspect.signature(Trainer.__init__).parameters) - taken


def _compose(overrides: list[str]) -> Any:
    others = [f"file://{folder}" for folder in config_folders()]
    search = [f"hydra.searchpath=[{','.join(others)}]"] if others else []
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("fit", overrides=[*search, *overrides])


def _leaf_keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for key in config:
        value = config[key]
        if OmegaConf.is_dict(value):
            keys += _leaf_keys(value, f"{prefix}{key}.")
        else:
            keys.append(f"{prefix}{key}")
    return keys


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
