"""Batches for a training stage: frame pairs of any data set of Videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vosbench.data.transforms import (
    Clip,
    chance,
    degrade_flow,
    mirror,
    move_camera,
    random_crop,
    rescale,
    stop_camera,
)
from vosbench.data.video import FlowField, Video
from vosbench.errors import InputError
from vosbench.flow.estimators import FlowEstimator

Batch = dict[str, Tensor]
Augmentation = Callable[[Clip], Clip]


@dataclass(frozen=True)
class PairSettings:
    """How frame pairs are read.

    Attributes:
        flow: estimators, None for ground truth; every pair comes once with each. Empty: no flow.
        scale: factor on frames and flow.
        in_memory: keep every pair once it was read and scaled.
    """

    flow: tuple[FlowEstimator | None, ...] = (None,)
    scale: float = 1.0
    in_memory: bool = False


class FramePairs(Dataset[Batch]):
    """Every annotated frame with its successor.

    An item is a dict: ``frames`` (2, 3, H, W) uint8, ``mask`` (H, W) uint8 ids of the first frame,
    ``flow`` (2, H, W) float32 pixels from the first to the second, unless no flow is asked for.

    Args:
        videos: videos with annotations, and ground-truth flow if that is asked for.
        settings: how pairs are read.
        transform: applied to each clip after scaling.

    Raises:
        InputError: no video has an annotated pair, or ground-truth flow is asked for and missing.
    """

    def __init__(
        self, videos: Sequence[Video], settings: PairSettings, transform: Augmentation | None = None
    ) -> None:
        self._videos = videos
        self._settings = settings
        self._transform = transform
        self._kept: dict[int, Clip] = {}
        self._pairs = [
            (index, frame, source)
            for index, video in enumerate(videos)
            for frame in video.annotations
            if frame + 1 < len(video)
            for source in (settings.flow or (None,))
        ]
        if not self._pairs:
            raise InputError(f"none of the {len(videos)} videos has an annotated frame with a successor")
        if None in settings.flow:
            self._require_flow()

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Batch:
        clip = self._kept.get(index)
        if clip is None:
            clip = rescale(self._read(index), self._settings.scale)
            if self._settings.in_memory:
                self._kept[index] = clip
        if self._transform is not None:
            clip = self._transform(clip)
        item = {"frames": clip.frames, "mask": clip.masks[0]}
        if clip.flow is not None:
            item["flow"] = clip.flow[0]
        return item

    def _read(self, index: int) -> Clip:
        number, frame, source = self._pairs[index]
        video = self._videos[number]
        frames = np.stack([video.frames[frame], video.frames[frame + 1]])
        flow = None
        if self._settings.flow:
            flow = torch.from_numpy(self._flow(video, frame, source))[None]
        masks = torch.from_numpy(np.array(video.annotations[frame]))[None]
        return Clip(torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(), masks, flow)

    def _flow(self, video: Video, frame: int, source: FlowEstimator | None) -> FlowField:
        if source is not None:
            return source(video.frames[frame], video.frames[frame + 1])
        assert video.flow is not None
        return np.array(video.flow[frame], dtype=np.float32)

    def _require_flow(self) -> None:
        for video in self._videos:
            if video.flow is None:
                raise InputError(
                    f"video {video.name} has no ground-truth flow: name an estimator, e.g. flow=[dis]"
                )


@dataclass(frozen=True)
class TrainTransform:
    """Random crop and augmentation of a training clip.

    Attributes:
        crop: (height, width), pixels.
        mirror: mirror half of the clips.
        camera: probability of another camera: one in five stands still (`stop_camera`), the others
            move (`move_camera`).
        degrade: probability of `vosbench.data.transforms.degrade_flow`.
    """

    crop: tuple[int, int]
    mirror: bool = True
    camera: float = 0.0
    degrade: float = 0.0

    def __call__(self, clip: Clip) -> Clip:
        """Return a random variant of `clip`."""
        clip = random_crop(clip, *self.crop)
        if self.mirror and chance(0.5):
            clip = mirror(clip)
        if chance(self.camera):
            clip = stop_camera(clip) if chance(0.2) else move_camera(clip)
        if chance(self.degrade):
            clip = degrade_flow(clip)
        return clip


class PairDataModule(pl.LightningDataModule):
    """Frame pairs of a stage.

    Args:
        train: videos to train on.
        val: videos to validate on; their pairs are not augmented.
        settings: how pairs are read.
        batch_size: pairs per batch.
        transform: applied to training clips.
        workers: processes that read.
    """

    def __init__(
        self,
        train: Sequence[Video],
        val: Sequence[Video],
        settings: PairSettings,
        *,
        batch_size: int,
        transform: Augmentation | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self._batch_size = batch_size
        self._workers = workers
        self._train = FramePairs(train, settings, transform)
        self._val = FramePairs(val, settings)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled, augmented pairs."""
        return DataLoader(
            self._train,
            self._batch_size,
            shuffle=True,
            # batch normalisation of a last batch of one would fail
            drop_last=len(self._train) > self._batch_size,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return whole pairs, one by one since videos may differ in size."""
        return DataLoader(self._val, 1, num_workers=self._workers, persistent_workers=self._workers > 0)
