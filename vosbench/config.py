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

GROUPS = ("model", "recipe", "data")


@dataclass
class OptimizerConfig:
    """Optimiser of a stage: ``sgd`` or ``adamw`` (which reads `momentum` as its first beta)."""

    name: str = "sgd"
    lr: float = 0.003
    momentum: float = 0.9
    weight_decay: float = 0.005


@dataclass
class ScheduleConfig:
    """How the learning rate falls.

    Attributes:
        name: ``step`` or ``cosine``.
        milestones: epochs at which ``step`` multiplies learning rate and weight decay by `gamma`.
        gamma: factor of ``step``; the share of the learning rate that ``cosine`` ends at.
    """

    name: str = "step"
    milestones: list[int] = field(default_factory=list)
    gamma: float = 0.1


@dataclass
class AugmentConfig:
    """How often a training clip is mirrored (half of them), re-filmed and degraded.

    Attributes:
        mirror: mirror half of the clips.
        camera: probability of the flow of another camera: turning, zooming, following or still.
        degrade: probability of errors such as a flow estimator makes.
    """

    mirror: bool = True
    camera: float = 0.0
    degrade: float = 0.0


@dataclass
class StageConfig:
    """One stage of a recipe.

    Attributes:
        data: option of the data group, used unless the user names one.
        flow: ``ground_truth`` or estimators; with several, every pair comes with each.
        epochs: length.
        batch_size: frame pairs per step and device.
        crop: (height, width) of the random crop, pixels after scaling.
    """

    data: str = "ft3d"
    flow: list[str] = field(default_factory=lambda: ["ground_truth"])
    epochs: int = 1
    batch_size: int = 1
    crop: list[int] = field(default_factory=lambda: [232, 424])
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class DataConfig:
    """A data set as training reads it.

    Attributes:
        name: data set.
        edition: ``official``, or ``mini`` to render it under the cache folder.
        split: what is trained on.
        val_split: what is validated on.
        scale: factor on frames and flow.
        in_memory: keep what was read and scaled; for sets of a few thousand small pairs.
        options: further arguments of the reader.
    """

    name: str
    edition: str
    split: str
    val_split: str
    scale: float
    in_memory: bool
    options: dict[str, Any]


@dataclass
class FitConfig:
    """Everything `vosbench.fit.fit` reads; ``configs/fit.yaml`` says what each key means."""

    model: dict[str, Any]
    recipe: dict[str, StageConfig]
    data: DataConfig
    size: str
    stage: str | None
    init: str | None
    data_root: str | None
    runs: str
    resume: str | None
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
    chosen = [override for override in parsed if override.key_or_group in GROUPS]
    for override in chosen:
        options = group_options(override.key_or_group)
        if override.value() not in options:
            raise unknown_name(override.key_or_group, str(override.value()), options)
    try:
        base = _compose([_line(override) for override in chosen])
        known = _leaf_keys(base)
        for override in parsed:
            if override not in chosen:
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
    """Return stage `name` of the packaged recipe `recipe`.

    Raises:
        InputError: there is no such recipe or stage.
    """
    if recipe not in group_options("recipe"):
        raise unknown_name("recipe", recipe, group_options("recipe"))
    path = files("vosbench") / "configs" / "recipe" / f"{recipe}.yaml"
    stages: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")))  # type: ignore[assignment]
    if name not in stages:
        raise unknown_name(f"stage of {recipe}", name, stages)
    stage = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StageConfig), stages[name]))
    assert isinstance(stage, StageConfig)
    return stage


def group_options(group: str) -> list[str]:
    """Return the options of a configuration group, e.g. of ``"data"``."""
    folder = files("vosbench") / "configs" / group
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def _parse(overrides: list[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for line in overrides:
        try:
            override = parser.parse_override(line)
        except HydraException:
            raise InputError(f"cannot read '{line}': write key=value, e.g. size=tiny") from None
        if not override.key_or_group or override.is_delete() or override.is_sweep_override():
            raise InputError(f"cannot use '{line}': write key=value with one value")
        parsed.append(override)
    return parsed


def _line(override: Override) -> str:
    """Return the override as Hydra takes it: trainer arguments need not be in the YAML."""
    key = override.key_or_group
    prefix = "++" if key.startswith("trainer.") else ""
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
    folder = Path(str(files("vosbench") / "configs"))
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("fit", overrides=overrides)


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
