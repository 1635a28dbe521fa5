"""Data sets: readers, DataModules, downloads, the miniature world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench.data.catalogue import open_dataset
    from vosbench.data.modules import (
        CatalogueDataModule,
        DAVIS16DataModule,
        DAVIS17DataModule,
        FBMSDataModule,
        FT3DDataModule,
        SegTrackDataModule,
        VideoFolderDataModule,
        YouTubeObjectsDataModule,
    )
    from vosbench.data.video_datamodule import VideoDataModule
    from vosbench.video import Segmentation, Video

__all__ = [
    "CatalogueDataModule",
    "DAVIS16DataModule",
    "DAVIS17DataModule",
    "FBMSDataModule",
    "FT3DDataModule",
    "SegTrackDataModule",
    "Segmentation",
    "Video",
    "VideoDataModule",
    "VideoFolderDataModule",
    "YouTubeObjectsDataModule",
    "open_dataset",
]

__getattr__, __dir__ = lazy(
    "vosbench.data",
    {
        "CatalogueDataModule": "vosbench.data.modules",
        "DAVIS16DataModule": "vosbench.data.modules",
        "DAVIS17DataModule": "vosbench.data.modules",
        "FBMSDataModule": "vosbench.data.modules",
        "FT3DDataModule": "vosbench.data.modules",
        "SegTrackDataModule": "vosbench.data.modules",
        "Segmentation": "vosbench.video",
        "Video": "vosbench.video",
        "VideoDataModule": "vosbench.data.video_datamodule",
        "VideoFolderDataModule": "vosbench.data.modules",
        "YouTubeObjectsDataModule": "vosbench.data.modules",
        "open_dataset": "vosbench.data.catalogue",
    },
)
