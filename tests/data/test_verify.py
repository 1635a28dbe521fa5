import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from vosbench.data.catalogue import CATALOGUE
from vosbench.data.mini import write_mini
from vosbench.data.verify import Damage, verify
from vosbench.errors import InputError
from vosbench.formats.image import write_frame
from vosbench.formats.pfm import read_pfm, write_pfm

HEIGHT, WIDTH = 68, 120


@pytest.fixture(scope="module")
def minis(tmp_path_factory):
    """Return a function: (data set) -> root of its whole miniature, which must not be changed."""
    root = tmp_path_factory.mktemp("minis")

    def make(name):
        if not (root / name).is_dir():
            scenes = 4 if name in ("msra10k", "duts", "coco", "voc2012") else 1
            few = {"test_scenes": 1} if name == "ft3d" else {}
            write_mini(name, root, scenes=scenes, size=(HEIGHT, WIDTH), **few)
        return root

    return make


@pytest.fixture
def copy(minis, tmp_path):
    """Return a function: (data set) -> a folder ``root / name`` that may be damaged."""

    def make(name):
        shutil.copytree(minis(name) / name, tmp_path / name)
        return tmp_path / name

    return make


def found(folder, split=None):
    return {
        str(damage.path.relative_to(folder)): damage.problem
        for damage in verify(folder.name, folder.parent, split, workers=2)
    }


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def files(folder, pattern):
    paths = sorted(folder.glob(pattern))
    assert paths
    return paths


@pytest.mark.parametrize("name", CATALOGUE)
def test_whole_miniatures_have_no_damage(minis, name):
    told = []
    assert verify(name, minis(name), progress=lambda *what: told.append(what), workers=2) == []
    assert [done for done, _, _ in told] == list(range(1, told[0][1] + 1))


@pytest.mark.parametrize(("name", "split"), [("ft3d", "test"), ("fbms", "train"), ("davis17", "all")])
def test_other_splits(minis, name, split):
    assert verify(name, minis(name), split) == []


PARTS = {
    "davis16": ["JPEGImages/480p/*/*.jpg", "Annotations/480p/*/*.png"],
    "davis17": [
        "JPEGImages/480p/*/*.jpg",
        "Annotations/480p/*/*.png",
        "Annotations_unsupervised/480p/*/*.png",
    ],
    "fbms": ["Testset/*/*.jpg", "Testset/*/GroundTruth/*.p[gp]m", "FBMS-3D/Testset/*/GroundTruth/*.png"],
    "segtrack": ["JPEGImages/*/*.png", "GroundTruth/**/*.png"],
    "youtube_objects": ["v1/*/data/*/shots/*/*.jpg", "youtube_masks/*/data/*/shots/*/labels/*.jpg"],
    "ft3d": [
        "frames_cleanpass/TRAIN/*/*/*/*.png",
        "disparity/TRAIN/*/*/*/*.pfm",
        "disparity_change/TRAIN/*/*/into_future/*/*.pfm",
        "optical_flow/TRAIN/*/*/into_future/*/*.pfm",
    ],
    "ytvos": ["train/JPEGImages/*/*.jpg", "train/Annotations/*/*.png"],
    "msra10k": ["MSRA10K_Imgs_GT/Imgs/*.jpg", "MSRA10K_Imgs_GT/Imgs/*.png"],
    "duts": ["DUTS-TR/DUTS-TR-Image/*.jpg", "DUTS-TR/DUTS-TR-Mask/*.png"],
}
EVERY_PART = [(name, pattern) for name, patterns in PARTS.items() for pattern in patterns]


@pytest.mark.parametrize(("name", "pattern"), EVERY_PART)
def test_truncated_and_empty_files_of_every_part_are_named_and_nothing_else(copy, name, pattern):
    folder = copy(name)
    paths = files(folder, pattern)
    cut(paths[0])
    paths[-1].write_bytes(b"")
    problems = found(folder, "all" if name.startswith("davis") else None)
    assert set(problems) == {str(path.relative_to(folder)) for path in (paths[0], paths[-1])}
    assert problems[str(paths[-1].relative_to(folder))] == "empty file"
    assert problems[str(paths[0].relative_to(folder))] != "empty file"


UNLISTED = {
    "FBMS-3D/Testset/*/GroundTruth/*.png",
    "youtube_masks/*/data/*/shots/*/labels/*.jpg",
    "train/Annotations/*/*.png",
}
"""Sparse masks that no list names."""


