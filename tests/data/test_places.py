"""Data sets under the names that archives and other programs give their folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark import compare
from vosbench.data import open_dataset
from vosbench.data.mini import ensure_mini
from vosbench.data.places import find_folder, link_hints
from vosbench.data.verify import verify
from vosbench.environment.storage import examine_root
from vosbench.errors import InputError
from vosbench.training.run import fit


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """A home and a working folder without data."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def davis(tmp_path, make_davis):
    """Return a function: folder below the data root -> the data root, with DAVIS 2016 in that folder."""

    def make(folder):
        root = tmp_path / "root"
        make_davis(tmp_path / "made")
        (root / folder).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made/davis16").rename(root / folder)
        return root

    return make


def write_grey(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def square(x):
    ids = np.zeros((32, 48), np.uint8)
    ids[10:20, x : x + 10] = 1
    return ids


def make_davis17(folder, lists=("2017",)):
    """Write two frames of a sequence with two objects, as DAVIS 2017 has them."""
    for number in range(3):
        write_grey(folder / f"JPEGImages/480p/pond/{number:05d}.jpg", square(4 + number) * 200)
        ids = square(4 + number) + 2 * square(30)
        write_grey(folder / f"Annotations/480p/pond/{number:05d}.png", ids)
    for year in lists:
        (folder / f"ImageSets/{year}").mkdir(parents=True)
        (folder / f"ImageSets/{year}/val.txt").write_text("pond\n")


@pytest.mark.parametrize(
    "folder", ["davis16", "DAVIS", "DAVIS2016", "DAVIS-2016", "davis_2016", "DAVIS-data/DAVIS"]
)
def test_davis_2016_is_found_under_the_names_people_give_it(davis, folder):
    root = davis(folder)
    assert find_folder(root, "davis16") == root / folder
    assert [len(video) for video in open_dataset("davis16", root)] == [6, 5, 5]
    assert verify("davis16", root) == verify("davis16", root, "val")
    assert not find_folder(root, "davis17").is_dir()


@pytest.mark.parametrize("folder", ["DAVIS", "DAVIS-2017", "DAVIS-2017-trainval/DAVIS", "DAVIS2017/DAVIS"])
def test_davis_2017_is_told_from_davis_2016_by_its_lists(tmp_path, folder):
    make_davis17(tmp_path / folder)
    assert find_folder(tmp_path, "davis17") == tmp_path / folder
    assert [video.name for video in open_dataset("davis17", tmp_path)] == ["pond"]
    assert not find_folder(tmp_path, "davis16").is_dir()


@pytest.mark.parametrize(
    ("name", "folder", "mark"),
    [
        ("fbms", "FBMS59", "Testset"),
        ("fbms", "FBMS-59", "Trainingset"),
        ("segtrack", "SegTrackv2", "GroundTruth"),
        ("segtrack", "SegTrack-v2", "GroundTruth"),
        ("youtube_objects", "YouTube-Objects", "youtube_masks"),
        ("coco", "COCO2017", "annotations/instances_train2017.json"),
        ("voc2012", "VOCdevkit", "VOC2012/ImageSets/Segmentation"),
        ("msra10k", "MSRA10K_Imgs_GT", "Imgs"),
        ("duts", "DUTS-TR", "DUTS-TR-Image"),
        ("ilsvrc_vid", "ILSVRC2015", "Data/VID"),
        ("ytvos", "YouTubeVOS", "train/JPEGImages"),
        ("ft3d", "FlyingThings3D", "frames_cleanpass"),
    ],
)
def test_other_data_sets_are_found_under_the_names_of_their_archives(tmp_path, name, folder, mark):
    (tmp_path / folder).mkdir()
    assert find_folder(tmp_path, name) == tmp_path / name
    (tmp_path / folder / mark).mkdir(parents=True)
    assert find_folder(tmp_path, name) == tmp_path / folder


def test_its_own_name_comes_first_even_when_that_folder_is_broken(davis):
    root = davis("DAVIS")
    (root / "davis16").mkdir()
    with pytest.raises(InputError, match=r"davis16: no folder 'JPEGImages' in it"):
        open_dataset("davis16", root)


def test_the_data_root_may_be_the_data_set_itself(davis):
    root = davis("DAVIS") / "DAVIS"
    assert len(open_dataset("davis16", root)) == 3
    assert examine_root(root).others == ()


def test_no_miniature_takes_the_place_of_real_data_under_another_name(davis):
    root = davis("DAVIS")
    with pytest.raises(InputError, match=r"DAVIS: exists without MINI.json"):
        ensure_mini("davis16", root)


def test_comparisons_and_doctor_see_it(davis, tmp_path):
    root = davis("DAVIS")
    result = compare(models=["centre_box"], data_root=root, out=tmp_path / "out", dry_run=True)
    assert [outcome.dataset for outcome in result.outcomes] == ["davis16"] * 3
    examined = examine_root(root)
    assert [(item.name, item.complete) for item in examined.found] == [("davis16", True)]
    assert examined.others == ()


def test_masks_of_davis_2017_are_davis_2016_once_they_are_linked_as_such(tmp_path):
    make_davis17(tmp_path / "DAVIS", lists=("2016", "2017"))
    with pytest.raises(InputError) as caught:
        open_dataset("davis16", tmp_path)
    link = f"ln -s {tmp_path}/DAVIS {tmp_path}/davis16"
    assert str(caught.value).endswith(f"to read it as davis16 (DAVIS 2016) make the link {link}")
    (tmp_path / "davis16").symlink_to(tmp_path / "DAVIS")
    [video] = open_dataset("davis16", tmp_path)
    assert [np.unique(ids).tolist() for ids in video.annotations.values()] == [[0, 1]] * 3
    assert video.annotations[0].sum() == np.count_nonzero(square(4) + square(30))
    assert {str(item) for item in verify("davis16", tmp_path)} == {
        f"{tmp_path}/davis16/JPEGImages/480p: 1 sequences instead of 20",
    }


def test_larger_frames_alone_are_not_480p(tmp_path):
    make_davis17(tmp_path / "davis17")
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / "davis17" / kind / "480p").rename(tmp_path / "davis17" / kind / "Full-Resolution")
    with pytest.raises(InputError, match=r"no folder '480p'; results are compared at 480p: unpack those"):
        open_dataset("davis17", tmp_path)
    assert open_dataset("davis17", tmp_path, resolution="Full-Resolution")


