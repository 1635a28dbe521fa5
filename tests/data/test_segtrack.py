import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.errors import InputError
from vosbench.formats.image import write_frame
from vosbench.formats.mask import read_mask


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def write_frames(folder, name, stems, suffix=".png"):
    for stem in stems:
        write_frame(folder / f"JPEGImages/{name}/{stem}{suffix}", np.zeros((3, 4, 3), np.uint8))


@pytest.fixture
def root(tmp_path):
    """girl: one object, masks beside each other; drift: two objects in folders that overlap."""
    folder = tmp_path / "segtrack"
    write_frames(folder, "girl", ["girl_0007", "girl_0008"], ".bmp")
    write_frames(folder, "drift", ["00001"])
    soft = [[0, 0, 0, 0], [0, 127, 128, 255], [0, 0, 0, 0]]
    for stem in ("girl_0007", "girl_0008"):
        write(folder / f"GroundTruth/girl/{stem}.png", np.repeat(np.array(soft)[..., None], 3, axis=2))
    write(folder / "GroundTruth/drift/1/00001.png", [[255, 255, 255, 0]] * 3)
    write(folder / "GroundTruth/drift/2/00001.png", [[0, 0, 255, 255]] * 3)
    return tmp_path


def test_one_object_has_its_masks_cut_at_half_intensity(root):
    video = open_dataset("segtrack", root)[1]
    assert (video.name, video.frame_names) == ("girl", ("girl_0007", "girl_0008"))
    assert video.frames[0].shape == (3, 4, 3)
    assert list(video.annotations) == [0, 1]
    assert video.annotations[1].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_objects_in_folders_become_ids_and_the_later_wins(root):
    video = open_dataset("segtrack", root)[0]
    assert video.annotations[0].tolist() == [[1, 1, 2, 2]] * 3
    assert video.annotations[0].dtype == np.uint8


def test_object_folders_are_ordered_by_number(root):
    for number in range(3, 11):
        write(root / f"segtrack/GroundTruth/drift/{number}/00001.png", np.zeros((3, 4)))
    write(root / "segtrack/GroundTruth/drift/10/00001.png", [[255, 0, 0, 0]] * 3)
    assert open_dataset("segtrack", root)[0].annotations[0].tolist() == [[10, 1, 2, 2]] * 3


def test_the_list_orders_and_may_have_asterisks(root):
    lists = root / "segtrack/ImageSets"
    lists.mkdir()
    (lists / "all.txt").write_text("*girl\r\n*drift\r\n")
    assert [video.name for video in open_dataset("segtrack", root)] == ["girl", "drift"]
    (lists / "all.txt").write_text("girl\n")
    assert [video.name for video in open_dataset("segtrack", root)] == ["girl"]
    (lists / "all.txt").write_text("girl\nwrm\n")
    with pytest.raises(InputError, match=r"all\.txt: lists sequence wrm, but there is no folder .*wrm"):
        open_dataset("segtrack", root)
    (lists / "all.txt").write_text("")
    with pytest.raises(InputError, match=r"all\.txt: no sequences listed"):
        open_dataset("segtrack", root)


def test_a_list_of_frames_leaves_out_the_others(root):
    write_frames(root / "segtrack", "girl", ["girl_0009"])
    (root / "segtrack/ImageSets").mkdir()
    (root / "segtrack/ImageSets/girl.txt").write_text("girl/\ngirl_0007\ngirl_0008\n")
    assert len(open_dataset("segtrack", root)[1]) == 2
    (root / "segtrack/ImageSets/girl.txt").write_text("girl/\ngirl_0099\n")
    with pytest.raises(InputError, match=r"girl\.txt: lists frame girl_0099"):
        open_dataset("segtrack", root)


@pytest.mark.parametrize("mask", ["girl/girl_0008.png", "drift/2/00001.png"])
def test_a_missing_mask_is_named(root, mask):
    (root / "segtrack/GroundTruth" / mask).unlink()
    stem = mask.rpartition("/")[2].removesuffix(".png")
    with pytest.raises(InputError, match=rf"segtrack: no mask of frame {stem} in .*GroundTruth"):
        open_dataset("segtrack", root)


def test_a_mask_of_another_size_is_named(root):
    write(root / "segtrack/GroundTruth/drift/2/00001.png", np.zeros((3, 5)))
    with pytest.raises(InputError, match=r"drift/2/00001\.png: 5x3 pixels, but its frame .* is 4x3"):
        open_dataset("segtrack", root)[0].annotations[0]


def test_wrong_layouts(root):
    (root / "segtrack/GroundTruth").rename(root / "segtrack/masks")
    with pytest.raises(InputError, match=r"segtrack: no folder 'GroundTruth' with the masks"):
        open_dataset("segtrack", root)
    with pytest.raises(InputError, match="unknown split of segtrack 'val': did you mean all"):
        open_dataset("segtrack", root, "val")


def test_a_sequence_without_frames(root):
    (root / "segtrack/JPEGImages/worm").mkdir()
    with pytest.raises(InputError, match="worm: sequence without frames"):
        open_dataset("segtrack", root)


def test_masks_of_zero_and_one_and_of_full_colours_count(tmp_path):
    write(tmp_path / "one.png", [[0, 1]])
    write(tmp_path / "red.png", [[[255, 0, 0], [0, 0, 0]]])
    write(tmp_path / "none.png", [[0, 0]])
    assert read_mask(tmp_path / "one.png").tolist() == [[False, True]]
    assert read_mask(tmp_path / "red.png").tolist() == [[True, False]]
    assert not read_mask(tmp_path / "none.png").any()


@pytest.mark.real_data
def test_real_bmx(real_data, tmp_path):
    (tmp_path / "segtrack").symlink_to(real_data("segtrackv2_bmx") / "segtrackv2_bmx")
    dataset = open_dataset("segtrack", tmp_path)
    assert [(video.name, len(video)) for video in dataset] == [("bmx", 36)]
    video = dataset[0]
    assert video.frame_names[0] == "bmx_06668"
    for index in range(36):
        ids = video.annotations[index]
        assert ids.shape == video.frames[index].shape[:2] == (360, 640)
        assert np.unique(ids).tolist() == [0, 1]