@pytest.mark.parametrize(("name", "pattern"), [part for part in EVERY_PART if part[1] not in UNLISTED])
def test_two_removed_files_are_both_named(copy, name, pattern):
    folder = copy(name)
    paths = files(folder, pattern)
    removed = [paths[1], paths[3]]
    if name == "fbms":
        # the weights beside a map may be missing, frames are only counted
        removed = files(folder, "Testset/*/GroundTruth/*.ppm")[:2] if "Ground" in pattern else [paths[1]]
    if name == "youtube_objects":
        removed = [path for path in paths if path.stem in ("frame0001", "frame0011")][:2]
    for path in removed:
        path.unlink()
    problems = found(folder, "all" if name.startswith("davis") else None)
    counted = name == "fbms" and pattern.endswith(".jpg")
    named = {removed[0].parent} if counted else set(removed)
    assert set(problems) == {str(path.relative_to(folder)) for path in named}
    assert all(problem.startswith("missing") for problem in problems.values())


def test_davis17_without_the_masks_of_the_unsupervised_edition_is_not_whole(copy):
    folder = copy("davis17")
    shutil.rmtree(folder / "Annotations_unsupervised")
    [(path, problem)] = found(folder).items()
    assert path == "Annotations_unsupervised/480p"
    assert problem.endswith(f"in {CATALOGUE['davis17'].archives[1].filename}")
    # splits of the semi-supervised edition alone do not need them
    assert found(folder, "moving_val") == {}


@pytest.mark.parametrize("part", ["JPEGImages", "Annotations"])
def test_a_resized_picture_is_named_alone(copy, part):
    folder = copy("davis16")
    path = files(folder, f"{part}/480p/*/*")[3]
    with Image.open(path) as image:
        small = image.resize((40, 20), Image.Resampling.NEAREST)
    small.save(path)
    ((where, problem),) = found(folder).items()
    assert where == str(path.relative_to(folder))
    assert problem.startswith(f"40x20 pixels, but the other files of {path.parent.name} have ")


def test_flow_of_another_size(copy):
    folder = copy("ft3d")
    path = files(folder, "optical_flow/TRAIN/*/*/into_future/left/*.pfm")[0]
    write_pfm(path, read_pfm(path)[:-1])
    assert set(found(folder)) == {str(path.relative_to(folder))}


def test_all_kinds_of_damage_at_once(copy):
    folder = copy("davis16")
    frames, masks = files(folder, "JPEGImages/480p/*/*.jpg"), files(folder, "Annotations/480p/*/*.png")
    frames[0].unlink()
    cut(frames[2])
    masks[4].write_bytes(b"")
    masks[5].write_bytes(b"no picture")
    write_frame(frames[7], np.zeros((10, 12, 3), np.uint8))
    problems = found(folder)
    assert list(problems) == sorted(
        str(path.relative_to(folder)) for path in (frames[0], frames[2], masks[4], masks[5], frames[7])
    )
    assert problems[str(frames[0].relative_to(folder))] == "missing"
    assert "truncated" in problems[str(frames[2].relative_to(folder))]
    assert "not a PNG file" in problems[str(masks[5].relative_to(folder))]


@pytest.mark.parametrize("lost", [1, 2, 10, 100])
def test_a_jpeg_or_png_that_lacks_only_its_end(copy, lost):
    folder = copy("davis16")
    paths = [files(folder, "JPEGImages/480p/*/*.jpg")[1], files(folder, "Annotations/480p/*/*.png")[2]]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-lost])
    assert set(found(folder)) == {str(path.relative_to(folder)) for path in paths}


def test_a_frame_and_its_mask_that_are_both_gone_leave_a_gap(copy):
    folder = copy("davis16")
    (folder / "ImageSets/480p/val.txt").unlink()
    name = files(folder, "JPEGImages/480p/*")[0].name
    (folder / f"JPEGImages/480p/{name}/00003.jpg").unlink()
    (folder / f"Annotations/480p/{name}/00003.png").unlink()
    ((where, problem),) = found(folder, "all").items()
    assert where == f"JPEGImages/480p/{name}/00003.jpg"
    assert problem.startswith("missing: the numbers go from 00000 to 000")


def test_a_lost_sequence(copy):
    folder = copy("davis17")
    name = (folder / "ImageSets/2017/val.txt").read_text().split()[0]
    for part in ("JPEGImages", "Annotations"):
        shutil.rmtree(folder / part / "480p" / name)
    assert found(folder) == {f"JPEGImages/480p/{name}": "missing: the split lists this sequence"}