def test_larger_frames_beside_480p_change_nothing(tmp_path):
    make_davis17(tmp_path / "davis17")
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / "davis17" / kind / "Full-Resolution").mkdir()
    assert len(open_dataset("davis17", tmp_path)) == 1


def test_frames_without_a_folder_480p_are_read_with_the_links_that_are_named(tmp_path):
    make_davis17(tmp_path / "davis17")
    for kind in ("JPEGImages", "Annotations"):
        folder = tmp_path / "davis17" / kind
        (folder / "480p/pond").rename(folder / "pond")
        (folder / "480p").rmdir()
    with pytest.raises(InputError) as caught:
        open_dataset("davis17", tmp_path)
    for link in (part.removesuffix(" and ") for part in str(caught.value).split("ln -s ")[1:]):
        target, _, path = link.partition(" ")
        Path(path).symlink_to(target)
    assert len(open_dataset("davis17", tmp_path)) == 1


def test_a_folder_under_a_strange_name_is_one_line_with_the_link(davis, tmp_path):
    root = davis("benchmark")
    link = f"ln -s {root}/benchmark {root}/davis16"
    assert link_hints(root, ["davis16", "fbms"]) == [
        f"{root}/benchmark has ImageSets/480p: to read it as davis16 (DAVIS 2016) make the link {link}"
    ]
    assert examine_root(root).hints == tuple(link_hints(root, ["davis16"]))
    planned = compare(models=["centre_box"], data_root=root, out=tmp_path / "out", dry_run=True)
    assert planned.notes[0].endswith(link)
    with pytest.raises(InputError, match=f"make the link {link}"):
        fit(["model=mpnet", "recipe=mpnet_davis", f"data_root={root}"])


def test_data_in_the_home_folder_are_named_where_the_data_root_has_none(
    davis, empty_home, tmp_path, monkeypatch
):
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)
    davis("DAVIS").joinpath("DAVIS").rename(empty_home / "DAVIS")
    hint = f"davis16 in {empty_home}/DAVIS: give --data-root {empty_home}"
    assert link_hints(Path("data"), ["davis16", "fbms"]) == [hint]
    assert examine_root(None).hints == (hint,)
    planned = compare(models=["centre_box"], out=tmp_path / "out", dry_run=True)
    assert planned.notes[0] == hint
    with pytest.raises(InputError, match=f"{hint}"):
        fit(["model=mpnet", "recipe=mpnet_davis"])
    assert open_dataset("davis16", empty_home)


def test_nothing_is_said_where_nothing_is_there(tmp_path):
    assert link_hints(tmp_path) == []
    assert link_hints(tmp_path / "nowhere") == []
