import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.datasets.ytvos import read_categories
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError
from vosbench.formats.png import write_ids

OBJECTS = {"1": {"category": "penguin", "frames": ["00005"]}, "2": {"category": "hand", "frames": ["00005"]}}


def write_frames(folder, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (16, 12), (number, 0, 0)).save(folder / f"{number:05d}.jpg")


def write_video(root, name):
    folder = root / "ytvos"
    write_frames(folder / "train/JPEGImages" / name, [5, 10, 15])
    write_frames(folder / "train_all_frames/JPEGImages" / name, range(3, 18))
    for number in (5, 10, 15):
        ids = np.zeros((12, 16), np.uint8)
        ids[2:6, 2:8], ids[8:10, 2:5] = 2, 1
        write_ids(folder / "train/Annotations" / name / f"{number:05d}.png", ids)


@pytest.fixture
def root(tmp_path):
    names = ["003234408d", shipped_split("ytvos_moving_val")[0]]
    for name in names:
        write_video(tmp_path, name)
    meta = {"videos": {name: {"objects": OBJECTS} for name in names}}
    (tmp_path / "ytvos/train/meta.json").write_text(json.dumps(meta))
    return tmp_path


def test_frames_masks_and_categories(root):
    dataset = open_dataset("ytvos", root)
    assert [video.name for video in dataset] == ["003234408d", "0248626d9a"]
    video = dataset[0]
    assert (video.frame_names, list(video.annotations)) == (("00005", "00010", "00015"), [0, 1, 2])
    assert video.categories == {1: "penguin", 2: "hand"}
    assert np.unique(video.annotations[1]).tolist() == [0, 1, 2]


def test_all_frames_have_masks_at_every_fifth(root):
    video = open_dataset("ytvos", root, frames="all")[0]
    assert (len(video), list(video.annotations)) == (15, [2, 7, 12])
    assert video.frame_names[7] == "00010"
    with pytest.raises(InputError, match="unknown frames of ytvos"):
        open_dataset("ytvos", root, frames="some")


def test_the_moving_lists_of_the_paper_are_shipped(root):
    train, val = (shipped_split(f"ytvos_moving_{part}") for part in ("train", "val"))
    assert (len(set(train)), len(set(val)), len({*train, *val})) == (396, 101, 497)
    with pytest.raises(
        InputError, match="does not describe video 04474174a4 of the list of split moving_val"
    ):
        open_dataset("ytvos", root, "moving_val")
    lists = root / "ytvos/ImageSets"
    lists.mkdir()
    (lists / "moving_val.txt").write_text("0248626d9a\n")
    assert [video.name for video in open_dataset("ytvos", root, "moving_val")] == ["0248626d9a"]


def test_what_is_missing_is_named(root):
    folder = root / "ytvos/train"
    (folder / "JPEGImages/003234408d/00010.jpg").unlink()
    with pytest.raises(InputError, match=r"00010\.png: there is no frame 00010 in .*JPEGImages/003234408d"):
        open_dataset("ytvos", root)
    (folder / "JPEGImages/003234408d").rename(root / "away")
    with pytest.raises(InputError, match="lacks 1 of 2 sequences of split train, first 003234408d"):
        open_dataset("ytvos", root)
    (folder / "Annotations").rename(root / "gone")
    with pytest.raises(InputError, match=r"train/Annotations: no such folder; unpack train\.zip"):
        open_dataset("ytvos", root)
    with pytest.raises(InputError, match="unknown split of ytvos 'moving_vall'"):
        open_dataset("ytvos", root, "moving_vall")


def test_a_video_without_masks_is_named(root):
    for path in (root / "ytvos/train/Annotations/003234408d").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="Annotations/003234408d: no masks"):
        open_dataset("ytvos", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON file"),
        ("[" * 10**6, "not a JSON file"),
        ("[]", "holds no JSON object"),
        ("{}", "no object 'videos'"),
        ('{"videos": {"a": {}}}', "video 'a' has no object 'objects'"),
        ('{"videos": {"a": {"objects": {"0": {"category": "x"}}}}}', "object '0' of video 'a' is no id"),
        ('{"videos": {"a": {"objects": {"255": {"category": "x"}}}}}', "object '255'"),
        ('{"videos": {"a": {"objects": {"1": {}}}}}', "object '1'"),
    ],
)
def test_damaged_categories_are_explained(tmp_path, text, message):
    path = tmp_path / "meta.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"meta\.json: .*{message}"):
        read_categories(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"meta\.json: no such file"):
        read_categories(tmp_path / "meta.json")


META = json.dumps({"videos": {"a": {"objects": OBJECTS}}}).encode()


def is_clear(path):
    try:
        found = read_categories(path)
    except InputError as error:
        return str(path) in str(error) and "\n" not in str(error)
    return all(
        1 <= id_ <= 254 and isinstance(name, str) for ids in found.values() for id_, name in ids.items()
    )


@given(place=st.integers(0, len(META) - 1), bit=st.integers(0, 7), end=st.none() | st.integers(0, len(META)))
def test_damage_never_crashes(tmp_path_factory, place, bit, end):
    content = bytearray(META)
    content[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "meta.json"
    path.write_bytes(content[:end])
    assert is_clear(path)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["videos", "objects", "category", "1", "a\n"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(value=JSON)
def test_any_json_never_crashes(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "meta.json"
    path.write_text(json.dumps(value))
    assert is_clear(path)