def test_a_malformed_line_of_a_list(copy):
    folder = copy("davis16")
    path = folder / "ImageSets/480p/val.txt"
    path.write_text(path.read_text() + "/JPEGImages/480p/cat/00000.jpg\n")
    assert "is no frame and its mask" in found(folder)["ImageSets/480p/val.txt"]


def test_a_camera_that_is_missing(copy):
    folder = copy("ft3d")
    path = files(folder, "camera_data/TRAIN/*/*/camera_data.txt")[0]
    lines = path.read_text().split("\n\n")
    path.write_text("\n\n".join(lines[1:]))
    assert found(folder) == {str(path.relative_to(folder)): "no camera of frame 0006"}


def test_a_part_that_was_not_unpacked(copy):
    folder = copy("ft3d")
    shutil.rmtree(folder / "disparity")
    assert found(folder)["disparity/TRAIN"] == "missing: this part of the data set was not unpacked"


def test_a_damaged_definition_of_fbms(copy):
    folder = copy("fbms")
    path = files(folder, "Testset/*/GroundTruth/*Def.dat")[0]
    cut(path)
    assert set(found(folder)) == {str(path.relative_to(folder))}


def test_data_sets_without_a_listing_are_read_as_their_reader_does(copy):
    folder = copy("ilsvrc_vid")
    paths = files(folder, "Data/VID/train/*/*/*.JPEG")
    cut(paths[0])
    cut(paths[1])
    assert {str(paths[0].relative_to(folder)), str(paths[1].relative_to(folder))} == set(found(folder))


def test_boxes_are_read_and_missed_where_other_frames_have_them(copy):
    folder = copy("ilsvrc_vid")
    notes = files(folder, "Annotations/VID/train/*/*/*.xml")
    cut(notes[1])
    notes[2].unlink()
    damage = found(folder)
    assert len(damage) == 2
    assert str(notes[1].relative_to(folder)) in damage
    assert "frame 000002 has no boxes" in damage["."]


def test_a_lost_mask_of_fusionseg_is_named_where_prepare_has_listed_it(copy):
    folder = copy("fusionseg_vid")
    masks = files(folder, "Annotations/*/*.png")
    (folder / "frames.txt").write_text("".join(f"{path.parent.name}/{path.stem}\n" for path in masks))
    masks[1].unlink()
    assert found(folder) == {str(masks[1].relative_to(folder)): "missing: frames.txt lists it"}


