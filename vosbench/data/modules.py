"""DataModules: clips of a data set for training, its whole videos for validation, test and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
from torch import distributed
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from vosbench.data.catalogue import entry, open_dataset
from vosbench.data.datasets.base import Dataset as VideoDataset
from vosbench.data.hold_out import held_out
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.loading.datamodule import ClipDataModule, Loading, Source
from vosbench.data.protocol_video import ProtocolVideo
from vosbench.data.roots import data_root, mini_root
from vosbench.data.transforms.clip_transforms import Augmentation
from vosbench.errors import InputError, unknown_name
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import FlowEstimator, Precomputed, build_estimator, parse_flow
from vosbench.formats.frame_folder import open_folder
from vosbench.formats.png import read_ids
from vosbench.scoring.protocol import Protocol, load_protocol, protocols
from vosbench.video import LazyMapping, Video

Prepare = Literal["check", "download", "mini"]
_PREPARE: tuple[Prepare, ...] = ("check", "download", "mini")


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
        cache: folder that keeps computed flow; None computes every field again.

    Raises:
        InputError: the protocol scores detections, gives masks of another data set, or has no such metric.
    """

    def __init__(
        self,
        protocol: Protocol,
        metrics: Sequence[str] | None = None,
        flow: str = "dis",
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        if protocol.objects == "detections":
            raise InputError(f"protocol {protocol.id} scores detections, which vosbench compare does")
        if protocol.given:
            raise InputError(
                f"protocol {protocol.id} gives masks of another data set, which vosbench compare does"
            )
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
        """Return a video with its flow, under the protocol."""
        seen = attach_flow(video, self.estimator, self._cache) if len(video) > 1 else video
        return ProtocolVideo(seen, self.protocol, self.metrics)


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
        together = distributed.is_available() and distributed.is_initialized()
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        idle = [_NO_VIDEO] if rank >= count > 0 else []
        self._mine = [*range(rank, count, world), *idle]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine)

    def set_epoch(self, epoch: int) -> None:
        """Keep the order, whatever the epoch."""


