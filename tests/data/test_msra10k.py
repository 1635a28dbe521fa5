import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.datasets.msra10k import separated
from vosbench.errors import InputError

LAYOUTS = {
    "msra10k": ("MSRA10K_Imgs_GT/Imgs", "MSRA10K_Imgs_GT/Imgs"),
    "duts": ("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
}


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    """Name of a set, its folders of pictures and masks with two images in them."""
    pictures, masks = (tmp_path / request.param / place for place in LAYOUTS[request.param])
    for number in (7, 120):
        save(pictures / f"{number}.jpg", np.full((6, 8, 3), number))
        mask = np.zeros((6, 8))
        mask[:, :3], mask[:, 3] = 255, 120
        save(masks / f"{number}.png", mask)
    return request.param, pictures, masks


def test_images_and_masks_are_paired_by_name(layout, tmp_path):
    name, _, _ = layout
    dataset = open_dataset(name, tmp_path)
    assert [video.name for video in dataset] == ["7", "120"]
    assert (dataset.split, len(dataset[0])) == ("train", 1)
    assert abs(int(dataset[1].frames[0][0, 0, 0]) - 120) <= 1
    assert dataset[1].annotations[0].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]] * 6


def test_the_inner_folders_may_lie_there_by_themselves(layout, tmp_path):
    name, pictures, _ = layout
    archive = pictures.parent
    for folder in list(archive.iterdir()):
        folder.rename(tmp_path / name / folder.name)
    archive.rmdir()
    assert len(open_dataset(name, tmp_path)) == 2


def test_an_image_without_a_mask_and_a_mask_without_an_image_are_named(layout, tmp_path):
    name, pictures, masks = layout
    save(pictures / "300.jpg", np.zeros((6, 8, 3)))
    with pytest.raises(InputError, match=r"300\.jpg: has no mask .*300\.png; unpack"):
        open_dataset(name, tmp_path)
    save(masks / "400.png", np.zeros((6, 8)))
    with pytest.raises(InputError, match="and 1 others lack theirs"):
        open_dataset(name, tmp_path)
    (pictures / "300.jpg").unlink()
    with pytest.raises(InputError, match=r"400\.png: has no image .*400\.jpg"):
        open_dataset(name, tmp_path)


def test_a_mask_of_another_size_is_named(layout, tmp_path):
    name, _, masks = layout
    save(masks / "7.png", np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"7\.png: 3x3 pixels, but its frame .*7\.jpg is 8x6"):
        _ = open_dataset(name, tmp_path)[0].annotations[0]


def test_there_is_one_split(layout, tmp_path):
    with pytest.raises(InputError, match="unknown split of"):
        open_dataset(layout[0], tmp_path, "val")


@pytest.mark.real_data
def test_the_real_part_of_duts(real_data, tmp_path):
    (tmp_path / "duts").symlink_to(real_data("duts_train_part") / "duts_train_part")
    dataset = open_dataset("duts", tmp_path)
    assert len(dataset) == 499
    assert dataset[0].name == dataset[0].frame_names[0]
    shares = []
    for video in dataset:
        ids = video.annotations[0]
        assert set(np.unique(ids).tolist()) <= {0, 1}
        shares.append(ids.mean())
    assert 0.15 < np.mean(shares) < 0.35
    assert dataset[42].frames[0].shape[:2] == dataset[42].annotations[0].shape


class TestInstances:
    def test_parts_that_do_not_touch_are_objects_the_largest_first(self):
        mask = np.zeros((8, 12), dtype=np.uint8)
        mask[1:3, 1:3] = 1
        mask[3, 3] = 1  # touches at a corner
        mask[1:7, 6:11] = 1
        ids = separated(mask)
        assert (ids[1:7, 6:11] == 1).all()
        assert (ids[1:3, 1:3] == 2).all()
        assert ids[3, 3] == 2
        assert ((ids > 0) == (mask > 0)).all()

    def test_small_parts_belong_to_the_largest(self):
        mask = np.zeros((20, 20), dtype=np.uint8)
        mask[:10] = 1
        mask[15, 2:6] = 1
        assert np.unique(separated(mask)).tolist() == [0, 1]

    def test_no_foreground_is_no_object(self):
        assert not separated(np.zeros((4, 4), dtype=np.uint8)).any()

    def test_the_reader_separates_on_request(self, tmp_path):
        pictures, masks = (tmp_path / "duts" / place for place in LAYOUTS["duts"])
        save(pictures / "7.jpg", np.zeros((6, 8, 3)))
        save(masks / "7.png", np.array([[255, 255, 0, 0, 0, 255, 255, 255]] * 6))
        whole = open_dataset("duts", tmp_path)[0].annotations[0]
        assert whole.tolist() == [[1, 1, 0, 0, 0, 1, 1, 1]] * 6
        parts = open_dataset("duts", tmp_path, instances=True)[0].annotations[0]
        assert parts.tolist() == [[2, 2, 0, 0, 0, 1, 1, 1]] * 6
