import re

import numpy as np
import pytest

from vosbench.data import open_dataset
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.datasets.davis17 import SHIPPED
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError
from vosbench.formats.image import write_frame
from vosbench.formats.png import write_ids


def write_sequence(folder, name, frames, labelled, masks="Annotations", resolution="480p"):
    """Frames of 4x6 pixels; mask t has object 1 at column t, object 2 in the last row, a void corner."""
    for t in range(frames):
        write_frame(
            folder / f"JPEGImages/{resolution}/{name}/{t:05d}.jpg", np.full((4, 6, 3), 40 * t, np.uint8)
        )
    for t in labelled:
        ids = np.zeros((4, 6), np.uint8)
        ids[:, t], ids[3], ids[0, 5] = 1, 2, 255
        write_ids(folder / masks / resolution / name / f"{t:05d}.png", ids)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "davis17"
    write_sequence(folder, "pigs", 3, range(3))
    write_sequence(folder, "judo", 2, range(2))
    write_sequence(folder, "skate", 3, [0])
    lists = folder / "ImageSets/2017"
    lists.mkdir(parents=True)
    for split, names in (("val", ["pigs", "judo"]), ("test-dev", ["skate"])):
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
    return tmp_path


def test_ids_and_void_are_kept(root):
    dataset = open_dataset("davis17", root)
    assert [video.name for video in dataset] == ["pigs", "judo"]
    assert (dataset.split, dataset.label) == ("val", "davis17")
    video = dataset[0]
    assert video.frame_names == ("00000", "00001", "00002")
    assert video.frames[2].shape == (4, 6, 3)
    assert list(video.annotations) == [0, 1, 2]
    assert video.annotations[1].tolist() == [
        [0, 1, 0, 0, 0, 255],
        [0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [2, 2, 2, 2, 2, 2],
    ]


def test_test_dev_has_the_first_mask_only(root):
    video = open_dataset("davis17", root, "test-dev")[0]
    assert (len(video), list(video.annotations)) == (3, [0])
    assert video.annotations[0].shape == (4, 6)


def test_unsupervised_annotations_are_masks_of_their_own(root):
    write_sequence(root / "davis17", "pigs", 3, range(3), masks="Annotations_unsupervised")
    write_sequence(root / "davis17", "judo", 2, range(2), masks="Annotations_unsupervised")
    ids = np.full((4, 6), 7, np.uint8)
    write_ids(root / "davis17/Annotations_unsupervised/480p/pigs/00000.png", ids)
    video = open_dataset("davis17", root, annotations="unsupervised")[0]
    assert video.annotations[0].tolist() == ids.tolist()
    assert open_dataset("davis17", root)[0].annotations[0].max() == 255


def test_a_test_split_of_unsupervised_annotations_is_that_of_2019_and_has_no_masks_at_all(root):
    write_sequence(root / "davis17", "sofa", 2, [])
    lists = root / "davis17/ImageSets/2019"
    lists.mkdir()
    (lists / "test-dev.txt").write_text("sofa\n")
    [video] = open_dataset("davis17", root, "test-dev", annotations="unsupervised")
    assert (video.name, len(video), dict(video.annotations)) == ("sofa", 2, {})
    assert [each.name for each in open_dataset("davis17", root, "test-dev")] == ["skate"]


def test_missing_masks_of_some_annotations(root):
    archive = CATALOGUE["davis17"].archives[1].filename
    with pytest.raises(
        InputError,
        match=rf"Annotations_unsupervised/480p: no such folder, .*; unpack {re.escape(archive)} there",
    ):
        open_dataset("davis17", root, annotations="unsupervised")
    (root / "davis17/MINI.json").write_text("{}")
    with pytest.raises(InputError, match="render the miniature again: 'vosbench data mini davis17'"):
        open_dataset("davis17", root, annotations="unsupervised")
    with pytest.raises(InputError, match="unknown annotations of davis17 'interactive'"):
        open_dataset("davis17", root, annotations="interactive")


def test_full_resolution(root):
    write_sequence(root / "davis17", "pigs", 1, [0], resolution="Full-Resolution")
    write_sequence(root / "davis17", "judo", 1, [0], resolution="Full-Resolution")
    assert len(open_dataset("davis17", root, resolution="Full-Resolution")[0]) == 1
    with pytest.raises(InputError, match=r"unknown resolution .*'1080p'.* 480p"):
        open_dataset("davis17", root, resolution="1080p")


def test_a_frame_without_mask_is_named(root):
    (root / "davis17/Annotations/480p/pigs/00001.png").unlink()
    with pytest.raises(
        InputError, match=r"sequence pigs lacks the annotation of frame 00001 \(.*00001\.png\)"
    ):
        open_dataset("davis17", root)


def test_a_mask_without_frame_is_named(root):
    (root / "davis17/JPEGImages/480p/judo/00001.jpg").unlink()
    with pytest.raises(InputError, match=r"judo/00001\.png: there is no frame 00001"):
        open_dataset("davis17", root)


def test_a_mask_of_another_size_is_named(root):
    write_ids(root / "davis17/Annotations/480p/pigs/00002.png", np.zeros((4, 7), np.uint8))
    with pytest.raises(InputError, match=r"pigs/00002\.png: 7x4 pixels, but its frame .* is 6x4"):
        open_dataset("davis17", root)[0].annotations[2]


def test_a_missing_sequence_is_named(root):
    write_sequence(root / "davis17", "blackswan", 1, [0])
    with pytest.raises(
        InputError, match=r"lacks 19 of 22 sequences of the list of split moving_val, first b"
    ):
        open_dataset("davis17", root, "moving_val")


def test_a_sequence_without_frames(root):
    for path in (root / "davis17/JPEGImages/480p/pigs").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="pigs: sequence without frames"):
        open_dataset("davis17", root)


