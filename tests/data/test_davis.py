import shutil

import numpy as np
import pytest
from PIL import Image

from vosbench.data import Video, open_dataset
from vosbench.data.verify import verify
from vosbench.errors import InputError
from vosbench.formats.image import write_frame
from vosbench.formats.png import write_ids


@pytest.fixture
def root(tmp_path):
    """Two sequences of 3 and 2 frames of 4x6 pixels; frame t has t foreground pixels of 255."""
    lines = []
    for sequence, count in (("cat", 3), ("ant", 2)):
        for index in range(count):
            frame = np.full((4, 6, 3), 40 * index, np.uint8)
            mask = np.zeros((4, 6), np.uint8)
            mask[0, :index] = 255
            write_frame(tmp_path / f"davis16/JPEGImages/480p/{sequence}/{index:05d}.jpg", frame)
            write_ids(tmp_path / f"davis16/Annotations/480p/{sequence}/{index:05d}.png", mask)
            name = f"480p/{sequence}/{index:05d}"
            lines.append(f"/JPEGImages/{name}.jpg /Annotations/{name}.png \n")
    lists = tmp_path / "davis16/ImageSets/480p"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(lines[:3]))
    (lists / "trainval.txt").write_text("".join(lines) + "\n")
    return tmp_path


def test_split_gives_the_listed_videos_in_order(root):
    dataset = open_dataset("davis16", root, split="trainval")
    assert [video.name for video in dataset] == ["cat", "ant"]
    assert (dataset.name, dataset.root, dataset.split) == ("davis16", root, "trainval")
    assert (dataset.edition, dataset.label) == ("official", "davis16")
    video = dataset[0]
    assert isinstance(video, Video)
    assert len(video) == 3
    assert video.frame_names == ("00000", "00001", "00002")
    assert video.frames[2].shape == (4, 6, 3)
    assert abs(int(video.frames[2][0, 0, 0]) - 80) <= 3
    assert sorted(video.annotations) == [0, 1, 2]
    assert video.annotations[2].tolist()[0] == [1, 1, 0, 0, 0, 0]
    assert video.annotations[2].dtype == np.uint8
    assert video.flow is None


def test_default_split_is_val(root):
    assert [video.name for video in open_dataset("davis16", root)] == ["cat"]


def test_all_takes_folders_in_alphabetical_order(root):
    assert [video.name for video in open_dataset("davis16", root, split="all")] == ["ant", "cat"]


def test_mini_edition_has_its_own_label(root):
    (root / "davis16/MINI.json").write_text("{}")
    dataset = open_dataset("davis16", root)
    assert (dataset.edition, dataset.label) == ("mini", "davis16-mini")


def test_opening_decodes_nothing(root):
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")
    video = open_dataset("davis16", root)[0]
    with pytest.raises(InputError, match=r"cat/00001\.png: not a PNG"):
        video.annotations[1]


@pytest.mark.parametrize(
    ("folder", "kind"), [("JPEGImages", "frame"), ("Annotations", "annotation of frame")]
)
@pytest.mark.parametrize("split", ["val", "all"])
def test_missing_file_names_sequence_and_frame(root, folder, kind, split):
    next(root.glob(f"davis16/{folder}/480p/cat/00001.*")).unlink()
    with pytest.raises(InputError, match=f"sequence cat lacks the {kind} 00001 .*00001"):
        open_dataset("davis16", root, split=split)


def test_missing_sequence_folder(root):
    for path in (root / "davis16/JPEGImages/480p/cat").iterdir():
        path.unlink()
    (root / "davis16/JPEGImages/480p/cat").rmdir()
    with pytest.raises(InputError, match="sequence cat lacks the frame 00000"):
        open_dataset("davis16", root)


def test_empty_sequence_folder(root):
    (root / "davis16/JPEGImages/480p/dog").mkdir()
    with pytest.raises(InputError, match="dog: sequence without frames"):
        open_dataset("davis16", root, split="all")


def test_mask_of_another_size_names_both_files(root):
    write_ids(root / "davis16/Annotations/480p/cat/00001.png", np.zeros((4, 7), np.uint8))
    video = open_dataset("davis16", root)[0]
    with pytest.raises(InputError, match=r"Annotations.*00001\.png: 7x4 .*JPEGImages.*00001\.jpg is 6x4"):
        video.annotations[1]


def test_an_annotation_with_a_palette_in_another_order(root):
    file = root / "davis16/Annotations/480p/cat/00002.png"
    before = open_dataset("davis16", root)[0].annotations[2]
    Image.fromarray(before * np.uint8(255)).quantize(2).save(file)
    assert np.asarray(Image.open(file)).sum() != before.sum()
    assert np.array_equal(open_dataset("davis16", root)[0].annotations[2], before)


def test_unknown_split_offers_those_there(root):
    with pytest.raises(InputError, match=r"unknown split of davis16 in .* 'vall': did you mean .*val"):
        open_dataset("davis16", root, split="vall")


