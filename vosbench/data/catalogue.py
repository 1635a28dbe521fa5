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
            "Annotations_unsupervised/480p (other objects), ImageSets/2017/val.txt"
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
    "coco": Entry(
        title="COCO 2017 instances",
        reader="vosbench.data.datasets.coco:Coco",
        kind="training",
        split="train",
        protocol=None,
        size="train: 118287 images, 860001 objects, 18 GB; val: 5000 images, 1 GB",
        layout=(
            "train2017/000000000009.jpg, val2017, annotations/instances_train2017.json and "
            "annotations/instances_val2017.json"
        ),
        licence="annotations CC BY 4.0; images under the terms of Flickr, see the web page",
        citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        url="https://cocodataset.org/#download",
    ),
    "voc2012": Entry(
        title="PASCAL VOC 2012 with SBD",
        reader="vosbench.data.datasets.voc2012:Voc2012",
        kind="training",
        split="train_aug",
        protocol=None,
        size="train_aug: 10582 images; sbd: 11355; train: 1464; val: 1449; 2 GB for VOC, 1.4 GB for SBD",
        layout=(
            "VOCdevkit/VOC2012/JPEGImages, SegmentationClass, SegmentationObject, ImageSets/Segmentation; "
            "benchmark_RELEASE/dataset/cls/NAME.mat, inst/NAME.mat, train.txt, val.txt"
        ),
        licence="images under the terms of Flickr, see the web page",
        citation=(
            "Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010; Hariharan et "
            "al., Semantic Contours from Inverse Detectors, ICCV 2011 (SBD)"
        ),
        url="https://www.robots.ox.ac.uk/~vgg/projects/pascal/VOC/voc2012/index.html",
    ),
    "msra10k": Entry(
        title="MSRA10K",
        reader="vosbench.data.datasets.msra10k:Msra10k",
        kind="training",
        split="train",
        protocol=None,
        size="train: 10000 images, 0.2 GB",
        layout="MSRA10K_Imgs_GT/Imgs/77.jpg with the mask 77.png beside it",
        licence="research, see the web page",
        citation="Cheng et al., Global Contrast Based Salient Region Detection, TPAMI 2015",
        url="https://mmcheng.net/msra10k/",
    ),
    "duts": Entry(
        title="DUTS-TR",
        reader="vosbench.data.datasets.msra10k:Duts",
        kind="training",
        split="train",
        protocol=None,
        size="train: 10553 images, 0.3 GB",
        layout="DUTS-TR/DUTS-TR-Image/NAME.jpg, DUTS-TR/DUTS-TR-Mask/NAME.png",
        licence="see the web page; images of ImageNet under its terms",
        citation="Wang et al., Learning to Detect Salient Objects with Image-Level Supervision, CVPR 2017",
        url="https://saliencydetection.net/duts/",
    ),
    "ilsvrc_vid": Entry(
        title="ImageNet-VID",
        reader="vosbench.data.datasets.ilsvrc_vid:IlsvrcVid",
        kind="training",
        split="train",
        protocol=None,
        size="train: 3862 videos; val: 555 videos; 86 GB",
        layout=(
            "Data/VID/train/ILSVRC2015_VID_train_0000/VIDEO/000000.JPEG, Data/VID/val/VIDEO/000000.JPEG, "
            "Annotations/VID with an XML file per frame"
        ),
        licence="non-commercial research, terms of ImageNet, see the web page",
        citation="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
        url="https://image-net.org/challenges/LSVRC/2015/",
    ),
    "fusionseg_vid": Entry(
        title="ImageNet-VID with masks made as in FusionSeg",
        reader="vosbench.data.datasets.fusionseg_vid:FusionSegVid",
        kind="training",
        split="train",
        protocol=None,
        size="train: 84929 frames in the paper; masks only, the frames are those of ilsvrc_vid",
        layout="Annotations/VIDEO/000012.png and report.json; frames in ../ilsvrc_vid or in JPEGImages/VIDEO",
        licence="terms of ImageNet, see ilsvrc_vid",
        citation=(
            "Jain et al., FusionSeg: Learning to Combine Motion and Appearance for Fully Automatic "
            "Segmentation of Generic Objects in Videos, CVPR 2017"
        ),
        url="https://vision.cs.utexas.edu/projects/fusionseg/",
    ),
    "ytvos": Entry(
        title="YouTube-VOS 2018",
        reader="vosbench.data.datasets.ytvos:YouTubeVos",
        kind="training",
        split="train",
        protocol=None,
        size="train: 3471 videos, every fifth frame labelled; moving_train: 396; moving_val: 101",
        layout=(
            "train/JPEGImages/VIDEO/00000.jpg, train/Annotations/VIDEO/00000.png, train/meta.json; "
            "train_all_frames/JPEGImages with the frames between"
        ),
        licence="annotations CC BY 4.0, see the web page",
        citation="Xu et al., YouTube-VOS: Sequence-to-Sequence Video Object Segmentation, ECCV 2018",
        url="https://youtube-vos.org/dataset/vos/",
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
