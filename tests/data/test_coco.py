import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.datasets.coco import Coco
from vosbench.errors import InputError
from vosbench.formats.coco_json import CocoFile
from vosbench.formats.run_length import run_lengths
from vosbench.video import Box

HEIGHT, WIDTH = 20, 30


def rectangle(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def thing(image, category, x, y, width, height, **more):
    box = [x, y, width, height]
    return {
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "segmentation": rectangle(*box),
        "iscrowd": 0,
    } | more


def crowd(image, mask):
    runs = {"size": [HEIGHT, WIDTH], "counts": run_lengths(mask)}
    return thing(image, 1, 0, 0, 1, 1, segmentation=runs, iscrowd=1)


def content():
    everywhere = np.zeros((HEIGHT, WIDTH), bool)
    everywhere[:, 15:] = True
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 9, "file_name": "000000000009.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 25, "file_name": "000000000025.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 30, "file_name": "000000000030.jpg", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [
            thing(25, 1, 2, 2, 4, 4),
            # small, inside of the next
            thing(9, 18, 4, 4, 2, 3),
            thing(9, 1, 2, 2, 16, 10),
            crowd(9, everywhere),
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    }


def write(root, value, split="val"):
    folder = root / "coco"
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / f"{split}2017").mkdir(exist_ok=True)
    path = folder / "annotations" / f"instances_{split}2017.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.fixture
def root(tmp_path):
    write(tmp_path, content())
    for name in (9, 25, 30):
        picture = np.full((HEIGHT, WIDTH, 3), name, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"coco/val2017/{name:012d}.jpg")
    return tmp_path


def test_an_image_is_a_video_of_one_frame(root):
    dataset = open_dataset("coco", root, "val")
    assert isinstance(dataset, Coco)
    assert [video.name for video in dataset] == ["000000000009", "000000000025", "000000000030"]
    assert dataset.classes == ("person", "dog")
    video = dataset[0]
    assert (len(video), video.frame_names, list(video.annotations)) == (1, ("000000000009",), [0])
    assert abs(int(video.frames[0][3, 3, 0]) - 9) <= 1
    assert video.categories == {1: "dog", 2: "person"}
    assert video.boxes[0] == (Box(1, "dog", 4, 4, 2, 3), Box(2, "person", 2, 2, 16, 10))


def test_the_smaller_object_is_on_top_and_crowds_are_void_below_all(root):
    ids = open_dataset("coco", root, "val")[0].annotations[0]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, 15:] = 255
    expected[2:12, 2:18] = 2
    expected[4:7, 4:6] = 1
    np.testing.assert_array_equal(ids, expected)


def test_images_without_annotations_can_be_left_out(root):
    empty = open_dataset("coco", root, "val")[2]
    assert not empty.annotations[0].any()
    assert (dict(empty.boxes), dict(empty.categories)) == ({0: ()}, {})
    assert len(open_dataset("coco", root, "val", labelled_only=True)) == 2


def test_layout_errors_say_what_to_unpack(root):
    with pytest.raises(
        InputError, match=r"instances_train2017\.json: no such file; unpack annotations_trainval"
    ):
        open_dataset("coco", root, "train")
    with pytest.raises(InputError, match="unknown split of coco 'vall': did you mean val"):
        open_dataset("coco", root, "vall")
    (root / "coco/val2017/000000000009.jpg").unlink()
    with pytest.raises(InputError, match=r"000000000009\.jpg: no such file"):
        _ = open_dataset("coco", root, "val")[0].annotations[0]
    (root / "coco/val2017").rename(root / "coco/elsewhere")
    with pytest.raises(InputError, match=r"val2017: no such folder; unpack val2017\.zip"):
        open_dataset("coco", root, "val")


def test_an_image_of_another_size_is_named(root):
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(root / "coco/val2017/000000000025.jpg")
    with pytest.raises(InputError, match=r"000000000025\.jpg: 30x20 pixels, but .* 31x20"):
        _ = open_dataset("coco", root, "val")[1].annotations[0]


def changed(path, value):
    """The content with the value at `path` replaced, or removed where it is None."""
    whole = content()
    place = whole
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["annotations"], None, "no list 'annotations'"),
        (["annotations"], {}, "no list 'annotations'"),
        (["categories"], None, "no list 'categories'"),
        (["annotations", 1, "image_id"], 7, "object 1 is in image 7, which the file does not list"),
        (["annotations", 1, "image_id"], "9", "object 1 has no image_id"),
        (["images", 1, "id"], 9, "two images have one id"),
        (["images", 1, "file_name"], "000000000009.png", "two images are called 000000000009"),
        (["images", 1, "file_name"], "../9.jpg", "image 1 has no id and file_name"),
        (["images", 1, "height"], None, "image 000000000025.jpg has no height and width"),
        (["images", 1, "width"], 10**9, "no height and width"),
        (["categories", 1, "id"], 18, "category 1 has no id of its own"),
    ],
)
def test_damaged_files_are_explained_on_opening(tmp_path, path, value, message):
    write(tmp_path, changed(path, value))
    with pytest.raises(InputError, match=message) as error:
        open_dataset("coco", tmp_path, "val")
    assert "instances_val2017.json" in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["annotations", 1, "category_id"], 5, "object 1 in image .*9.jpg has category_id 5"),
        (["annotations", 1, "bbox"], [1, 2, 3], "object 1 .* has no bbox"),
        (["annotations", 1, "bbox"], [1, 2, -3, 4], "has no bbox"),
        (["annotations", 1, "iscrowd"], 2, "has iscrowd 2"),
        (
            ["annotations", 1, "segmentation"],
            [[1, 2]],
            r"\(dog\) in image .*9.jpg has a polygon without three",
        ),
    ],
)
def test_damaged_objects_are_explained_when_they_are_read(root, path, value, message):
    write(root, changed(path, value))
    with pytest.raises(InputError, match=message):
        _ = open_dataset("coco", root, "val")[0].annotations[0]


