"""Data sets that methods are trained on; importing this module imports no reader.

Sizes and checksums of archives are those that public material states (the catalogue of TensorFlow Datasets
for COCO and DAVIS 2017, torchvision for VOC and SBD). Where none is stated they are None: the archive is
then only checked by unpacking it and by opening the data set.
"""

from __future__ import annotations

from vosbench.data.spec import Archive, DatasetSpec, SplitCounts

_FT3D = "https://lmb.informatik.uni-freiburg.de/data/SceneFlowDatasets_CVPR16"
_COCO = "http://images.cocodataset.org"


def _ft3d(path: str, inner: str) -> Archive:
    """A part of FlyingThings3D; the web page offers each as a torrent too (the address with ``.torrent``)."""
    return Archive(f"{_FT3D}/{path}", path.rpartition("/")[2], inner=inner)


TRAINING_SETS = (
    DatasetSpec(
        name="ft3d",
        title="FlyingThings3D",
        reader="vosbench.data.datasets.ft3d:FlyingThings3D",
        files="vosbench.data.datasets.ft3d:expected_files",
        split="train",
        train_split="train",
        test_split="test",
        size="train: 2247 scenes of 10 frames, two eyes; several hundred GB with flow and disparity",
        layout="see the reader: frames, optical flow, disparity, object ids and cameras per scene",
        licence="non-commercial research, see the web page",
        citation=(
            "Mayer et al., A Large Dataset to Train Convolutional Networks for Disparity, Optical "
            "Flow, and Scene Flow Estimation, CVPR 2016"
        ),
        url="https://lmb.informatik.uni-freiburg.de/resources/datasets/SceneFlowDatasets.en.html",
        folders=("FlyingThings3D",),
        marks=("frames_cleanpass", "frames_finalpass"),
        mini="vosbench.data.mini.ft3d:Ft3dMini",
        published=("FT3D",),
        # Instructions in public code state 37 GB of frames (clean pass, PNG) and 311 GB of optical flow.
        archives=(
            _ft3d(
                "CameraData_august16/data/FlyingThings3D/raw_data/flyingthings3d__camera_data.tar",
                "camera_data",
            ),
            _ft3d(
                "Release_april16/data/FlyingThings3D/raw_data/flyingthings3d__frames_cleanpass.tar",
                "frames_cleanpass",
            ),
            _ft3d(
                "Release_april16/data/FlyingThings3D/derived_data/flyingthings3d__disparity.tar.bz2",
                "disparity",
            ),
            _ft3d(
                "Release_april16/data/FlyingThings3D/derived_data/flyingthings3d__disparity_change.tar.bz2",
                "disparity_change",
            ),
            _ft3d(
                "Release_april16/data/FlyingThings3D/derived_data/flyingthings3d__optical_flow.tar.bz2",
                "optical_flow",
            ),
        ),
    ),
    DatasetSpec(
        name="coco",
        title="COCO 2017 instances",
        reader="vosbench.data.datasets.coco:Coco",
        split="train",
        train_split="train",
        size="train: 118287 images, 860001 objects, 18 GB; val: 5000 images, 1 GB",
        layout=(
            "train2017/000000000009.jpg, val2017, annotations/instances_train2017.json and "
            "annotations/instances_val2017.json"
        ),
        licence="annotations CC BY 4.0; images under the terms of Flickr, see the web page",
        citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        url="https://cocodataset.org/#download",
        folders=("COCO2017", "MSCOCO"),
        marks=("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
        mini="vosbench.data.mini.coco:CocoMini",
        archives=(
            Archive(
                f"{_COCO}/annotations/annotations_trainval2017.zip",
                "annotations_trainval2017.zip",
                252_907_541,
                "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
                inner="annotations",
            ),
            Archive(
                f"{_COCO}/zips/val2017.zip",
                "val2017.zip",
                815_585_330,
                "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                inner="val2017",
            ),
            Archive(
                f"{_COCO}/zips/train2017.zip",
                "train2017.zip",
                19_336_861_798,
                "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                inner="train2017",
            ),
        ),
    ),
    DatasetSpec(
        name="voc2012",
        title="PASCAL VOC 2012 with SBD",
        reader="vosbench.data.datasets.voc2012:Voc2012",
        split="train_aug",
        train_split="train_aug",
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
        folders=("VOCdevkit",),
        marks=("VOC2012/ImageSets/Segmentation", "VOCdevkit/VOC2012"),
        mini="vosbench.data.mini.voc2012:Voc2012Mini",
        counts={
            "train": SplitCounts(1464),
            "val": SplitCounts(1449),
            "train_aug": SplitCounts(10582),
            "sbd": SplitCounts(11355),
        },
        archives=(
            # The size is that of the copy in the catalogue of TensorFlow Datasets.
            Archive(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "VOCtrainval_11-May-2012.tar",
                1_999_639_040,
                "md5:6cd6e144f989b92b3379bac3b3de84fd",
                inner="VOCdevkit",
            ),
            Archive(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
                "benchmark.tgz",
                checksum="md5:82b4d87ceb2ed10f6038a1cba92111cb",
                inner="benchmark_RELEASE",
            ),
        ),
    ),
    DatasetSpec(
        name="msra10k",
        title="MSRA10K",
        reader="vosbench.data.datasets.msra10k:Msra10k",
        files="vosbench.data.datasets.msra10k:expected_msra10k",
        split="train",
        train_split="train",
        size="train: 10000 images, 0.2 GB",
        layout="MSRA10K_Imgs_GT/Imgs/77.jpg with the mask 77.png beside it",
        licence="research, see the web page",
        citation="Cheng et al., Global Contrast Based Salient Region Detection, TPAMI 2015",
        url="https://mmcheng.net/msra10k/",
        folders=("MSRA10K_Imgs_GT",),
        marks=("Imgs", "MSRA10K_Imgs_GT"),
        mini="vosbench.data.mini.saliency:Msra10kMini",
        counts={
            "train": SplitCounts(10000),
        },
        # About 195 MB.
        archives=(
            Archive(
                "http://mftp.mmcheng.net/Data/MSRA10K_Imgs_GT.zip",
                "MSRA10K_Imgs_GT.zip",
                inner="MSRA10K_Imgs_GT",
            ),
        ),
    ),
    DatasetSpec(
        name="duts",
        title="DUTS-TR",
        reader="vosbench.data.datasets.msra10k:Duts",
        files="vosbench.data.datasets.msra10k:expected_duts",
        split="train",
        train_split="train",
        size="train: 10553 images, 0.3 GB",
        layout="DUTS-TR/DUTS-TR-Image/NAME.jpg, DUTS-TR/DUTS-TR-Mask/NAME.png",
        licence="see the web page; images of ImageNet under its terms",
        citation="Wang et al., Learning to Detect Salient Objects with Image-Level Supervision, CVPR 2017",
        url="https://saliencydetection.net/duts/",
        folders=("DUTS-TR",),
        marks=("DUTS-TR", "DUTS-TR-Image"),
        mini="vosbench.data.mini.saliency:DutsMini",
        counts={
            "train": SplitCounts(10553),
        },
        archives=(
            Archive("http://saliencydetection.net/duts/download/DUTS-TR.zip", "DUTS-TR.zip", inner="DUTS-TR"),
        ),
    ),
    DatasetSpec(
        name="ilsvrc_vid",
        title="ImageNet-VID",
        reader="vosbench.data.datasets.ilsvrc_vid:IlsvrcVid",
        split="train",
        train_split="train",
        size="train: 3862 videos; val: 555 videos; 86 GB",
        layout=(
            "Data/VID/train/ILSVRC2015_VID_train_0000/VIDEO/000000.JPEG, Data/VID/val/VIDEO/000000.JPEG, "
            "Annotations/VID with an XML file per frame"
        ),
        licence="non-commercial research, terms of ImageNet, see the web page",
        citation="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
        url="https://image-net.org/challenges/LSVRC/2015/",
        folders=("ILSVRC2015", "ILSVRC2015_VID", "ImageNet-VID"),
        marks=("Data/VID",),
        mini="vosbench.data.mini.imagenet_vid:IlsvrcVidMini",
        counts={
            "train": SplitCounts(3862),
            "val": SplitCounts(555),
        },
        # About 92 GB.
        archives=(
            Archive(
                "https://image-net.org/challenges/LSVRC/2015/2015-downloads.php",
                "ILSVRC2015_VID.tar.gz",
                manual="ImageNet gives it out to registered users who accept its terms",
                inner="Data",
            ),
        ),
    ),
    DatasetSpec(
        name="fusionseg_vid",
        title="ImageNet-VID with masks made as in FusionSeg",
        reader="vosbench.data.datasets.fusionseg_vid:FusionSegVid",
        files="vosbench.data.datasets.fusionseg_vid:expected_files",
        split="train",
        train_split="train",
        size="train: 84929 frames in the paper; masks only, the frames are those of ilsvrc_vid",
        layout="Annotations/VIDEO/000012.png and report.json; frames in ../ilsvrc_vid or in JPEGImages/VIDEO",
        licence="terms of ImageNet, see ilsvrc_vid",
        citation=(
            "Jain et al., FusionSeg: Learning to Combine Motion and Appearance for Fully Automatic "
            "Segmentation of Generic Objects in Videos, CVPR 2017"
        ),
        url="https://vision.cs.utexas.edu/projects/fusionseg/",
        mini="vosbench.data.mini.imagenet_vid:FusionSegVidMini",
        made_from="ilsvrc_vid",
    ),
    DatasetSpec(
        name="ytvos",
        title="YouTube-VOS 2018",
        reader="vosbench.data.datasets.ytvos:YouTubeVos",
        files="vosbench.data.datasets.ytvos:expected_files",
        split="train",
        train_split="train",
        size="train: 3471 videos, every fifth frame labelled; moving_train: 396; moving_val: 101",
        layout=(
            "train/JPEGImages/VIDEO/00000.jpg, train/Annotations/VIDEO/00000.png, train/meta.json; "
            "train_all_frames/JPEGImages with the frames between"
        ),
        licence="annotations CC BY 4.0, see the web page",
        citation="Xu et al., YouTube-VOS: Sequence-to-Sequence Video Object Segmentation, ECCV 2018",
        url="https://youtube-vos.org/dataset/vos/",
        folders=("YouTubeVOS", "YouTube-VOS-2018", "YouTubeVOS2018", "YTVOS2018"),
        marks=("train/JPEGImages",),
        mini="vosbench.data.mini.ytvos:YouTubeVosMini",
        counts={
            "train": SplitCounts(3471),
        },
        archives=(
            Archive(
                "https://youtube-vos.org/dataset/vos/",
                "train.zip",
                manual="YouTube-VOS 2018 is given out after registration with its competition server",
                unpack_into="train",
                inner="JPEGImages",
            ),
        ),
    ),
)
