"""DataModule base: whole videos under a protocol, one a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from vosbench.data.loading.mixing import rank_and_world
from vosbench.flow.estimators import FlowEstimator, Precomputed, build_estimator, parse_flow
from vosbench.flow.timed import TimedFlow
from vosbench.given import Given, first_labelled
from vosbench.scoring.evaluate import ProtocolVideo
from vosbench.scoring.protocol import Protocol
from vosbench.video import Video


class VideoDataModule(pl.LightningDataModule, ABC):
    """Videos under a protocol; on several devices every video is tested, or predicted, exactly once.

    `test_dataloader`, `val_dataloader` and `predict_dataloader` give a `ProtocolVideo` a step, frames being
    read when they are looked at. Flow is computed when it is read, so methods that need none cost none.
    With more devices than videos, a device without a video gets None once: Lightning would leave the device
    out of the evaluation, and the others would wait for its values.

    Args:
        protocol: the rules of the test.
        metrics: of the protocol; all when None.
        flow: estimator, e.g. ``"dis"`` or ``"raft:WEIGHTS"``, or a folder of flow files.
        cache: folder that keeps computed flow; None keeps the flow of a video while it is in use.

    Raises:
        InputError: the protocol has no such metric.
    """

    def __init__(
        self,
        protocol: Protocol,
        metrics: Sequence[str] | None = None,
        flow: str = "dis",
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        self.protocol = protocol
        self.metrics = protocol.choose_metrics(None if metrics is None else tuple(metrics))
        self._flow = flow
        self._cache = cache

    @cached_property
    def estimator(self) -> FlowEstimator | Precomputed:
        """The estimator of optical flow."""
        name, settings = parse_flow(self._flow)
        return build_estimator(name, **settings)

    @abstractmethod
    def test_videos(self) -> Sequence[Video]:
        """Return the videos of the test, annotated as the protocol wants it."""

    def val_videos(self) -> Sequence[Video]:
        """Return the videos of the validation; those of the test by default."""
        return self.test_videos()

    def test_dataloader(self) -> DataLoader[ProtocolVideo | None]:
        """Return every video of the test once, on whichever device."""
        return self._whole(self.test_videos())

    def val_dataloader(self) -> DataLoader[ProtocolVideo | None] | list[Any]:
        """Return every video of the validation once; an empty list when there is none."""
        videos = self.val_videos()
        return self._whole(videos) if len(videos) else []

    def predict_dataloader(self) -> DataLoader[ProtocolVideo | None]:
        """Return the videos of the test."""
        return self.test_dataloader()

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Leave whole videos where they are: methods move what they need, frame by frame."""
        if isinstance(batch, ProtocolVideo):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _whole(self, videos: Sequence[Video]) -> DataLoader[ProtocolVideo | None]:
        return DataLoader(
            _ProtocolVideos(videos, self), batch_size=None, sampler=_EveryVideoOnce(len(videos))
        )

    def under_protocol(self, video: Video) -> ProtocolVideo:
        """Return a video with its flow and its first mask, under the protocol.

        Raises:
            InputError: the protocol gives a mask that is not there.
        """
        own = video.flow is not None or len(video) < 2
        flow = TimedFlow(video, None if own else self.estimator, self._cache)
        return ProtocolVideo(flow.video, self.protocol, self.metrics, self.given(video), flow)

    def given(self, video: Video) -> Given | None:
        """Return the first mask of a video; None under protocols of unsupervised methods.

        Raises:
            InputError: there is no such mask.
        """
        return first_labelled(video) if self.protocol.task == "semi-supervised" else None


_NO_VIDEO = -1


class _ProtocolVideos(Dataset[ProtocolVideo | None]):
    """Whole videos, one a step; None at index `_NO_VIDEO`."""

    def __init__(self, videos: Sequence[Video], module: VideoDataModule) -> None:
        self._videos = videos
        self._module = module

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> ProtocolVideo | None:
        if index == _NO_VIDEO:
            return None
        return self._module.under_protocol(self._videos[index])


class _EveryVideoOnce(DistributedSampler[int]):
    """Indices of the videos of this device; Lightning leaves the sampler in place.

    Unlike its base, no video comes twice when their number is no multiple of that of the devices.
    """

    def __init__(self, count: int) -> None:
        rank, world = rank_and_world()
        idle = [_NO_VIDEO] if rank >= count > 0 else []
        self._mine = [*range(rank, count, world), *idle]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine)
