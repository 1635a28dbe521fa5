"""DataModules: clips of a data set for training, its whole videos for validation, test and prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from torch.utils.data import DataLoader

from vosbench.data.catalogue import dataset_spec, open_dataset, scoring_protocols
from vosbench.data.datasets.base import Dataset
from vosbench.data.datasets.folders import subfolders
from vosbench.data.datasets.video_folders import folder_video
from vosbench.data.given_mask import given_mask
from vosbench.data.hold_out import held_out
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.loading.datamodule import ClipDataModule, Loading, Source
from vosbench.data.places import find_folder
from vosbench.data.roots import data_root, mini_root
from vosbench.data.transforms.clip_transforms import Augmentation
from vosbench.data.video_datamodule import VideoDataModule
from vosbench.errors import InputError, check_name
from vosbench.given import Given
from vosbench.scoring.protocol import load_protocol
from vosbench.video import Video

Prepare = Literal["check", "download", "mini"]


class CatalogueDataModule(VideoDataModule):
    """Any data set of the catalogue: clips of its training split, whole videos of its evaluation split.

    Args:
        root: folder that holds data sets, the files being in ``root / name``; None: ``$VOSBENCH_DATA``, else
            ``./data``, or the cache for miniatures.
        protocol: id; the usual one of the data set when None.
        dataset: name in the catalogue; needed where no subclass names it.
        split: of the test; that of the protocol when None.
        train_split: of the training; the usual one when None.
        hold_out: videos of the training split to validate on, a share or names, see `held_out`; None: none.
        prepare: ``"check"`` reports what is missing, ``"download"`` fetches the data set from its authors,
            ``"mini"`` renders its miniature.
        scenes: of a miniature; None for the default number.
        clips: how training clips are cut, and with which flow.
        transform: applied to each training clip.
        loading: how batches of clips are made.
        metrics, flow, cache: see `VideoDataModule`.

    Raises:
        InputError: an unknown data set or protocol, one without protocols, a protocol that is
            not made for the data set, or a value outside its choices.
    """

    dataset: str = ""

    def __init__(
        self,
        root: str | Path | None = None,
        protocol: str | None = None,
        *,
        dataset: str = "",
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
        check_name("way to prepare data", prepare, get_args(Prepare))
        self.dataset = dataset or self.dataset
        spec, choices = dataset_spec(self.dataset), scoring_protocols(self.dataset)
        if not choices:
            raise InputError(f"{self.dataset} has no protocol: methods are only trained on it")
        selected = load_protocol(protocol or spec.protocol or choices[0])
        if selected.id not in choices:
            raise InputError(
                f"protocol {selected.id} is not made for {self.dataset}: choose from {', '.join(choices)}"
            )
        super().__init__(selected, metrics, flow, cache)
        self.root = (
            mini_root(scenes)
            if prepare == "mini" and root is None
            else data_root(None if root is None else Path(root))
        )
        self.split = split or selected.split or spec.test_split or spec.split
        self.train_split = train_split or spec.train_split
        self._hold_out = hold_out
        self._prepare: Prepare = prepare
        self._scenes = scenes
        self._clips = clips or ClipSettings()
        self._transform = transform
        self._loading = loading or Loading()
        self._fitting = False
        self._given_videos: Mapping[str, Video] | None = None

    def prepare_data(self) -> None:
        """Render the miniature or download the data set, where that was asked for.

        Raises:
            InputError: the data set is not there, or cannot be had.
        """
        if self._prepare == "mini":
            from vosbench.data.mini import ensure_mini

            ensure_mini(self.dataset, self.root, scenes=self._scenes)
        elif self._prepare == "download" and not find_folder(self.root, self.dataset).is_dir():
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
    def _testing(self) -> Dataset:
        return open_dataset(self.dataset, self.root, self.split, **self.protocol.reader_options(self.dataset))

    def test_videos(self) -> Sequence[Video]:
        """Return the videos of the split under the protocol.

        Raises:
            InputError: the data set is not there.
        """
        return self._testing

    def given(self, video: Video) -> Given | None:
        """Return the first mask of a video, which may be that of another data set.

        Raises:
            InputError: there is no such mask, or the mask covers other pixels than the ground truth.
        """
        if not self.protocol.given:
            return super().given(video)
        return given_mask(video, self.protocol, self._testing, self._open_split)

    def _open_split(self, name: str, split: str) -> Mapping[str, Video]:
        if self._given_videos is None:
            self._given_videos = {video.name: video for video in open_dataset(name, self.root, split)}
        return self._given_videos

    @cached_property
    def _training(self) -> tuple[list[Video], list[Video]]:
        """Videos to train on, and held-out videos."""
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
        """Return, while training, the videos held out of the training split, otherwise the test videos."""
        return self._training[1] if self._fitting else self._testing


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


class YouTubeObjectsDataModule(CatalogueDataModule):
    """YouTube-Objects (Prest et al., CVPR 2012; Jain and Grauman, ECCV 2014), a test set."""

    dataset = "youtube_objects"


class FT3DDataModule(CatalogueDataModule):
    """FlyingThings3D (Mayer et al., CVPR 2016)."""

    dataset = "ft3d"


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
        folders = subfolders(self._frames)
        if not folders:
            raise InputError(f"{self._frames}: holds no folders of frames, one per video")
        return [folder_video(self._frames / name, self._masks) for name in folders]

    def test_videos(self) -> Sequence[Video]:
        """Return the videos, in the order of their names."""
        return self._videos