def test_a_lost_list_is_no_unknown_split(root):
    (root / "davis16/ImageSets/480p/val.txt").unlink()
    with pytest.raises(InputError, match=r"480p/val\.txt: missing, it lists split 'val'; copy it again or"):
        open_dataset("davis16", root)


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA", "1", "P"])
def test_masks_with_channels_are_read_by_what_is_not_black(root, mode):
    path = root / "davis16/Annotations/480p/cat/00001.png"
    wanted = np.zeros((4, 6), np.uint8)
    wanted[1:3, 2:5] = 1
    Image.fromarray(wanted * 255).convert(mode).save(path)
    assert (open_dataset("davis16", root)[0].annotations[1] == wanted).all()
    assert not [damage for damage in verify("davis16", root) if damage.path == path]


def test_without_lists_only_all_can_be_opened(root):
    for path in (root / "davis16/ImageSets/480p").iterdir():
        path.unlink()
    (root / "davis16/ImageSets/480p").rmdir()
    with pytest.raises(InputError, match=r"ImageSets.*only split 'all'"):
        open_dataset("davis16", root)
    assert len(open_dataset("davis16", root, split="all")) == 2


def test_empty_list(root):
    (root / "davis16/ImageSets/480p/val.txt").write_text("\n")
    with pytest.raises(InputError, match="split 'val' has no sequences"):
        open_dataset("davis16", root)


def test_malformed_line_is_numbered(root):
    (root / "davis16/ImageSets/480p/val.txt").write_text("/JPEGImages/480p/cat/00000.jpg\n")
    with pytest.raises(InputError, match=r"val\.txt, line 1: expected a frame and its mask"):
        open_dataset("davis16", root)


def test_unknown_resolution(root):
    with pytest.raises(InputError, match=r"unknown resolution .*'1080p'"):
        open_dataset("davis16", root, resolution="1080p")


def test_unknown_data_set(root):
    with pytest.raises(InputError, match=r"unknown data set 'davis61': did you mean .*davis16"):
        open_dataset("davis61", root)


def test_data_root_given_too_deep(root):
    assert len(open_dataset("davis16", root / "davis16")) == len(open_dataset("davis16", root))


def test_data_root_given_too_high(root):
    above = root / "above"
    (above / "data").mkdir(parents=True)
    (root / "davis16").rename(above / "data" / "davis16")
    with pytest.raises(InputError, match=rf"did you mean the data root {above / 'data'}\?"):
        open_dataset("davis16", above)


def test_data_set_under_another_name(root):
    (root / "davis16").rename(root / "DAVIS")
    assert [video.name for video in open_dataset("davis16", root)] == ["cat"]
    # renamed, davis16 would not be found any longer
    with pytest.raises(InputError, match="DAVIS is davis16; for davis17 give the folder that contains it"):
        open_dataset("davis17", root)
    shutil.rmtree(root / "DAVIS/ImageSets")
    with pytest.raises(InputError, match=r"DAVIS holds 'JPEGImages': .*rename it to 'davis16'"):
        open_dataset("davis16", root)
    with pytest.raises(InputError, match=r"DAVIS itself holds 'JPEGImages': rename it to 'davis16'"):
        open_dataset("davis16", root / "DAVIS")


def test_no_data_root(tmp_path):
    with pytest.raises(InputError, match="the data root does not exist"):
        open_dataset("davis16", tmp_path / "nowhere")


def test_folder_without_the_layout(tmp_path):
    (tmp_path / "davis16").mkdir()
    with pytest.raises(InputError, match=r"no folder 'JPEGImages' in it.*; it is empty; 'vosbench data list"):
        open_dataset("davis16", tmp_path)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        ("DAVIS/JPEGImages/480p", "move what is in .*davis16/DAVIS one level up"),
        ("jpegimages/480p", "rename .*davis16/jpegimages to 'JPEGImages'"),
        ("DAVIS-data.zip", "unpack DAVIS-data.zip there"),
        ("frames", "it has frames; 'vosbench data list davis16' shows the layout"),
    ],
)
def test_what_is_wrong_with_the_layout_is_said(tmp_path, make, advice):
    (tmp_path / "davis16" / make).mkdir(parents=True)
    with pytest.raises(InputError, match=advice):
        open_dataset("davis16", tmp_path)


@pytest.mark.real_data
def test_real_validation_split(real_data):
    dataset = open_dataset("davis16", real_data("davis16"), split="val")
    assert dataset.label == "davis16"
    assert len(dataset) == 20
    assert sum(len(video) for video in dataset) == 1376
    assert {video.name: len(video) for video in dataset}["soapbox"] == 99
    video = dataset[0]
    assert video.name == "blackswan"
    assert video.frames[49].shape == (480, 854, 3)
    assert video.annotations[49].shape == (480, 854)
    assert np.unique(video.annotations[49]).tolist() == [0, 1]