@pytest.mark.parametrize("name", ["davis16", "davis17", "ytvos", "msra10k"])
def test_a_flipped_bit_anywhere_in_a_png_is_named(copy, name):
    folder = copy(name)
    path = files(folder, "**/*.png")[0]
    content = path.read_bytes()
    for place in (20, 100, len(content) // 2, len(content) - 40, len(content) - 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        damage = found(folder, "all" if name.startswith("davis") else None)
        assert list(damage) == [str(path.relative_to(folder))], place


def test_a_resized_frame_of_a_video_with_boxes_is_named(copy):
    folder = copy("ilsvrc_vid")
    path = files(folder, "Data/VID/train/*/*/*.JPEG")[1]
    write_frame(path, np.zeros((24, 32, 3), np.uint8))
    assert found(folder) == {
        ".": f"{path.parent.name}: frame 000001 has 32x24 pixels, but the others {WIDTH}x{HEIGHT}"
    }


def test_a_lost_list_is_named(copy):
    for name, path in (("davis16", "ImageSets/480p/val.txt"), ("davis17", "ImageSets/2017/val.txt")):
        folder = copy(name)
        (folder / path).unlink()
        assert list(found(folder)) == [path]


def test_an_official_edition_must_be_complete(copy):
    folder = copy("davis16")
    (folder / "MINI.json").unlink()
    ((where, problem),) = found(folder).items()
    assert where == "ImageSets/480p/val.txt"
    assert problem.endswith("sequences instead of 20")


def test_what_only_the_reader_notices(copy):
    folder = copy("fbms")
    path = files(folder, "Testset/*/GroundTruth/*Def.dat")[0]
    (path.parent / "second_Def.dat").write_bytes(path.read_bytes())
    assert "2 definition files" in "".join(found(folder).values())


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_no_such_folder_and_no_such_split(minis, tmp_path, name):
    with pytest.raises(InputError, match=r"no folder|no such folder|no such file"):
        verify(name, tmp_path)
    with pytest.raises(InputError, match=r"unknown split"):
        verify(name, minis(name), "vall")


def test_damage_prints_as_one_line():
    assert str(Damage(Path("a/b.jpg"), "empty file")) == "a/b.jpg: empty file"


@pytest.mark.real_data
def test_the_real_validation_split_is_whole(real_data):
    looked = []
    start = time.perf_counter()
    assert verify("davis16", real_data("davis16"), progress=lambda *what: looked.append(what)) == []
    assert len(looked) == 2 * 1376
    assert time.perf_counter() - start < 60


@pytest.fixture
def real_copy(real_data, tmp_path):
    """The real DAVIS 2016 as links, two sequences as files that may be damaged."""
    real = real_data("davis16") / "davis16"
    folder = tmp_path / "davis16"
    shutil.copytree(real / "ImageSets", folder / "ImageSets")
    for part in ("JPEGImages/480p", "Annotations/480p"):
        (folder / part).mkdir(parents=True)
        for sequence in sorted((real / part).iterdir()):
            if sequence.name in ("car-shadow", "dog"):
                shutil.copytree(sequence, folder / part / sequence.name, copy_function=shutil.copyfile)
            else:
                (folder / part / sequence.name).symlink_to(sequence)
    return folder


@pytest.mark.real_data
def test_damage_of_real_files_is_named_exactly(real_copy):
    frames, masks = (real_copy / part / "480p" for part in ("JPEGImages", "Annotations"))
    (frames / "dog/00007.jpg").unlink()
    (masks / "car-shadow/00000.png").unlink()
    cut(frames / "car-shadow/00012.jpg", 0.99)
    cut(masks / "dog/00059.png", 0.9)
    with Image.open(frames / "dog/00030.jpg") as image:
        image.resize((427, 240)).save(frames / "dog/00030.jpg")
    problems = found(real_copy)
    assert problems.pop("JPEGImages/480p/dog/00007.jpg") == "missing"
    assert problems.pop("Annotations/480p/car-shadow/00000.png") == "missing"
    assert "truncated" in problems.pop("JPEGImages/480p/car-shadow/00012.jpg")
    assert "truncated" in problems.pop("Annotations/480p/dog/00059.png")
    assert problems.pop("JPEGImages/480p/dog/00030.jpg") == (
        "427x240 pixels, but the other files of dog have 854x480"
    )
    assert problems == {}


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("davis16", "ImageSets/480p/val.txt"),
        ("davis17", "ImageSets/2017/val.txt"),
        ("fbms", "Testset/*/GroundTruth/*Def.dat"),
        ("ytvos", "train/meta.json"),
        ("ft3d", "camera_data/TRAIN/*/*/camera_data.txt"),
    ],
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), min_size=1, max_size=4))
@example(edits=[(0, b"/")])
@example(edits=[(0, b"../")])
def test_damaged_lists_never_crash(copy, minis, tmp_path, name, lists, edits):
    folder = tmp_path / name if (tmp_path / name).is_dir() else copy(name)
    path = files(folder, lists)[0]
    content = bytearray((minis(name) / path.relative_to(tmp_path)).read_bytes())
    for position, new in edits:
        start = position % len(content)
        content[start : start + len(new) + 1] = new
    path.write_bytes(content)
    damage = verify(name, folder.parent, workers=1)
    assert all("\n" not in str(item) for item in damage)
    assert all(item.path.is_relative_to(folder) for item in damage)


def test_a_stray_number_is_not_a_million_damages(copy):
    folder = copy("davis17")
    path = files(folder, "JPEGImages/480p/*/00003.jpg")[0]
    shutil.copyfile(path, path.with_name("99999999.jpg"))
    problems = found(folder, "all")
    # the gap, and the mask of that frame in both editions
    assert len(problems) == 3
    assert "frames, the numbers go from 00000 to 99999999" in problems[str(path.parent.relative_to(folder))]


def test_names_that_clash(copy):
    folder = copy("segtrack")
    path = files(folder, "JPEGImages/*/*.png")[0]
    shutil.copyfile(path, path.with_suffix(".jpg"))
    assert any("has the same name as" in problem for problem in found(folder).values())


def test_another_layout(tmp_path):
    (tmp_path / "davis16/frames").mkdir(parents=True)
    assert "no folder 'JPEGImages' in it" in found(tmp_path / "davis16")["."]
