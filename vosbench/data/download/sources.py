"""Where the archives of each data set are, as its authors publish them; importing this imports no reader.

Sizes and checksums are those that public material states (the catalogue of TensorFlow Datasets for
COCO and DAVIS 2017, torchvision for VOC and SBD). Where none is stated they are None: the archive is
then only checked by unpacking it and by opening the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vosbench.errors import unknown_name


@dataclass(frozen=True)
class Source:
    """One file of a data set on the web.

    Attributes:
        url: its address; of a manual source, the page where to ask for it.
        filename: its name.
        size: in bytes; None when not published.
        checksum: ``"sha256:..."`` or ``"md5:..."``; None when not published.
        unpack_into: folder below ``<root>/<name>``, ``""`` for that folder itself.
        manual: why it cannot be fetched without a person, and what that person does; None when it can.
        inner: a folder or file of the official layout that is directly in ``unpack_into`` afterwards;
            folders of the archive above it are dropped. None takes the archive as it is.
    """

    url: str
    filename: str
    size: int | None = None
    checksum: str | None = None
    unpack_into: str = ""
    manual: str | None = None
    inner: str | None = None

    def __str__(self) -> str:
        known = [] if self.size is None else [f"{self.size} bytes"]
        known += [words for words in (self.checksum, self.manual) if words is not None]
        address = self.url if self.manual is None else f"{self.filename} from {self.url}"
        return f"{address} ({', '.join(known)})" if known else address


_DAVIS17 = "https://data.vision.ee.ethz.ch/csergi/share/davis"
_FBMS = "https://lmb.informatik.uni-freiburg.de/resources/datasets/fbms"
_FT3D = "https://lmb.informatik.uni-freiburg.de/data/SceneFlowDatasets_CVPR16"
_COCO = "http://images.cocodataset.org"
_YOUTUBE = "https://data.vision.ee.ethz.ch/cvl/youtube-objects/categories"
_CLASSES = ("aeroplane", "bird", "boat", "car", "cat", "cow", "dog", "horse", "motorbike", "train")


def _ft3d(path: str, inner: str) -> Source:
    """A part of FlyingThings3D; the web page offers each as a torrent too (the address with ``.torrent``)."""
    return Source(f"{_FT3D}/{path}", path.rpartition("/")[2], inner=inner)


SOURCES: Mapping[str, tuple[Source, ...]] = {
    # About 1.9 GB with 1080p. The addresses of old scripts carry several md5 sums, none for today's file.
    "davis16": (
        Source(
            "https://graphics.ethz.ch/Downloads/Data/Davis/DAVIS-data.zip",
            "DAVIS-data.zip",
            inner="JPEGImages",
        ),
    ),
    "davis17": (
        Source(
            f"{_DAVIS17}/DAVIS-2017-trainval-480p.zip",
            "DAVIS-2017-trainval-480p.zip",
            832_766_765,
            "sha256:e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492",
            inner="JPEGImages",
        ),
        Source(
            f"{_DAVIS17}/DAVIS-2017-Unsupervised-trainval-480p.zip",
            "DAVIS-2017-Unsupervised-trainval-480p.zip",
            inner="Annotations_unsupervised",
        ),
    ),
    "fbms": (
        Source(f"{_FBMS}/FBMS_Trainingset.zip", "FBMS_Trainingset.zip", inner="Trainingset"),
        Source(f"{_FBMS}/FBMS_Testset.zip", "FBMS_Testset.zip", inner="Testset"),
    ),
    # About 200 MB.
    "segtrack": (
        Source(
            "https://web.engr.oregonstate.edu/~lif/SegTrack2/SegTrackv2.zip",
            "SegTrackv2.zip",
            inner="JPEGImages",
        ),
    ),
    "youtube_objects": (
        Source(
            "http://vision.cs.utexas.edu/projects/videoseg/data_download_register.html",
            "youtube_masks.tar.gz",
            manual="the masks are given out after registration",
            inner="youtube_masks",
        ),
        *(
            Source(f"{_YOUTUBE}/{name}.tar.gz", f"{name}.tar.gz", unpack_into="v1", inner=name)
            for name in _CLASSES
        ),
    ),
    # Instructions in public code state 37 GB of frames (clean pass, PNG) and 311 GB of optical flow.
    "ft3d": (
        _ft3d(
            "CameraData_august16/data/FlyingThings3D/raw_data/flyingthings3d__camera_data.tar", "camera_data"
        ),
        _ft3d(
            "Release_april16/data/FlyingThings3D/raw_data/flyingthings3d__frames_cleanpass.tar",
            "frames_cleanpass",
        ),
        _ft3d(
            "Release_april16/data/FlyingThings3D/derived_data/flyingthings3d__disparity.tar.bz2", "disparity"
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
    "coco": (
        Source(
            f"{_COCO}/annotations/annotations_trainval2017.zip",
            "annotations_trainval2017.zip",
            252_907_541,
            "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            inner="annotations",
        ),
        Source(
            f"{_COCO}/zips/val2017.zip",
            "val2017.zip",
            815_585_330,
            "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            inner="val2017",
        ),
        Source(
            f"{_COCO}/zips/train2017.zip",
            "train2017.zip",
            19_336_861_798,
            "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            inner="train2017",
        ),
    ),
    "voc2012": (
        # The size is that of the copy in the catalogue of TensorFlow Datasets.
        Source(
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "md5:6cd6e144f989b92b3379bac3b3de84fd",
            inner="VOCdevkit",
        ),
        Source(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            "benchmark.tgz",
            checksum="md5:82b4d87ceb2ed10f6038a1cba92111cb",
            inner="benchmark_RELEASE",
        ),
    ),
    # About 195 MB.
    "msra10k": (
        Source(
            "http://mftp.mmcheng.net/Data/MSRA10K_Imgs_GT.zip",
            "MSRA10K_Imgs_GT.zip",
            inner="MSRA10K_Imgs_GT",
        ),
    ),
    "duts": (
        Source("http://saliencydetection.net/duts/download/DUTS-TR.zip", "DUTS-TR.zip", inner="DUTS-TR"),
    ),
    # About 92 GB.
    "ilsvrc_vid": (
        Source(
            "https://image-net.org/challenges/LSVRC/2015/2015-downloads.php",
            "ILSVRC2015_VID.tar.gz",
            manual="ImageNet gives it out to registered users who accept its terms",
            inner="Data",
        ),
    ),
    "ytvos": (
        Source(
            "https://youtube-vos.org/dataset/vos/",
            "train.zip",
            manual="YouTube-VOS 2018 is given out after registration with its competition server",
            unpack_into="train",
            inner="JPEGImages",
        ),
    ),
}
"""Data set name -> every file that `vosbench.data.download.fetch.fetch` needs, in the order of fetching."""


def sources_of(name: str) -> tuple[Source, ...]:
    """Return the files of a data set.

    Raises:
        InputError: no data set with known sources has this name.
    """
    if name not in SOURCES:
        raise unknown_name("data set to download", name, SOURCES)
    return SOURCES[name]