def test_unknown_split_offers_lists_and_shipped_ones(root):
    with pytest.raises(InputError, match=r"unknown split of davis17 .*'moving_vl': did you mean moving_val"):
        open_dataset("davis17", root, "moving_vl")
    with pytest.raises(InputError, match="did you mean test-dev"):
        open_dataset("davis17", root, "testdev")


def test_all_takes_every_folder(root):
    assert [video.name for video in open_dataset("davis17", root, "all")] == ["judo", "pigs", "skate"]


def test_an_empty_list(root):
    (root / "davis17/ImageSets/2017/val.txt").write_text("\n")
    with pytest.raises(InputError, match=r"val\.txt: no sequences"):
        open_dataset("davis17", root)


@pytest.mark.parametrize(
    ("split", "count"), [("moving_train", 30), ("moving_val", 22), ("davis16_train", 30), ("davis16_val", 20)]
)
def test_shipped_splits_open_when_their_sequences_are_there(tmp_path, split, count):
    names = shipped_split(SHIPPED[split])
    assert len(set(names)) == count
    for name in names:
        write_sequence(tmp_path / "davis17", name, 1, [0])
    dataset = open_dataset("davis17", tmp_path, split)
    assert [video.name for video in dataset] == list(names)


def test_shipped_lists_fit_together():
    # the moving training list is that of DAVIS 2016; validation lists never overlap with training
    assert shipped_split("davis17_moving_train") == shipped_split("davis16_train")
    assert not set(shipped_split("davis17_moving_val")) & set(shipped_split("davis16_train"))
    assert not set(shipped_split("davis16_val")) & set(shipped_split("davis16_train"))


def test_the_list_of_the_folder_comes_before_the_shipped_one(root):
    (root / "davis17/ImageSets/2017/moving_val.txt").write_text("judo\n")
    assert [video.name for video in open_dataset("davis17", root, "moving_val")] == ["judo"]


@pytest.mark.real_data
def test_real_first_frames_of_the_sequences_shared_with_davis16(real_data, tmp_path):
    data = real_data("davis17_first_frames")
    real_data("davis16")
    folder = tmp_path / "davis17"
    (folder / "Annotations").mkdir(parents=True)
    (folder / "JPEGImages").symlink_to(data / "davis16/JPEGImages")
    (folder / "Annotations/480p").symlink_to(data / "davis17_first_frames/Annotations/480p")
    dataset = open_dataset("davis17", tmp_path, "davis16_val")
    assert sum(len(video) for video in dataset) == 1376
    objects = {video.name: int(video.annotations[0].max()) for video in dataset}
    assert objects["blackswan"] == 1
    assert objects["bmx-trees"] == 2
