import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.errors import InputError


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def mask(columns, size=(16, 24)):
    values = np.zeros(size, np.uint8)
    values[:, :columns] = 255
    return values


def write_frames(folder, numbers, size=(16, 24)):
    for number in numbers:
        write(folder / f"frame{number:04d}.jpg", np.full((*size, 3), number))


SHOT = "data/0001/shots/001"


@pytest.fixture
def root(tmp_path):
    """car_0001: frames 3 to 25, masks of 4 and 14; cat_0002: frames beside the labels."""
    folder = tmp_path / "youtube_objects"
    write_frames(folder / f"v1/car/{SHOT}", range(3, 26))
    for number in (4, 14):
        write(folder / f"youtube_masks/car/{SHOT}/labels/{number:05d}.jpg", mask(number))
    shot = folder / "youtube_masks/cat/data/0002/shots/001"
    write(shot / "images/00001.jpg", np.zeros((16, 24, 3)))
    write(shot / "labels/00001.jpg", mask(3))
    (folder / "youtube_masks/README").touch()
    return tmp_path


def test_masks_meet_their_frames_by_number(root):
    dataset = open_dataset("youtube_objects", root)
    assert [video.name for video in dataset] == ["car_0001", "cat_0002"]
    assert (dataset.split, dataset.label) == ("all", "youtube_objects")
    video = dataset[0]
    assert len(video) == 23
    assert video.frame_names[0] == "frame0003"
    assert list(video.annotations) == [1, 11]
    assert video.frames[1][0, 0].tolist() == [4, 4, 4]
    assert video.annotations[11].dtype == np.uint8


def test_jpeg_noise_is_cut_at_half_intensity(root):
    video = open_dataset("youtube_objects", root)[0]
    for index, columns in ((1, 4), (11, 14)):
        assert video.annotations[index].tolist() == (mask(columns) // 255).tolist()


def test_several_labelled_shots_of_a_video_have_a_suffix(root):
    folder = root / "youtube_objects"
    write_frames(folder / "v1/car/data/0001/shots/007", [1])
    write(folder / "youtube_masks/car/data/0001/shots/007/labels/00001.jpg", mask(2))
    names = [video.name for video in open_dataset("youtube_objects", root)]
    assert names == ["car_0001_001", "car_0001_007", "cat_0002"]
    assert {name.partition("_")[0] for name in names} == {"car", "cat"}


def test_frames_may_lie_in_class_folders_and_masks_under_ground_truth(root):
    folder = root / "youtube_objects"
    (folder / "youtube_masks").rename(folder / "GroundTruth")
    (folder / "v1/car").rename(folder / "car")
    assert len(open_dataset("youtube_objects", root)[0]) == 23


def test_full_videos_beside_the_labels_come_before_the_labelled_pictures(root):
    write_frames(root / "youtube_objects/youtube_masks/cat/data/0002/shots/001/images", range(1, 6))
    assert len(open_dataset("youtube_objects", root)[1]) == 5


def test_frames_are_scaled_to_the_masks(root):
    write_frames(root / f"youtube_objects/v1/car/{SHOT}", range(3, 26), size=(32, 48))
    video = open_dataset("youtube_objects", root)[0]
    assert video.frames[1].shape == (16, 24, 3)
    assert abs(int(video.frames[1][5, 5, 0]) - 4) <= 1
    assert video.annotations[1].shape == (16, 24)
    write_frames(root / f"youtube_objects/v1/car/{SHOT}", [5], size=(24, 24))
    with pytest.raises(
        InputError, match=r"frame0005\.jpg: 24x24 pixels, another shape than its masks, 24x16"
    ):
        open_dataset("youtube_objects", root)[0].frames[2]


def test_masks_of_two_sizes(root):
    write(root / f"youtube_objects/youtube_masks/car/{SHOT}/labels/00014.jpg", mask(3, (8, 12)))
    with pytest.raises(InputError, match=r"00014\.jpg: 12x8 pixels, but 00004\.jpg has 24x16"):
        open_dataset("youtube_objects", root)[0].annotations[11]


def test_a_mask_without_frame(root):
    (root / f"youtube_objects/v1/car/{SHOT}/frame0014.jpg").unlink()
    with pytest.raises(InputError, match=r"labels/00014\.jpg: there is no frame 14 in .*shots/001"):
        open_dataset("youtube_objects", root)


def test_missing_frames_say_where_they_were_looked_for(root):
    (root / "youtube_objects/v1").rename(root / "youtube_objects/frames")
    with pytest.raises(
        InputError, match=r"no frames of sequence car_0001, looked for in .*v1/car/.*images; download"
    ):
        open_dataset("youtube_objects", root)


def test_an_empty_folder_of_labels(root):
    (root / "youtube_objects/youtube_masks/cat/data/0002/shots/001/labels/00001.jpg").unlink()
    with pytest.raises(InputError, match="labels: no masks, such as"):
        open_dataset("youtube_objects", root)


def test_simple_layout(tmp_path):
    folder = tmp_path / "youtube_objects"
    for number in (0, 1, 10):
        write(folder / f"JPEGImages/dog_0005/{number:05d}.jpg", np.zeros((16, 24, 3)))
    write(folder / "Annotations/dog_0005/00000.png", mask(2) // 255)
    write(folder / "Annotations/dog_0005/00010.png", mask(5))
    video = open_dataset("youtube_objects", tmp_path)[0]
    assert (video.name, len(video), list(video.annotations)) == ("dog_0005", 3, [0, 2])
    assert video.annotations[0].sum() == 2 * 16
    assert video.annotations[2].sum() == 5 * 16


def test_wrong_layouts(tmp_path):
    with pytest.raises(InputError, match="unknown split of youtube_objects 'test': "):
        open_dataset("youtube_objects", tmp_path, "test")
    with pytest.raises(InputError, match=r"youtube_objects: no folder .*youtube_objects; give the folder"):
        open_dataset("youtube_objects", tmp_path)
    folder = tmp_path / "youtube_objects"
    folder.mkdir()
    with pytest.raises(InputError, match="none of the folders youtube_masks, GroundTruth, Annotations in it"):
        open_dataset("youtube_objects", tmp_path)
    (folder / "youtube_masks").mkdir()
    with pytest.raises(InputError, match=r"youtube_masks: no masks such as CLASS/data/0001/shots/001/labels"):
        open_dataset("youtube_objects", tmp_path)
    (folder / "youtube_masks").rename(folder / "Annotations")
    with pytest.raises(InputError, match=r"Annotations: no masks such as CLASS_0001"):
        open_dataset("youtube_objects", tmp_path)