def test_a_file_that_changes_while_it_is_open_is_noticed(root):
    video = open_dataset("coco", root, "val")[0]
    write(root, {"images": []})
    with pytest.raises(InputError, match="has changed since it was opened"):
        _ = video.annotations[0]


def test_places_in_the_file_are_right_behind_other_letters(root):
    whole = content()
    whole["categories"][0]["name"] = "Hündin"
    whole["info"] = {"description": "mañana 犬"}
    text = json.dumps(whole, ensure_ascii=False, indent=3)
    path = root / "coco/annotations/instances_val2017.json"
    path.write_text(text, encoding="utf-8")
    video = open_dataset("coco", root, "val")[0]
    assert video.categories[1] == "Hündin"
    assert np.unique(video.annotations[0]).tolist() == [0, 1, 2, 255]


def test_more_objects_than_ids(tmp_path):
    whole = content()
    whole["annotations"] = [thing(9, 1, 0, 0, 2, 2)] * 255
    write(tmp_path, whole)
    with pytest.raises(InputError, match=r"255 objects in image .*, ids end at 254"):
        _ = open_dataset("coco", tmp_path, "val")[0].boxes[0]


TEXT = json.dumps(content())


def outcome(path):
    """Read everything; the ids of every mask, or the sentence of the error."""
    try:
        file = CocoFile(path)
        return [file.mask(item, index) for index in range(len(file)) for item in file.objects(index)]
    except InputError as error:
        return str(error)


def is_clear(result, path):
    if isinstance(result, str):
        return str(path) in result and "\n" not in result
    return all(mask.ndim == 2 and mask.dtype == np.bool_ for mask in result)


@given(end=st.integers(0, len(TEXT) - 1))
def test_a_truncated_file_is_an_error(tmp_path_factory, end):
    path = tmp_path_factory.mktemp("cut") / "a.json"
    path.write_text(TEXT[:end])
    result = outcome(path)
    assert isinstance(result, str)
    assert is_clear(result, path)


@given(place=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_crashes(tmp_path_factory, place, bit):
    data = bytearray(TEXT.encode())
    data[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "a.json"
    path.write_bytes(data)
    assert is_clear(outcome(path), path)


@given(data=st.binary(max_size=60) | st.text('{}[]:,"ab1 \n', max_size=60).map(str.encode))
def test_any_bytes_never_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "a.json"
    path.write_bytes(data)
    result = outcome(path)
    assert isinstance(result, str)
    assert is_clear(result, path)


def test_deep_nesting_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text('{"info": ' + "[" * 10**6)
    assert "a.json: not a JSON file of COCO" in outcome(tmp_path / "a.json")


@pytest.mark.real_data
def test_the_panoptic_sample_gives_the_regions_of_its_pictures(real_data, tmp_path):
    sample = real_data("coco_panoptic_sample") / "coco_panoptic_sample"
    (tmp_path / "coco/annotations").mkdir(parents=True)
    (tmp_path / "coco/val2017").symlink_to(sample / "input_images")
    source = sample / "panoptic_coco_detection_format.json"
    (tmp_path / "coco/annotations/instances_val2017.json").symlink_to(source)
    stated = json.loads(source.read_text())["annotations"]
    videos = open_dataset("coco", tmp_path, "val")
    assert [len(video.boxes[0]) for video in videos] == [17, 30]
    for video in videos:
        ids = video.annotations[0]
        assert video.frames[0].shape[:2] == ids.shape
        colours = np.asarray(Image.open(sample / "panoptic_examples" / f"{video.name}.png"), np.int64)
        regions = colours @ np.array([1, 256, 65536])
        mine = [item for item in stated if item["image_id"] == int(video.name) and not item["iscrowd"]]
        for id_, item in enumerate(mine, start=1):
            # one region of the panoptic picture, whole, and of the stated area
            (region,) = np.unique(regions[ids == id_])
            assert (regions == region).sum() == (ids == id_).sum() == item["area"]
            rows, columns = np.nonzero(ids == id_)
            box = video.boxes[0][id_ - 1]
            assert (box.x, box.y) == (columns.min(), rows.min())
            assert (box.width, box.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
