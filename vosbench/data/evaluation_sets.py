"""Data sets that methods are compared on; importing this module imports no reader.

Sizes and checksums of archives are those that public material states (the catalogue of TensorFlow Datasets
for COCO and DAVIS 2017, torchvision for VOC and SBD). Where none is stated they are None: the archive is
then only checked by unpacking it and by opening the data set.
"""

from __future__ import annotations

from vosbench.data.spec import Archive, DatasetSpec, SplitCounts

_DAVIS17 = "https://data.vision.ee.ethz.ch/csergi/share/davis"
_FBMS = "https://lmb.informatik.uni-freiburg.de/resources/datasets/fbms"
_YOUTUBE = "https://data.vision.ee.ethz.ch/cvl/youtube-objects/categories"
_CLASSES = ("aeroplane", "bird", "boat", "car", "cat", "cow", "dog", "horse", "motorbike", "train")

EVALUATION_SETS = (
    DatasetSpec(
        name="davis16",
        title="DAVIS 2016",
        reader="vosbench.data.datasets.davis:Davis2016",
        files="vosbench.data.datasets.davis:expected_files",
        split="val",
        train_split="train",
        protocol="davis16-unsupervised",
        size="val: 20 sequences, 1376 frames; train: 30 sequences, 2079 frames; 1.9 GB with 1080p",
        layout="JPEGImages/480p/SEQ/00000.jpg, Annotations/480p/SEQ/00000.png, ImageSets/480p/val.txt",
        licence="non-commercial research, see the web page",
        citation=(
            "Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object "
            "Segmentation, CVPR 2016"
        ),
        url="https://davischallenge.org/davis2016/code.html",
        folders=("DAVIS2016", "DAVIS", "DAVIS-data"),
        marks=("ImageSets/480p", "ImageSets/1080p"),
        # of DAVIS 2017, whose masks, objects merged, equal those of 2016 on the first frames of val
        weak_marks=("ImageSets/2016",),
        mini="vosbench.data.mini.davis16:Davis16Mini",
        counts={
            "train": SplitCounts(30, 2079),
            "val": SplitCounts(20, 1376),
            "trainval": SplitCounts(50, 3455),
        },
        published=("DAVIS16",),
        published_splits={"all50": "trainval"},
        mini_scenes=40,
        # About 1.9 GB with 1080p. The addresses of old scripts carry several md5 sums, none for today's file.
        archives=(
            Archive(
                "https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",
                "DAVIS-data.zip",
                inner="JPEGImages",
            ),
        ),
    ),
    DatasetSpec(
        name="davis17",
        title="DAVIS 2017",
        reader="vosbench.data.datasets.davis17:Davis2017",
        files="vosbench.data.datasets.davis17:expected_files",
        split="val",
        train_split="train",
        protocol="davis17-semi-supervised",
        size="val: 30 sequences, 1999 frames, 61 objects; train: 60 sequences; about 0.8 GB at 480p",
        layout=(
            "JPEGImages/480p/SEQ/00000.jpg, Annotations/480p/SEQ/00000.png (ids), "
            "Annotations_unsupervised/480p (other objects), ImageSets/2017/val.txt"
        ),
        licence="see the web page",
        citation="Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object Segmentation, 2017",
        url="https://davischallenge.org/davis2017/code.html",
        folders=(
            "DAVIS2017",
            "DAVIS",
            "DAVIS-2017-trainval",
            "DAVIS-2017-trainval-480p",
            "DAVIS-2017-Unsupervised-trainval-480p",
        ),
        marks=("ImageSets/2017",),
        mini="vosbench.data.mini.davis17:Davis17Mini",
        counts={
            "train": SplitCounts(60),
            "val": SplitCounts(30, 1999),
        },
        published=("DAVIS17",),
        # the paper kept 23 sequences, the released list has 22
        published_splits={"moving_val (23 of 30)": "moving_val"},
        archives=(
            Archive(
                f"{_DAVIS17}/DAVIS-2017-trainval-480p.zip",
                "DAVIS-2017-trainval-480p.zip",
                832_766_765,
                "sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
                inner="JPEGImages",
            ),
            Archive(
                f"{_DAVIS17}/DAVIS-2017-Unsupervised-trainval-480p.zip",
                "DAVIS-2017-Unsupervised-trainval-480p.zip",
                inner="Annotations_unsupervised",
            ),
        ),
    ),
    DatasetSpec(
        name="fbms",
        title="FBMS-59",
        reader="vosbench.data.datasets.fbms:Fbms59",
        files="vosbench.data.datasets.fbms:expected_files",
        split="test",
        train_split="train",
        protocol="fbms-proposed",
        size="test: 30 sequences; train: 29 sequences; 720 labelled frames in both",
        layout=(
            "Testset/SEQ/*.jpg, Testset/SEQ/GroundTruth/*Def.dat with *.ppm or *.pgm, Trainingset; "
            "moving-only labels: FBMS-3D/Testset/SEQ/GroundTruth/*.png"
        ),
        licence="research, see the web page",
        citation="Ochs et al., Segmentation of Moving Objects by Long Term Video Analysis, TPAMI 2014",
        url="https://lmb.informatik.uni-freiburg.de/resources/datasets/moseg.en.html",
        folders=("FBMS59",),
        marks=("Testset", "Trainingset"),
        mini="vosbench.data.mini.fbms:FbmsMini",
        counts={
            "train": SplitCounts(29),
            "test": SplitCounts(30),
        },
        published=("FBMS59",),
        archives=(
            Archive(f"{_FBMS}/FBMS_Trainingset.zip", "FBMS_Trainingset.zip", inner="Trainingset"),
            Archive(f"{_FBMS}/FBMS_Testset.zip", "FBMS_Testset.zip", inner="Testset"),
        ),
    ),
    DatasetSpec(
        name="segtrack",
        title="SegTrack-v2",
        reader="vosbench.data.datasets.segtrack:SegTrackV2",
        files="vosbench.data.datasets.segtrack:expected_files",
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
        folders=("SegTrackv2",),
        marks=("GroundTruth",),
        mini="vosbench.data.mini.segtrack:SegTrackMini",
        counts={
            "all": SplitCounts(14),
        },
        published=("SegTrack-v2",),
        published_splits={"all14": "all"},
        # About 200 MB.
        archives=(
            Archive(
                "https://web.engr.oregonstate.edu/~lif/SegTrack2/SegTrackv2.zip",
                "SegTrackv2.zip",
                inner="JPEGImages",
            ),
        ),
    ),
    DatasetSpec(
        name="youtube_objects",
        title="YouTube-Objects",
        reader="vosbench.data.datasets.youtube_objects:YouTubeObjects",
        files="vosbench.data.datasets.youtube_objects:expected_files",
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
        folders=("YTO",),
        marks=("youtube_masks", "v1"),
        mini="vosbench.data.mini.youtube_objects:YouTubeObjectsMini",
        counts={
            "all": SplitCounts(126),
        },
        published=("YouTube-Objects",),
        published_splits={"all126": "all"},
        archives=(
            Archive(
                "http://vision.cs.utexas.edu/projects/videoseg/data_download_register.html",
                "youtube_masks.tar.gz",
                manual="the masks are given out after registration",
                inner="youtube_masks",
            ),
            *(
                Archive(f"{_YOUTUBE}/{name}.tar.gz", f"{name}.tar.gz", unpack_into="v1", inner=name)
                for name in _CLASSES
            ),
        ),
    ),
)
