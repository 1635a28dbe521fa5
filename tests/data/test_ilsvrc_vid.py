import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.datasets.ilsvrc_vid import CLASSES, snippets
from vosbench.errors import InputError
from vosbench.video import Box

DOG, CAR = "n02084071", "n02958343"
TRAIN = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
VAL = "val/ILSVRC2015_val_00000001"


def write_frames(root, place, count=3):
    folder = root / "ilsvrc_vid/Data/VID" / place
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (16, 12), (number, 0, 0)).save(folder / f"{number:06d}.JPEG")


def write_boxes(root, place, number, *objects, size=(16, 12)):
    path = root / "ilsvrc_vid/Annotations/VID" / place / f"{number:06d}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(
        f"<object><trackid>{track}</trackid><name>{name}</name><bndbox><xmin>{x}</xmin><xmax>{right}</xmax>"
        f"<ymin>{y}</ymin><ymax>{bottom}</ymax></bndbox></object>"
        for track, name, x, y, right, bottom in objects
    )
    width, height = size
    head = f"<size><width>{width}</width><height>{height}</height></size>"
    path.write_text(f"<annotation>{head}{text}</annotation>")


@pytest.fixture
def root(tmp_path):
    write_frames(tmp_path, TRAIN)
    write_boxes(tmp_path, TRAIN, 0, (0, DOG, 1, 2, 5, 6))
    write_boxes(tmp_path, TRAIN, 2, (1, CAR, 0, 0, 16, 12), (0, DOG, 2, 2, 6, 6))
    write_frames(tmp_path, VAL, 2)
    return tmp_path


def test_boxes_follow_objects_by_their_tracks(root):
    dataset = open_dataset("ilsvrc_vid", root)
    assert len(dataset.classes) == len(CLASSES) == 30
    (video,) = dataset
    assert video.name == "ILSVRC2015_train_00000000"
    assert video.frame_names == ("000000", "000001", "000002")
    assert video.frames[2].shape == (12, 16, 3)
    assert not video.annotations
    assert dict(video.boxes) == {
        0: (Box(1, "dog", 1, 2, 4, 4),),
        2: (Box(2, "car", 0, 0, 16, 12), Box(1, "dog", 2, 2, 4, 4)),
    }
    assert video.categories == {1: "dog", 2: "car"}


def test_both_depths_of_folders_and_videos_without_boxes(root):
    assert [video.name for video in open_dataset("ilsvrc_vid", root, "trainval")] == [
        "ILSVRC2015_train_00000000",
        "ILSVRC2015_val_00000001",
    ]
    (video,) = open_dataset("ilsvrc_vid", root, "val")
    assert (len(video), dict(video.boxes), dict(video.categories)) == (2, {}, {})
    assert [place.as_posix() for place in snippets(root, "trainval")] == [TRAIN, VAL]


def test_lists_of_videos_and_of_frames_are_splits(root):
    lists = root / "ilsvrc_vid/ImageSets/VID"
    lists.mkdir(parents=True)
    place = TRAIN.removeprefix("train/")
    (lists / "train_7.txt").write_text(f"{place} 1\n\n{place} 1\n")
    (lists / "val_few.txt").write_text("ILSVRC2015_val_00000001/000000 1\nILSVRC2015_val_00000001/000001 2\n")
    assert [video.name for video in open_dataset("ilsvrc_vid", root, "train_7")] == [
        "ILSVRC2015_train_00000000"
    ]
    assert len(open_dataset("ilsvrc_vid", root, "val_few")) == 1
    for line in ("../../val/ILSVRC2015_val_00000001", "/etc", "ILSVRC2015_val_00000009"):
        (lists / "val_bad.txt").write_text(f"{line} 1\n")
        with pytest.raises(InputError, match=r"val_bad\.txt: lists .*, but there is no folder"):
            open_dataset("ilsvrc_vid", root, "val_bad")
    with pytest.raises(InputError, match="unknown split of ilsvrc_vid 'train_8': did you mean train_7"):
        open_dataset("ilsvrc_vid", root, "train_8")


def test_layout_errors(root):
    (root / "ilsvrc_vid/Data/VID").rename(root / "ilsvrc_vid/Data/DET")
    with pytest.raises(InputError, match=r"Data/VID: no such folder; unpack ILSVRC2015_VID\.tar\.gz"):
        open_dataset("ilsvrc_vid", root)
    (root / "ilsvrc_vid/Data/VID/train").mkdir(parents=True)
    with pytest.raises(InputError, match="Data/VID/train: no folders of videos"):
        open_dataset("ilsvrc_vid", root)


@pytest.mark.parametrize(
    ("objects", "size", "message"),
    [
        ([(0, "n00000001", 1, 2, 3, 4)], (16, 12), "unknown class 'n00000001'"),
        ([(255, DOG, 1, 2, 3, 4)], (16, 12), "without a trackid from 0 to 254"),
        ([(0, DOG, 1, 2, 3, 4)], (12, 16), "a frame of 12x16 pixels, but the frames have 16x12"),
    ],
)
def test_contradictions_are_named(root, objects, size, message):
    write_boxes(root, TRAIN, 1, *objects, size=size)
    with pytest.raises(InputError, match=rf"000001\.xml: .*{message}"):
        _ = open_dataset("ilsvrc_vid", root)[0].boxes[1]


def test_a_track_has_one_class(root):
    write_boxes(root, TRAIN, 1, (0, CAR, 1, 2, 3, 4))
    with pytest.raises(InputError, match="track 0 is dog and car"):
        _ = open_dataset("ilsvrc_vid", root)[0].categories[1]


def test_a_description_without_a_frame(root):
    write_boxes(root, TRAIN, 9)
    with pytest.raises(InputError, match=r"000009\.xml: there is no frame 000009"):
        _ = open_dataset("ilsvrc_vid", root)[0]


@pytest.mark.real_data
def test_the_real_snippet(real_data, tmp_path):
    (tmp_path / "ilsvrc_vid").symlink_to(real_data("ilsvrc_vid_sample") / "ilsvrc_vid_sample")
    (video,) = open_dataset("ilsvrc_vid", tmp_path, "val")
    assert (video.name, len(video)) == ("ILSVRC2015_val_00007010", 144)
    assert video.frame_names[::143] == ("000000", "000143")
    first, last = video.frames[0], video.frames[143]
    assert first.shape == last.shape == (720, 1280, 3)
    assert np.abs(first.astype(int) - last).mean() > 1
