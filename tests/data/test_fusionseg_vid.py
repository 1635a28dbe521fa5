import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.errors import InputError
from vosbench.formats.png import write_ids

NAME = "ILSVRC2015_train_00000003"


def write_frames(folder, count=4):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (16, 12)).save(folder / f"{number:06d}.JPEG")


@pytest.fixture
def root(tmp_path):
    write_frames(tmp_path / "ilsvrc_vid/Data/VID/train/ILSVRC2015_VID_train_0001" / NAME)
    write_frames(tmp_path / "ilsvrc_vid/Data/VID/train/ILSVRC2015_VID_train_0001/ILSVRC2015_train_00000004")
    for number in (1, 3):
        ids = np.zeros((12, 16), np.uint8)
        ids[2:5, 2:5], ids[0] = 1, 255
        write_ids(tmp_path / "fusionseg_vid/Annotations" / NAME / f"{number:06d}.png", ids)
    return tmp_path


def test_frames_come_from_imagenet_vid_beside_it(root):
    (video,) = open_dataset("fusionseg_vid", root)
    assert (video.name, len(video), list(video.annotations)) == (NAME, 4, [1, 3])
    assert video.frames[1].shape == (12, 16, 3)
    assert np.unique(video.annotations[3]).tolist() == [0, 1, 255]


def test_or_from_its_own_folder(root):
    (root / "ilsvrc_vid").rename(root / "elsewhere")
    with pytest.raises(InputError, match="its frames are those of ilsvrc_vid, but there is no folder"):
        open_dataset("fusionseg_vid", root)
    write_frames(root / "fusionseg_vid/JPEGImages" / NAME, 5)
    assert len(open_dataset("fusionseg_vid", root)[0]) == 5


def test_masks_of_unknown_videos_and_frames_are_named(root):
    write_ids(root / "fusionseg_vid/Annotations" / NAME / "000009.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(InputError, match=r"000009\.png: there is no frame 000009"):
        _ = open_dataset("fusionseg_vid", root)[0]
    (root / "fusionseg_vid/Annotations/ILSVRC2015_train_99").mkdir()
    with pytest.raises(InputError, match=r"lacks 1 of the 2 videos in .*, first ILSVRC2015_train_99"):
        open_dataset("fusionseg_vid", root)


def test_layout_errors(tmp_path):
    (tmp_path / "fusionseg_vid/Annotations").mkdir(parents=True)
    with pytest.raises(InputError, match="no folders of videos; run vosbench data prepare fusionseg_vid"):
        open_dataset("fusionseg_vid", tmp_path)
    with pytest.raises(InputError, match="unknown split of fusionseg_vid"):
        open_dataset("fusionseg_vid", tmp_path, "val")
