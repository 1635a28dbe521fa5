import io

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from vosbench.data import open_dataset
from vosbench.errors import InputError
from vosbench.formats.png import write_ids

SIZE = (12, 16)


def ids(*objects, rim=False):
    """Column pairs per object."""
    values = np.zeros(SIZE, np.uint8)
    for number, (start, end) in objects:
        values[2:10, start:end] = number
    if rim:
        values[1] = 255
    return values


def write_mat(path, variable, fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    savemat(content, {variable: fields}, do_compression=True)
    path.write_bytes(content.getvalue())


def write_picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (9, 9, 9)).save(path)


def write_sbd(folder, name, instances, classes):
    class_map = np.concatenate([[0], classes]).astype(np.uint8)[instances]
    write_mat(folder / "cls" / f"{name}.mat", "GTcls", {"Segmentation": class_map})
    fields = {"Segmentation": instances, "Categories": np.array(classes, np.uint8)[:, None]}
    write_mat(folder / "inst" / f"{name}.mat", "GTinst", fields)


@pytest.fixture
def root(tmp_path):
    """VOC trains on a, validates on b; SBD labels a and b again, c, and d, whose picture is its own."""
    voc = tmp_path / "voc2012/VOCdevkit/VOC2012"
    sbd = tmp_path / "voc2012/benchmark_RELEASE/dataset"
    for name in ("2007_a", "2007_b", "2007_c"):
        write_picture(voc / "JPEGImages" / f"{name}.jpg")
    write_picture(sbd / "img/2007_d.jpg")
    for name in ("2007_a", "2007_b"):
        write_ids(voc / "SegmentationClass" / f"{name}.png", ids((15, (2, 6)), (7, (8, 12)), rim=True))
        write_ids(voc / "SegmentationObject" / f"{name}.png", ids((1, (2, 6)), (2, (8, 12)), rim=True))
    for name in ("2007_a", "2007_b", "2007_c", "2007_d"):
        write_sbd(sbd, name, ids((1, (0, 6)), (2, (6, 12)), (3, (12, 14))), [20, 1, 20])
    lists = voc / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, names in (("train", ["a"]), ("val", ["b"]), ("trainval", ["a", "b"])):
        (lists / f"{split}.txt").write_text("".join(f"2007_{name}\n" for name in names))
    (sbd / "train.txt").write_text("2007_c\n2007_b")
    (sbd / "val.txt").write_text("2007_d\n2007_a\n")
    return tmp_path


def test_train_aug_is_all_of_both_without_the_validation_images_of_voc(root):
    dataset = open_dataset("voc2012", root)
    assert (dataset.split, dataset.label) == ("train_aug", "voc2012")
    assert [video.name for video in dataset] == ["2007_a", "2007_c", "2007_d"]
    assert [video.name for video in open_dataset("voc2012", root, "trainval")] == ["2007_a", "2007_b"]
    assert dataset.classes[14] == "person"
    for video in dataset:
        assert (len(video), video.frames[0].shape) == (1, (*SIZE, 3))


def test_voc_has_the_say_where_both_label_an_image(root):
    voc, sbd, _ = open_dataset("voc2012", root)
    np.testing.assert_array_equal(voc.annotations[0], ids((1, (2, 6)), (2, (8, 12)), rim=True))
    assert voc.categories == {1: "person", 2: "car"}
    np.testing.assert_array_equal(sbd.annotations[0], ids((1, (0, 6)), (2, (6, 12)), (3, (12, 14))))
    assert sbd.categories == {1: "tvmonitor", 2: "aeroplane", 3: "tvmonitor"}


def test_sbd_by_itself_is_all_of_its_images_with_its_own_masks(root):
    dataset = open_dataset("voc2012", root, "sbd")
    assert [video.name for video in dataset] == ["2007_a", "2007_b", "2007_c", "2007_d"]
    for video in dataset:
        np.testing.assert_array_equal(video.annotations[0], ids((1, (0, 6)), (2, (6, 12)), (3, (12, 14))))


def test_classes_instead_of_instances(root):
    voc, sbd, _ = open_dataset("voc2012", root, labels="classes")
    np.testing.assert_array_equal(voc.annotations[0], ids((15, (2, 6)), (7, (8, 12)), rim=True))
    np.testing.assert_array_equal(sbd.annotations[0], ids((20, (0, 6)), (1, (6, 12)), (20, (12, 14))))
    assert (len(sbd.categories), sbd.categories[20]) == (20, "tvmonitor")


def test_the_folder_voc2012_may_lie_there_by_itself(root):
    (root / "voc2012/VOCdevkit/VOC2012").rename(root / "voc2012/VOC2012")
    assert len(open_dataset("voc2012", root)) == 3


def test_what_is_missing_is_named(root):
    with pytest.raises(InputError, match="unknown split of voc2012 'train_agu': did you mean train_aug"):
        open_dataset("voc2012", root, "train_agu")
    with pytest.raises(InputError, match="unknown labels of voc2012"):
        open_dataset("voc2012", root, labels="boxes")
    (root / "voc2012/benchmark_RELEASE").rename(root / "voc2012/sbd")
    with pytest.raises(InputError, match=r"dataset/train\.txt: no such list; unpack SBD"):
        open_dataset("voc2012", root)
    assert len(open_dataset("voc2012", root, "train")) == 1
    (root / "voc2012/VOCdevkit/VOC2012/SegmentationObject/2007_a.png").unlink()
    with pytest.raises(InputError, match=r"SegmentationObject/2007_a\.png: no such file"):
        _ = open_dataset("voc2012", root, "train")[0].annotations[0]
    (root / "voc2012/VOCdevkit/VOC2012/ImageSets").rename(root / "elsewhere")
    with pytest.raises(
        InputError, match="no lists in 'VOCdevkit/VOC2012/ImageSets/Segmentation'; unpack VOC"
    ):
        open_dataset("voc2012", root, "train")


def test_a_list_cannot_lead_out_of_the_folder(root):
    (root / "voc2012/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("../../secret\n")
    with pytest.raises(InputError, match="no name of an image"):
        open_dataset("voc2012", root, "train")


def test_contradictions_are_named(root):
    sbd = root / "voc2012/benchmark_RELEASE/dataset"
    write_sbd(sbd, "2007_c", ids((1, (0, 6)), (2, (6, 12))), [20, 21])
    write_mat(sbd / "inst/2007_d.mat", "GTinst", {"Segmentation": np.ones((3, 3), np.uint8)})
    with pytest.raises(InputError, match=r"2007_c\.mat: object 2 has no class from 1 to 20"):
        _ = open_dataset("voc2012", root)[1].categories[1]
    with pytest.raises(InputError, match=r"cls/2007_c\.mat: class 21, but there are 20"):
        _ = open_dataset("voc2012", root, labels="classes")[1].annotations[0]
    with pytest.raises(InputError, match=r"2007_d\.mat: 3x3 pixels, but its frame .*2007_d\.jpg is 16x12"):
        _ = open_dataset("voc2012", root)[2].annotations[0]
    write_mat(sbd / "inst/2007_d.mat", "GTinst", {"Segmentation": np.ones(SIZE)})
    with pytest.raises(InputError, match=r"2007_d\.mat: GTinst has no map Segmentation of 8 bits"):
        _ = open_dataset("voc2012", root)[2].annotations[0]
    voc = root / "voc2012/VOCdevkit/VOC2012"
    write_ids(voc / "SegmentationClass/2007_a.png", ids())
    with pytest.raises(InputError, match=r"2007_a\.png: object 1 has no class in .*SegmentationClass"):
        _ = open_dataset("voc2012", root)[0].categories[1]
