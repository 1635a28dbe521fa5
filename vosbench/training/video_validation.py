"""Validation of a stage on whole videos, under a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vosbench.config import DataConfig, FitConfig, StageConfig
from vosbench.data.catalogue import compared_protocols, dataset_spec, scoring_protocols
from vosbench.data.loading.datamodule import ClipDataModule
from vosbench.data.roots import cache_root
from vosbench.data.video_datamodule import VideoDataModule
from vosbench.errors import InputError
from vosbench.flow import GROUND_TRUTH
from vosbench.method import Task
from vosbench.models.vos_module import VOSModule
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.training.stage_data import OpenSet, open_sets, open_split
from vosbench.video import Video


class VideoValidationDataModule(VideoDataModule):
    """Clips to train on and whole videos to validate on; every video once, on whichever device.

    Args:
        clips: training batches.
        videos: videos of the validation, annotated as the protocol wants it.
        protocol: the rules.
        metrics: of the protocol.
        flow: see `VideoDataModule`; flow that a video comes with is kept.
    """

    def __init__(
        self,
        clips: ClipDataModule,
        videos: Sequence[Video],
        protocol: Protocol,
        metrics: Sequence[str],
        flow: str,
    ) -> None:
        super().__init__(protocol, metrics, flow, cache_root())
        self._clips = clips
        self._videos = videos

    def train_dataloader(self) -> Any:
        """Return the clips."""
        return self._clips.train_dataloader()

    def test_videos(self) -> Sequence[Video]:
        """Return the videos of the validation."""
        return self._videos


def with_whole_videos(
    clips: ClipDataModule,
    config: FitConfig,
    stage: StageConfig,
    sets: Sequence[DataConfig],
    module: VOSModule,
) -> VideoValidationDataModule:
    """Return the data of a stage that is validated on whole videos, at their own size.

    Args:
        clips: training batches.
        config: where data are, and the protocol where one is named.
        stage: whose first flow that is not ground truth the method is given; DIS where all is.
        sets: the data sets of the stage.
        module: the method in the stage.

    Raises:
        InputError: the stage trains nothing that segments videos, nothing is validated on, or no protocol
            fits the data sets and the method.
    """
    if not module.segments:
        raise InputError(
            f"val=videos: stage {module.stage_name} of {module.name} trains nothing that segments a video by "
            "itself: write val=clips"
        )
    validated = [opened for opened in open_sets(config, sets) if opened.val_split is not None]
    if not validated:
        raise InputError(
            "val=videos: data.val_split=null and trainer.limit_val_batches=0 leave no video to validate on"
        )
    protocol = _protocol(config, [opened.config.name for opened in validated], module.task)
    videos = [video for opened in validated for video in _videos(config, opened, protocol)]
    flow = next((name for name in stage.flow if name != GROUND_TRUTH), "dis")
    return VideoValidationDataModule(clips, videos, protocol, _metrics(protocol), flow)


def _protocol(config: FitConfig, datasets: Sequence[str], task: Task) -> Protocol:
    """Return the protocol that is named, or the usual one of all data sets."""
    if config.val_protocol is not None:
        protocol = load_protocol(config.val_protocol)
        for dataset in datasets:
            if protocol.id not in scoring_protocols(dataset):
                raise InputError(f"val_protocol: {protocol.id} is not made for {dataset}")
        return protocol
    usual = {_usual_protocol(dataset, task) for dataset in datasets}
    if len(usual) > 1:
        raise InputError(
            f"val=videos: {', '.join(sorted(set(datasets)))} have no protocol in common: write val=clips, or "
            "val_protocol=NAME of one that is made for all"
        )
    return load_protocol(usual.pop())


def _usual_protocol(dataset: str, task: Task) -> str:
    default = dataset_spec(dataset).protocol
    others = [protocol.id for protocol in compared_protocols(dataset)]
    for name in [default, *others] if default else others:
        if load_protocol(name).task == task:
            return name
    raise InputError(f"val=videos: no protocol is made for {dataset} and {task} methods: write val=clips")


def _metrics(protocol: Protocol) -> Sequence[str]:
    """Return J and F of a protocol, or the IoU that is J there."""
    metrics = [name for name in ("j", "f", "iou") if name in protocol.metrics]
    if not {"j", "iou"} & set(metrics):
        raise InputError(
            f"val=videos: protocol {protocol.id} has no J for best.ckpt to follow: name another with "
            "val_protocol=NAME, or write val=clips"
        )
    return metrics


def _videos(config: FitConfig, opened: OpenSet, protocol: Protocol) -> list[Video]:
    """Return the videos of a validation, annotated as the protocol wants it."""
    assert opened.val_split is not None
    options = {**opened.config.options, **protocol.reader_options(opened.config.name)}
    videos = open_split(config, replace(opened.config, options=options), opened.val_split)
    names = {video.name for video in opened.val}
    return [video for video in videos if video.name in names]
