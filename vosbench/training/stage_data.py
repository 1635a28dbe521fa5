"""Data of a stage: data sets, flow, augmentation, batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.data.hold_out import HELD_OUT, held_out
from vosbench.data.roots import cache_root, data_root, mini_root
from vosbench.errors import InputError, unknown_name

if TYPE_CHECKING:
    from vosbench.data.datasets.base import Dataset
    from vosbench.data.loading.clips import ClipSettings
    from vosbench.data.loading.datamodule import ClipDataModule, Source
    from vosbench.data.transforms.augmentation import ClipTransform
    from vosbench.flow.estimators import FlowEstimator, Precomputed
    from vosbench.video import Video

GROUND_TRUTH = "ground_truth"
EDITIONS = ("official", "mini")
VALIDATIONS = ("clips", "videos")


def stage_data(
    config: FitConfig, stage: StageConfig, sets: Sequence[DataConfig], *, needs_flow: bool
) -> ClipDataModule:
    """Return the batches of a stage, without those of a validation on whole videos.

    Args:
        config: where data are, how they are loaded.
        stage: how clips are cut, changed and mixed.
        sets: the data sets of the stage.
        needs_flow: whether the method looks at flow; without, none is read.

    Raises:
        InputError: data are missing, or a value makes no sense.
    """
    import torch

    from vosbench.data.loading.datamodule import ClipDataModule, Loading

    if stage.shares and len(stage.shares) != len(sets):
        raise InputError(f"shares is {stage.shares} for {len(sets)} data sets: write one number for each")
    flows = _flows(stage) if needs_flow else []
    transform = _transform(stage)
    shares = stage.shares or [1.0] * len(sets)
    opened = open_sets(config, sets)
    train = [
        source
        for each, share in zip(opened, shares, strict=True)
        for source in _sources(stage, each, flows, transform, share)
    ]
    clips = config.val == "clips"
    val = [source for each in opened for source in _val_sources(stage, each, flows)] if clips else []
    loading = Loading(
        batch_size=stage.batch_size,
        mixing=stage.mixing,  # type: ignore[arg-type]  # checked by Order
        epoch_length=stage.epoch_length,
        collate=stage.collate,  # type: ignore[arg-type]  # checked there
        workers=config.workers,
        pin_memory=torch.cuda.is_available(),
        seed=config.seed,
    )
    return ClipDataModule(train, val, loading)


@dataclass(frozen=True)
class OpenSet:
    """A data set of a stage.

    Attributes:
        chosen: its configuration.
        train: videos to train on.
        val: videos to validate on; empty: none.
        val_split: the split that these are of; None: there are none.
        classes: names of the classes, where the data set has them.
    """

    chosen: DataConfig
    train: Sequence[Video]
    val: Sequence[Video]
    val_split: str | None
    classes: tuple[str, ...] | None


def open_sets(config: FitConfig, sets: Sequence[DataConfig]) -> list[OpenSet]:
    """Return the videos of a stage; what one of its data sets holds out, the others do not train on either.

    Args:
        config: where data are; with ``trainer.limit_val_batches=0`` nothing is validated or held out.
        sets: the data sets.

    Raises:
        InputError: data are missing, or nothing can be held out.
    """
    if config.trainer.get("limit_val_batches") == 0:
        sets = [replace(chosen, val_split=None) for chosen in sets]
    splits = [open_split(config, chosen, chosen.split) for chosen in sets]
    kept = [_kept(chosen, videos) for chosen, videos in zip(sets, splits, strict=True)]
    anywhere = frozenset[str]().union(*kept)
    opened = []
    for chosen, videos, held in zip(sets, splits, kept, strict=True):
        train: Sequence[Video] = videos
        if anywhere:
            train = [video for video in videos if video.name not in anywhere]
        val: Sequence[Video] = ()
        split = chosen.split if held else chosen.val_split
        if held:
            val = [video for video in videos if video.name in held]
        elif split is not None:
            val = open_split(config, chosen, split)
        opened.append(OpenSet(chosen, train, val, split, getattr(videos, "classes", None)))
    return opened


def _kept(chosen: DataConfig, videos: Sequence[Video]) -> frozenset[str]:
    if chosen.val_split != HELD_OUT:
        return frozenset()
    return held_out([video.name for video in videos], chosen.hold_out)


def check_data(chosen: DataConfig) -> None:
    """Refuse a data set's configuration that makes no sense.

    Raises:
        InputError: which key, and what it takes.
    """
    if chosen.scale <= 0:
        raise InputError(f"data.scale is {chosen.scale}: it must be above 0")
    if chosen.edition not in EDITIONS:
        raise unknown_name("data.edition", chosen.edition, EDITIONS)
    if not _is_hold_out(chosen.hold_out):
        raise InputError(
            f"data.hold_out is {chosen.hold_out}: write a share above 0 and below 1, or names, "
            "data.hold_out=[VIDEO,...]; data.val_split=null holds nothing out"
        )
    if chosen.scenes is None:
        return
    if chosen.edition != "mini":
        raise InputError("data.scenes says how much to render: it needs data.edition=mini")
    if chosen.scenes < 1:
        raise InputError(f"data.scenes is {chosen.scenes}: give 1 or more, or null for the default miniature")


def _is_hold_out(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(name, str) for name in value)
    return isinstance(value, float) and 0 < value < 1


def _flows(stage: StageConfig) -> list[FlowEstimator | Precomputed | None]:
    """Return where flow comes from; None is ground truth."""
    from vosbench.flow.cache import CachedEstimator
    from vosbench.flow.estimators import ESTIMATORS, Precomputed, build_estimator, parse_flow

    if not stage.flow:
        raise InputError(f"flow is empty: write e.g. flow=[{GROUND_TRUTH}]")
    flows: list[FlowEstimator | Precomputed | None] = []
    for text in stage.flow:
        if text == GROUND_TRUTH:
            flows.append(None)
            continue
        if text.isidentifier() and text not in ESTIMATORS:
            raise unknown_name("flow", text, [GROUND_TRUTH, *ESTIMATORS])
        name, settings = parse_flow(text)
        estimator = build_estimator(name, **settings)
        fixed = isinstance(estimator, Precomputed)
        flows.append(estimator if fixed else CachedEstimator(estimator, cache_root()))  # type: ignore[arg-type]
    return flows


def _transform(stage: StageConfig) -> ClipTransform:
    from vosbench.data.transforms.augmentation import ClipTransform

    values = asdict(stage.augment)
    for key in ("resize", "zoom"):
        if len(values[key]) != 2:
            raise InputError(f"{key} is {values[key]}: write {key}=[smallest,largest]")
    crop = values["crop"]
    if crop is not None and not isinstance(crop, int | float) and not _is_size(crop):
        raise InputError(f"crop is {crop}: write crop=[height,width] in pixels, or a share of each side")
    taken: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return ClipTransform(**taken)


def _is_size(crop: object) -> bool:
    return isinstance(crop, list) and len(crop) == 2 and all(isinstance(side, int) for side in crop)


def _settings(stage: StageConfig, chosen: DataConfig) -> ClipSettings:
    from vosbench.data.loading.clips import ClipSettings

    clip = stage.clip
    return ClipSettings(
        length=clip.length,
        stride=clip.stride,
        masks=clip.masks,  # type: ignore[arg-type]  # checked there
        flow_beyond=clip.flow_beyond,
        backward=clip.backward,
        before=clip.before,
        repeat=clip.repeat,
        scale=chosen.scale,
        in_memory=chosen.in_memory,
    )


def _classes(stage: StageConfig, opened: OpenSet) -> tuple[str, ...]:
    if not stage.clip.classes:
        return ()
    if opened.classes is None:
        raise InputError(f"{opened.chosen.name} names no classes: write clip.classes=false, or take coco")
    return opened.classes


def _sources(
    stage: StageConfig,
    opened: OpenSet,
    flows: Sequence[FlowEstimator | Precomputed | None],
    transform: ClipTransform | None,
    share: float,
) -> list[Source]:
    from vosbench.data.loading.datamodule import Source

    settings = replace(_settings(stage, opened.chosen), classes=_classes(stage, opened))
    return [
        Source(seen, replace(settings, flow=flow), transform, share, stage.clip.per_video)
        for seen, flow in _with_flow(opened.train, flows)
    ]


def _val_sources(
    stage: StageConfig, opened: OpenSet, flows: Sequence[FlowEstimator | Precomputed | None]
) -> list[Source]:
    from vosbench.data.loading.datamodule import Source

    if opened.val_split is None:
        return []
    settings = replace(
        _settings(stage, opened.chosen),
        stride=stage.clip.val_stride,
        before=0,
        classes=_classes(stage, opened),
    )
    return [Source(seen, replace(settings, flow=flow)) for seen, flow in _with_flow(opened.val, flows)]


def _with_flow(
    videos: Sequence[Video], flows: Sequence[FlowEstimator | Precomputed | None]
) -> list[tuple[Sequence[Video], tuple[FlowEstimator | None, ...]]]:
    """Return videos with the flow that clips of them read; files are attached, the rest is asked for."""
    from vosbench.flow.cache import attach_flow
    from vosbench.flow.estimators import Precomputed

    if not flows:
        return [(videos, ())]
    asked = tuple(flow for flow in flows if not isinstance(flow, Precomputed))
    seen: list[tuple[Sequence[Video], tuple[FlowEstimator | None, ...]]] = [(videos, asked)] if asked else []
    files = (flow for flow in flows if isinstance(flow, Precomputed))
    return seen + [
        ([attach_flow(video, flow, None, overwrite=True) for video in videos], (None,)) for flow in files
    ]


def open_split(config: FitConfig, chosen: DataConfig, split: str) -> Dataset:
    """Return a split of a data set; a miniature that is not there is rendered.

    Raises:
        InputError: the data set is not there.
    """
    from vosbench.data import open_dataset

    name = chosen.name
    if chosen.edition == "mini":
        from vosbench.data.mini import ensure_mini

        root = mini_root(chosen.scenes)
        ensure_mini(name, root, scenes=chosen.scenes)
        return open_dataset(name, root, split, **chosen.options)
    root = data_root(Path(config.data_root) if config.data_root else None)
    if not (root / name).is_dir():
        raise InputError(
            f"no folder {root / name}: put {name} there in its official layout, point data_root=DIR or "
            f"VOSBENCH_DATA at the folder that holds it, or train on rendered scenes with data.edition=mini"
        )
    return open_dataset(name, root, split, **chosen.options)
