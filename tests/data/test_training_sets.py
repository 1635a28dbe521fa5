"""What holds for every training-only set: layouts that are wrong, and the miniature."""

import json

import numpy as np
import pytest

from vosbench.data import open_dataset
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.datasets.coco import Coco
from vosbench.data.mini import write_mini
from vosbench.errors import InputError

NAMES = ("coco", "voc2012", "msra10k", "duts", "ilsvrc_vid", "fusionseg_vid", "ytvos")
SPLITS = {
    "coco": ("train", "val"),
    "voc2012": ("train_aug", "sbd", "train", "val", "trainval"),
    "msra10k": ("train",),
    "duts": ("train",),
    "ilsvrc_vid": ("train", "val", "trainval", "train_1"),
    "fusionseg_vid": ("train",),
    "ytvos": ("train", "moving_train", "moving_val"),
}
SMALL = {"scenes": 2, "size": (54, 96)}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini")
    for name in NAMES:
        write_mini(name, root, **SMALL)
    return root


def test_every_set_of_the_catalogue_has_a_miniature():
    assert all(spec.mini for spec in CATALOGUE.values())
    assert {name for name, known in CATALOGUE.items() if known.kind == "training"} == {"ft3d", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_no_folder_and_a_folder_of_something_else(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: no folder .*{name}; give the folder that contains it"):
        open_dataset(name, tmp_path)
    (tmp_path / name / "something").mkdir(parents=True)
    with pytest.raises(InputError, match=rf"{name}: .*official layout"):
        open_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["coco", "msra10k", "duts", "ilsvrc_vid", "ytvos"])
def test_the_data_root_may_be_the_data_set_itself(mini, name):
    found = open_dataset(name, mini / name)
    assert [video.name for video in found] == [video.name for video in open_dataset(name, mini)]


@pytest.mark.parametrize(("name", "split"), [(name, split) for name in NAMES for split in SPLITS[name]])
def test_every_split_of_the_miniature_can_be_read_whole(mini, name, split):
    dataset = open_dataset(name, mini, split)
    assert (dataset.label, dataset.split) == (f"{name}-mini", split)
    assert len({video.name for video in dataset}) == len(dataset) > 0
    for video in dataset:
        assert len(video.frame_names) == len(video.frames)
        assert video.annotations or video.boxes
        for index in {*video.annotations, *video.boxes}:
            assert video.frames[index].shape == (54, 96, 3)
        for ids in video.annotations.values():
            assert (ids.shape, ids.dtype) == ((54, 96), np.uint8)
            objects = {*np.unique(ids).tolist()} - {0, 255}
            assert objects or 255 in ids
            if name in ("coco", "voc2012", "ytvos"):
                assert objects <= set(video.categories)
        for boxes in video.boxes.values():
            for box in boxes:
                assert video.categories[box.id] == box.category
                assert box.x >= 0
                assert box.x + box.width <= 96
                assert box.y + box.height <= 54


def test_coco_has_polygons_both_kinds_of_run_lengths_and_crowds(tmp_path):
    folder = write_mini("coco", tmp_path, scenes=6, size=(54, 96))
    items = [
        item
        for split in ("train", "val")
        for item in json.loads((folder / f"annotations/instances_{split}2017.json").read_text())[
            "annotations"
        ]
    ]
    kinds = {
        "polygons"
        if isinstance(item["segmentation"], list)
        else type(item["segmentation"]["counts"]).__name__
        for item in items
    }
    assert kinds == {"polygons", "list", "str"}
    assert {item["iscrowd"] for item in items} == {0, 1}
    for video in Coco(tmp_path, "val"):
        ids = video.annotations[0]
        for box in video.boxes[0]:
            # ids are painted without overlap, so that boxes are tight
            rows, columns = np.nonzero(ids == box.id)
            assert (box.x, box.y) == (columns.min(), rows.min())
            assert (box.width, box.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        stated = [item for item in items if item["image_id"] == int(video.name)]
        for item in stated:
            id_ = 255 if item["iscrowd"] else item["id"] % 100
            if sum(other["iscrowd"] for other in stated) < 2:
                assert (ids == id_).sum() == item["area"]


def test_voc_leaves_rims_open_and_sbd_does_not(mini):
    for video in open_dataset("voc2012", mini):
        alone = video.name.startswith(("2009", "2010"))
        assert (255 in video.annotations[0]) != alone


def test_ytvos_labels_every_fifth_frame(mini):
    labelled = open_dataset("ytvos", mini)[0]
    every = open_dataset("ytvos", mini, frames="all")[0]
    assert [every.frame_names[index] for index in every.annotations] == list(labelled.frame_names)
    assert (len(every), len(labelled)) == (16, 4)
    np.testing.assert_array_equal(every.annotations[5], labelled.annotations[1])


def test_fusionseg_masks_also_fit_the_frames_of_imagenet_vid(mini, tmp_path):
    """The two miniatures show the same videos, as the real sets do."""
    (tmp_path / "ilsvrc_vid").symlink_to(mini / "ilsvrc_vid")
    (tmp_path / "fusionseg_vid").mkdir()
    (tmp_path / "fusionseg_vid/Annotations").symlink_to(mini / "fusionseg_vid/Annotations")
    for near, own in zip(
        open_dataset("fusionseg_vid", tmp_path), open_dataset("fusionseg_vid", mini), strict=True
    ):
        assert near.name == own.name
        np.testing.assert_array_equal(near.frames[3], own.frames[3])


def test_training_sets_show_scenes_of_their_own(mini):
    pictures = [open_dataset(name, mini)[0].frames[0] for name in NAMES if name != "fusionseg_vid"]
    for index, one in enumerate(pictures):
        for other in pictures[:index]:
            assert np.abs(one.astype(int) - other).mean() > 10


@pytest.mark.slow
def test_every_miniature_takes_seconds(tmp_path):
    import time

    start = time.process_time()
    for name in CATALOGUE:
        begin = time.process_time()
        write_mini(name, tmp_path)
        if name in NAMES:
            assert time.process_time() - begin < 5
    assert time.process_time() - start < 60
