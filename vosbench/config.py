"""The configuration of a training run: the dataclasses that give every key a type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    """Cutting of clips; the other keys as in `vosbench.data.loading.clips.ClipSettings`.

    Attributes:
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
    monitor: str | None
    callbacks: list[dict[str, Any]]
    trainer: dict[str, Any]
