"""What is known about each data set before it is opened; importing this imports no reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vosbench.errors import unknown_name

if TYPE_CHECKING:
    from vosbench.data.datasets.base import Dataset


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes:
        title: its name in papers.
        reader: import path ``"module:Class"`` of a `Dataset` subclass.
        kind: ``"evaluation"`` sets appear in comparisons; ``"training"`` sets only feed `fit`.
        split: the split used when none is chosen.
        protocol: id of the default protocol; None for training sets.
        size: sequences and frames of the default split, and megabytes, in words.
        layout: the files inside ``<root>/<name>``.
        licence: the terms of the data.
        citation: authors, title, venue, year.
        url: where to get it.
    """

    title: str
    reader: str
    kind: Literal["evaluation", "training"]
    split: str
    protocol: str | None
    size: str
    layout: str
    licence: str
    citation: str
    url: str


CATALOGUE: Mapping[str, Entry] = {
    "davis16": Entry(
        title="DAVIS 2016",
        reader="vosbench.data.datasets.davis:Davis2016",
        kind="evaluation",
        split="val",
        protocol="davis16-unsupervised",
        size="val: 20 sequences, 1376 frames; train: 30 sequences, 2079 frames; 1.9 GB with 1080p",
        layout="JPEGImages/480p/SEQ/00000.jpg, Annotations/480p/SEQ/00000.png, ImageSets/480p/val.txt",
        licence="non-commercial research, see the web page",
        citation=(
            "Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object "
            "Segmentation, CVPR 2016"
        ),
        url="https://davischallenge.org/davis2016/code.html",
    ),
    "davis17": Entry(
        title="DAVIS 2017",
        reader="vosbench.data.datasets.davis17:Davis2017",
        kind="evaluation",
        split="val",
        protocol="davis17-semi-supervised",
        size="val: 30 sequences, 1999 frames, 61 objects; train: 60 sequences; about 0.8 GB at 480p",
        layout=(
            "JPEGImages/480p/SEQ/00000.jpg, Annotations/480p/SEQ/00000.png (ids), "
            "Annotations_unsupervised/480p, ImageSets/2017/val.txt"
        ),
        licence="see the web page",
        citation="Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object Segmentation, 2017",
        url="https://davischallenge.org/davis2017/code.html",
    ),
    "fbms": Entry(
        title="FBMS-59",
        reader="vosbench.data.datasets.fbms:Fbms59",
        kind="evaluation",
        split="test",
        protocol="fbms-proposed",
        size="test: 30 sequences; train: 29 sequences; 720 labelled frames in both",
        layout=(
            "Testset/SEQ/*.jpg, Testset/SEQ/GroundTruth/*Def.dat with *.ppm or *.pgm, Trainingset; "
            "moving-only labels: FBMS-3D/Testset/SEQ/GroundTruth/*.png"
        ),
        licence="research, see the web page",
        citation="Ochs et al., Segmentation of Moving Objects by Long Term Video Analysis, TPAMI 2014",
        url="https://lmb.informatik.uni-freiburg.de/resources/datasets/moseg.en.html",
    ),
    "segtrack": Entry(
        title="SegTrack-v2",
        reader="vosbench.data.datasets.segtrack:SegTrackV2",
        kind="evaluation",
        split="all",
        protocol="segtrack-iou",
        size="all: 14 sequences, 976 frames, 24 objects",
        layout=(
            "JPEGImages/SEQ/*.png, GroundTruth/SEQ/*.png or GroundTruth/SEQ/1/*.png per object, "
            "ImageSets/all.txt"
        ),
        licence="see the web page",
        citation="Li et al., Video Segmentation by Tracking Many Figure-Ground Segments, ICCV 2013",
        url="https://web.engr.oregonstate.edu/~lif/SegTrack2/dataset.html",
    ),
    "youtube_objects": Entry(
        title="YouTube-Objects",
        reader="vosbench.data.datasets.youtube_objects:YouTubeObjects",
        kind="evaluation",
        split="all",
        protocol="youtube-objects-unsupervised",
        size="all: 126 videos of 10 classes, more than 20000 frames, about every tenth labelled",
        layout=(
            "youtube_masks/CLASS/data/0001/shots/001/labels/00001.jpg with frames in "
            "v1/CLASS/data/0001/shots/001/frame0001.jpg; or JPEGImages/CLASS_0001, Annotations/CLASS_0001"
        ),
        licence="see the web page",
        citation=(
            "Jain and Grauman, Supervoxel-Consistent Foreground Propagation in Video, ECCV 2014 (masks); "
            "Prest et al., Learning Object Class Detectors from Weakly Annotated Video, CVPR 2012 (videos)"
        ),
        url="https://vision.cs.utexas.edu/projects/videoseg/",
    ),
    "ft3d": Entry(
        title="FlyingThings3D",
        reader="vosbench.data.datasets.ft3d:FlyingThings3D",
        kind="training",
        split="train",
        protocol=None,
        size="train: 2247 scenes of 10 frames, two eyes; several hundred GB with flow and disparity",
        layout="see the reader: frames, optical flow, disparity, object ids and cameras per scene",
        licence="non-commercial research, see the web page",
        citation=(
            "Mayer et al., A Large Dataset to Train Convolutional Networks for Disparity, Optical "
            "Flow, and Scene Flow Estimation, CVPR 2016"
        ),
        url="https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html",
    ),
}


def entry(name: str) -> Entry:
    """Return what is known about a data set.

    Raises:
        InputError: no data set has this name.
    """
    if name not in CATALOGUE:
        raise unknown_name("data set", name, CATALOGUE)
    return CATALOGUE[name]


def open_dataset(name: str, root: Path, split: str | None = None, **options: Any) -> Dataset:
    """Open a data set and check that its files are there; frames are read when indexed.

    Args:
        name: catalogue name, e.g. ``"davis16"``.
        root: the data root; the files are in ``root / name``.
        split: e.g. ``"val"``; the default split when None.
        options: passed to the reader, e.g. ``resolution="1080p"``.

    Raises:
        InputError: unknown name or split, or files are missing.
    """
    known = entry(name)
    module, _, reader = known.reader.partition(":")
    dataset: Dataset = getattr(import_module(module), reader)(Path(root), split or known.split, **options)
    return dataset
