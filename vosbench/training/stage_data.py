"""Data of a stage: data sets, flow, augmentation, batches."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.data.catalogue import dataset_spec, is_own
from vosbench.data.hold_out import HELD_OUT, held_out
from vosbench.data.places import find_folder, link_hints
from vosbench.data.roots import cache_root, data_root, mini_root
from vosbench.errors import InputError, check_name, unknown_name
from vosbench.flow import GROUND_TRUTH
from vosbench.waiting import Waiting, unreported

if TYPE_CHECKING:
    from vosbench.data.datasets.base import Dataset
    from vosbench.data.loading.clips import ClipSettings
    from vosbench.data.loading.datamodule import ClipDataModule, Source
    from vosbench.data.transforms.augmentation import ClipTransform
    from vosbench.flow.estimators import FlowEstimator, Precomputed
    from vosbench.video import Video

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
    train: list[Source] = []
    val: list[Source] = []
    for opened, share in zip(open_sets(config, sets), shares, strict=True):
        train += _sources(stage, opened, flows, transform, share)
        # clips without masks have nothing to validate on
        by_clips = config.val == "clips" and stage.clip.masks != "none"
        val += _val_sources(stage, opened, flows) if by_clips else []
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
        config: of the data set.
        train: videos to train on.
        val: videos to validate on; empty: none.
        val_split: the split of `val`; None where nothing is validated on.
        classes: names of the classes, where the data set has them.
    """

    config: DataConfig
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
        sets = [replace(dataset, val_split=None) for dataset in sets]
    splits = [open_split(config, dataset, dataset.split) for dataset in sets]
    names = [[video.name for video in videos] for videos in splits]
    _check_named(sets, names)
    kept = [_kept(dataset, own) for dataset, own in zip(sets, names, strict=True)]
    anywhere = frozenset[str]().union(*kept)
    opened = []
    for dataset, videos, held in zip(sets, splits, kept, strict=True):
        # a set without held-out videos stays as lazy as the reader made it
        train = [video for video in videos if video.name not in anywhere] if anywhere else videos
        val: Sequence[Video] = ()
        split = dataset.val_split
        if split == HELD_OUT:
            val = [video for video in videos if video.name in held]
            split = dataset.split if held else None
        elif split is not None:
            val = open_split(config, dataset, split)
        opened.append(OpenSet(dataset, train, val, split, getattr(videos, "classes", None)))
    return opened


def _check_named(sets: Sequence[DataConfig], names: Sequence[Sequence[str]]) -> None:
    """Refuse a video of ``data.hold_out`` that no data set has."""
    holding = [dataset.val_split == HELD_OUT for dataset in sets]
    if not any(holding):
        return
    known = sorted({name for own, holds in zip(names, holding, strict=True) if holds for name in own})
    for dataset in sets:
        for name in dataset.hold_out if isinstance(dataset.hold_out, list) else ():
            check_name("video to hold out", name, known)


def _kept(dataset: DataConfig, names: Sequence[str]) -> frozenset[str]:
    """Return the videos that a data set holds out: of several named ones, its own."""
    if dataset.val_split != HELD_OUT:
        return frozenset()
    wanted = dataset.hold_out
    if isinstance(wanted, list):
        wanted = [name for name in wanted if name in set(names)]
    return held_out(names, wanted) if wanted else frozenset()


def require_data(config: FitConfig, sets: Mapping[str, Sequence[DataConfig]]) -> None:
    """Refuse to train without data: all data sets that are missing, and how to get every one.

    Args:
        config: where data are.
        sets: stage -> its data sets.

    Raises:
        InputError: folders of data sets are missing.
    """
    root = data_root(Path(config.data_root) if config.data_root else None)
    official = {
        name: [item.name for item in datasets if item.edition == "official" and not is_own(item.name)]
        for name, datasets in sets.items()
    }
    needing = {
        stage: [name for name in names if not find_folder(root, name).is_dir()]
        for stage, names in official.items()
    }
    missing = list(dict.fromkeys(name for names in needing.values() for name in names))
    if not missing:
        return
    stages = [stage for stage, names in needing.items() if names]
    folders = ", ".join(str(root / name) for name in missing)
    which = "folder" if len(missing) == 1 else "folders"
    hints = {name: link_hints(root, [name]) for name in missing}
    ways = [line for lines in hints.values() for line in lines]
    ways += _ways_to_get([name for name in missing if not hints[name]], config.data_root)
    advice = "; ".join(dict.fromkeys(ways))
    raise InputError(
        f"no {which} {folders} (stage {', '.join(stages)}): {advice}; or point data_root=DIR or "
        "VOSBENCH_DATA at the folder that holds data sets in their official layout, or train on rendered "
        "scenes with data.edition=mini"
    )


def render_data(sets: Sequence[DataConfig], waiting: Waiting) -> None:
    """Render the miniatures that stages read, unless they are there.

    Raises:
        InputError: a miniature cannot be rendered or written.
    """
    for dataset in sets:
        if dataset.edition == "mini":
            from vosbench.data.mini import ensure_mini

            ensure_mini(dataset.name, mini_root(dataset.scenes), scenes=dataset.scenes, waiting=waiting)