class CatalogueDataModule(VideoDataModule):
    """Data set of the catalogue: clips of its training split, whole videos of its evaluation split.

    Args:
        root: folder that holds data sets, the files being in ``root / name``; None: ``$VOSBENCH_DATA``, else
            ``./data``, or the cache for miniatures.
        protocol: id; the usual one of the data set when None.
        split: of the test; that of the protocol when None.
        train_split: of the training; the usual one when None.
        hold_out: videos of the training split to validate on, a share or names, see `held_out`; None: none.
        prepare: ``"check"`` says what is missing, ``"download"`` fetches the data set from its authors,
            ``"mini"`` renders its miniature.
        scenes: of a miniature; None for the default number.
        clips: how training clips are cut, and with which flow.
        transform: applied to each training clip.
        loading: how batches of clips are made.
        metrics, flow, cache: see `VideoDataModule`.

    Raises:
        InputError: an unknown protocol or one not made for the data set, or a value outside its choices.
    """

    dataset: ClassVar[str]
    train: ClassVar[str | None] = "train"
    test: ClassVar[str | None] = None

    def __init__(
        self,
        root: str | Path | None = None,
        protocol: str | None = None,
        *,
        split: str | None = None,
        train_split: str | None = None,
        hold_out: float | Sequence[str] | None = None,
        prepare: Prepare = "check",
        scenes: int | None = None,
        clips: ClipSettings | None = None,
        transform: Augmentation | None = None,
        loading: Loading | None = None,
        metrics: Sequence[str] | None = None,
        flow: str = "dis",
        cache: Path | None = None,
    ) -> None:
        if prepare not in _PREPARE:
            raise unknown_name("way to prepare data", prepare, _PREPARE)
        chosen = load_protocol(protocol or self._usual_protocol())
        if self.dataset not in chosen.datasets:
            choices = ", ".join(known.id for known in protocols(self.dataset))
            raise InputError(f"protocol {chosen.id} is not made for {self.dataset}: choose from {choices}")
        super().__init__(chosen, metrics, flow, cache)
        self.root = (
            mini_root(scenes)
            if prepare == "mini" and root is None
            else data_root(None if root is None else Path(root))
        )
        self.split = split or chosen.split or self.test or entry(self.dataset).split
        self.train_split = train_split or self.train
        self._hold_out = hold_out
        self._prepare: Prepare = prepare
        self._scenes = scenes
        self._clips = clips or ClipSettings()
        self._transform = transform
        self._loading = loading or Loading()
        self._fitting = False

    def prepare_data(self) -> None:
        """Render the miniature or download the data set, where that was asked for.

        Raises:
            InputError: the data set is not there, or cannot be had.
        """
        if self._prepare == "mini":
            from vosbench.data.mini import ensure_mini

            ensure_mini(self.dataset, self.root, scenes=self._scenes)
        elif self._prepare == "download" and not (self.root / self.dataset).is_dir():
            from vosbench.data.download.fetch import fetch

            fetch(self.dataset, self.root)

    def setup(self, stage: str) -> None:
        """Open what the stage reads.

        Raises:
            InputError: the data set is not there, or not in its official layout.
        """
        self._fitting = stage == "fit"
        _ = self._training if self._fitting else self._testing

    @cached_property
    def _testing(self) -> VideoDataset:
        return open_dataset(self.dataset, self.root, self.split, **self.protocol.reader_options(self.dataset))

    def test_videos(self) -> Sequence[Video]:
        """Return the videos of the split under the protocol.

        Raises:
            InputError: the data set is not there.
        """
        return self._testing

    @cached_property
    def _training(self) -> tuple[list[Video], list[Video]]:
        """Videos to train on, and those held out."""
        if self.train_split is None:
            raise InputError(f"{self.dataset} has no training split: it is a test set")
        videos = list(open_dataset(self.dataset, self.root, self.train_split))
        names = [video.name for video in videos]
        kept = frozenset[str]() if self._hold_out is None else held_out(names, self._hold_out)
        return [v for v in videos if v.name not in kept], [v for v in videos if v.name in kept]

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled clips of the training split, without videos held out.

        Raises:
            InputError: the data set has no training split, or no video has such a clip.
        """
        source = Source(self._training[0], self._clips, self._transform)
        return ClipDataModule([source], loading=self._loading).train_dataloader()

    def val_videos(self) -> Sequence[Video]:
        """Return, while training, the videos held out of the training split, otherwise those of the test."""
        return self._training[1] if self._fitting else self._testing

    def _usual_protocol(self) -> str:
        usual = entry(self.dataset).protocol
        return usual or protocols(self.dataset)[0].id


class DAVIS16DataModule(CatalogueDataModule):
    """DAVIS 2016 (Perazzi et al., CVPR 2016)."""

    dataset = "davis16"


class DAVIS17DataModule(CatalogueDataModule):
    """DAVIS 2017 (Pont-Tuset et al., 2017)."""

    dataset = "davis17"


class FBMSDataModule(CatalogueDataModule):
    """FBMS-59 (Ochs, Malik, Brox, TPAMI 2014)."""

    dataset = "fbms"


class SegTrackDataModule(CatalogueDataModule):
    """SegTrack-v2 (Li et al., ICCV 2013), a test set."""

    dataset = "segtrack"
    train = None


class YouTubeObjectsDataModule(CatalogueDataModule):
    """YouTube-Objects (Prest et al., CVPR 2012; Jain and Grauman, ECCV 2014), a test set."""

    dataset = "youtube_objects"
    train = None


class FT3DDataModule(CatalogueDataModule):
    """FlyingThings3D (Mayer et al., CVPR 2016)."""

    dataset = "ft3d"
    test = "test"


class VideoFolderDataModule(VideoDataModule):
    """Videos of one's own: a folder of frames per video, and a folder of masks beside.

    Args:
        frames: holds ``VIDEO/FRAME.jpg``, or images of other kinds.
        masks: holds ``VIDEO/FRAME.png`` for frames that are annotated; None: there is no ground truth, which
            `predict_dataloader` of unsupervised methods does without.
        protocol: id of the rules of a test.
        metrics, flow, cache: see `VideoDataModule`.

    Raises:
        InputError: no such folder, an unknown protocol, or frames or masks that cannot be used.
    """

    def __init__(
        self,
        frames: str | Path,
        masks: str | Path | None = None,
        protocol: str = "davis16-unsupervised",
        *,
        metrics: Sequence[str] | None = None,
        flow: str = "dis",
        cache: Path | None = None,
    ) -> None:
        super().__init__(load_protocol(protocol), metrics, flow, cache)
        self._frames = Path(frames)
        self._masks = None if masks is None else Path(masks)

    @cached_property
    def _videos(self) -> list[Video]:
        for folder in (self._frames, self._masks):
            if folder is not None and not folder.is_dir():
                raise InputError(f"{folder}: no such folder")
        folders = sorted(path for path in self._frames.iterdir() if path.is_dir())
        if not folders:
            raise InputError(f"{self._frames}: holds no folders of frames, one per video")
        return [_annotated(open_folder(folder), self._masks) for folder in folders]

    def test_videos(self) -> Sequence[Video]:
        """Return the videos, in the order of their names."""
        return self._videos


def _annotated(video: Video, masks: Path | None) -> Video:
    if masks is None:
        return video
    paths = {
        index: masks / video.name / f"{name}.png"
        for index, name in enumerate(video.frame_names)
        if (masks / video.name / f"{name}.png").is_file()
    }
    if not paths:
        raise InputError(f"{masks / video.name}: no mask FRAME.png for any frame of {video.name}")
    return replace(video, annotations=LazyMapping(lambda index: read_ids(paths[index]), paths))