def _ways_to_get(names: Sequence[str], root: str | None) -> list[str]:
    """Return a line on each way that data sets come to a machine, in words."""
    specs = [dataset_spec(name) for name in names]
    made = [spec.name for spec in specs if spec.made_from is not None]
    manual = [spec.name for spec in specs if any(archive.manual for archive in spec.archives)]
    fetched = [spec.name for spec in specs if spec.name not in (*made, *manual)]
    ways = []
    if fetched:
        words = ["vosbench", "data", "download", *fetched, *(["--data-root", root] if root else [])]
        ways.append(f"'{shlex.join(words)}' fetches {', '.join(fetched)}")
    ways += [f"'vosbench data list {name}' says where to ask for {name}" for name in manual]
    ways += [
        f"'vosbench data prepare {name}' makes {name} of {dataset_spec(name).made_from}" for name in made
    ]
    return ways


def check_data(dataset: DataConfig) -> None:
    """Refuse a configuration of a data set that makes no sense.

    Raises:
        InputError: which key, and what it takes.
    """
    if not dataset.name:
        raise InputError("data=own does not say which: write data.name=FOLDER, or --dataset FOLDER")
    if dataset.scale <= 0:
        raise InputError(f"data.scale is {dataset.scale}: it must be above 0")
    if dataset.edition not in EDITIONS:
        raise unknown_name("data.edition", dataset.edition, EDITIONS)
    if not _is_hold_out(dataset.hold_out):
        raise InputError(
            f"data.hold_out is {dataset.hold_out}: write a share above 0 and below 1, or names, "
            "data.hold_out=[VIDEO,...]; data.val_split=null holds nothing out"
        )
    if dataset.scenes is None:
        return
    if dataset.edition != "mini":
        raise InputError("data.scenes says how much to render: it needs data.edition=mini")
    if dataset.scenes < 1:
        raise InputError(f"data.scenes is {dataset.scenes}: give 1 or more, or null for the usual miniature")


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


def _settings(stage: StageConfig, opened: OpenSet) -> ClipSettings:
    from vosbench.data.loading.clips import ClipSettings

    clip = stage.clip
    if clip.classes and opened.classes is None:
        raise InputError(f"{opened.config.name} names no classes: write clip.classes=false, or take coco")
    return ClipSettings(
        length=clip.length,
        stride=clip.stride,
        masks=clip.masks,  # type: ignore[arg-type]  # checked there
        flow_beyond=clip.flow_beyond,
        backward=clip.backward,
        before=clip.before,
        repeat=clip.repeat,
        classes=(opened.classes or ()) if clip.classes else (),
        scale=opened.config.scale,
        in_memory=opened.config.in_memory,
    )


def _sources(
    stage: StageConfig,
    opened: OpenSet,
    flows: Sequence[FlowEstimator | Precomputed | None],
    transform: ClipTransform | None,
    share: float,
) -> list[Source]:
    from vosbench.data.loading.datamodule import Source

    settings = _settings(stage, opened)
    return [
        Source(videos, replace(settings, flow=flow), transform, share, stage.clip.per_video)
        for videos, flow in _with_flow(opened.train, flows)
    ]


def _val_sources(
    stage: StageConfig, opened: OpenSet, flows: Sequence[FlowEstimator | Precomputed | None]
) -> list[Source]:
    from vosbench.data.loading.datamodule import Source

    if opened.val_split is None:
        return []
    settings = replace(_settings(stage, opened), stride=stage.clip.val_stride, before=0)
    return [Source(videos, replace(settings, flow=flow)) for videos, flow in _with_flow(opened.val, flows)]


def _with_flow(
    videos: Sequence[Video], flows: Sequence[FlowEstimator | Precomputed | None]
) -> list[tuple[Sequence[Video], tuple[FlowEstimator | None, ...]]]:
    """Return videos with the flow that clips of them read; files are attached, the rest is asked for."""
    from vosbench.flow.cache import attach_flow
    from vosbench.flow.estimators import Precomputed

    if not flows:
        return [(videos, ())]
    asked = tuple(flow for flow in flows if not isinstance(flow, Precomputed))
    files = [flow for flow in flows if isinstance(flow, Precomputed)]
    return [
        *([(videos, asked)] if asked else []),
        *(([attach_flow(video, flow, None, overwrite=True) for video in videos], (None,)) for flow in files),
    ]


def open_split(config: FitConfig, dataset: DataConfig, split: str) -> Dataset:
    """Return a split of a data set; a miniature that is not there is rendered.

    Raises:
        InputError: the data set is not there.
    """
    from vosbench.data import open_dataset

    name = dataset.name
    if dataset.edition == "mini":
        render_data([dataset], unreported)
        return open_dataset(name, mini_root(dataset.scenes), split, **dataset.options)
    root = data_root(Path(config.data_root) if config.data_root else None)
    return open_dataset(name, root, split, **dataset.options)
