import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.png import write_ids
from vosbench.formats.run_length import compress, run_lengths
from vosbench.models.postprocessing.objectness import ObjectnessMaps, objectness_of, reweight
from vosbench.video import Video

HEIGHT, WIDTH = 4, 6
DOG = Video("dog", [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 2, ("00000", "00001"))


def columns(start, stop):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, start:stop] = True
    return mask


def proposal(mask, score=1.0, frame="00000", **changes):
    lengths = {"size": [HEIGHT, WIDTH], "counts": compress(run_lengths(mask))}
    return {"image_id": frame, "score": score, "segmentation": lengths} | changes


def write_proposals(folder, proposals):
    (folder / "dog.json").write_text(json.dumps(proposals))
    return ObjectnessMaps(folder)


def write_map(folder, name, levels):
    path = folder / f"dog/{name}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(levels, np.uint8)).save(path)
    return path


def test_motion_by_hand():
    motion = np.array([[0.8, 0.8, 0.8, 0.0, 1.0]], np.float32)
    objectness = np.array([[0.0, 0.5, 1.0, 1.0, 0.25]], np.float32)
    weighed = reweight(motion, objectness)
    np.testing.assert_allclose(weighed, [[0.4, 0.8, 1.0, 0.0, 0.75]], rtol=1e-6)
    assert weighed.dtype == np.float32


maps = arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


@given(maps, maps)
def test_motion_stays_a_probability_and_grows_only_on_objects(motion, objectness):
    weighed = reweight(motion, objectness)
    assert ((weighed >= 0) & (weighed <= 1)).all()
    assert (weighed[objectness <= 0.5] <= motion[objectness <= 0.5]).all()
    assert (weighed[objectness >= 0.5] >= motion[objectness >= 0.5]).all()


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        reweight(np.zeros((3, 4)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"masks are \(N, H, W\)"):
        objectness_of(np.zeros((3, 4), bool))


def test_counts_are_scaled_by_the_largest():
    masks = np.stack([columns(0, 4), columns(0, 2), columns(1, 2), columns(0, 4)])
    expected = np.array([0.75, 1, 0.5, 0.5, 0, 0], np.float32)
    found = objectness_of(masks)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.tile(expected, (HEIGHT, 1)))


def test_without_proposals_nothing_is_an_object():
    assert not objectness_of(np.zeros((0, HEIGHT, WIDTH), bool)).any()
    assert not objectness_of(np.zeros((5, HEIGHT, WIDTH), bool)).any()


def test_grey_maps(tmp_path):
    for index, level in enumerate((0, 51)):
        write_map(tmp_path, f"0000{index}", np.full((HEIGHT, WIDTH), level))
    first, second = ObjectnessMaps(tmp_path).of(DOG)
    assert not first.any()
    np.testing.assert_allclose(second, 0.2, rtol=1e-6)
    assert (second.dtype, second.shape) == (np.float32, (HEIGHT, WIDTH))


def test_proposals_of_a_file_are_counted_per_frame(tmp_path):
    masks = [columns(0, 4), columns(0, 2)]
    others = [proposal(columns(5, 6), frame="00001")]
    found = write_proposals(tmp_path, [proposal(mask) for mask in masks] + others).of(DOG)
    assert len(found) == 2
    assert np.array_equal(found[0], objectness_of(np.stack(masks)))
    assert np.array_equal(found[1], columns(5, 6))


def test_polygons_and_plain_run_lengths_are_read_as_well(tmp_path):
    plain = {"size": [HEIGHT, WIDTH], "counts": run_lengths(columns(0, 2))}
    polygon = [[0, 0, 2, 0, 2, HEIGHT, 0, HEIGHT]]
    given_masks = [proposal(columns(0, 2), segmentation=form) for form in (plain, polygon)]
    assert np.array_equal(write_proposals(tmp_path, given_masks).of(DOG)[0], columns(0, 2))


def test_a_frame_without_proposals_has_no_object(tmp_path):
    assert not write_proposals(tmp_path, [proposal(columns(0, 2))]).of(DOG)[1].any()


def test_the_best_100_count(tmp_path):
    good = [proposal(columns(0, 2), 0.5 + index / 1000) for index in range(100)]
    poor = [proposal(columns(3, 4), 0.1 + index / 1000) for index in range(50)]
    assert np.array_equal(write_proposals(tmp_path, poor + good).of(DOG)[0], columns(0, 2))
    assert write_proposals(tmp_path, poor + good[:99]).of(DOG)[0][0, 3] == np.float32(1 / 99)


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder of objectness maps"):
        ObjectnessMaps(tmp_path / "nowhere")


def refused(folder, message):
    with pytest.raises(InputError, match=message) as caught:
        list(ObjectnessMaps(folder).of(DOG))
    assert "\n" not in str(caught.value)


def test_a_sequence_has_its_objectness_once(tmp_path):
    refused(tmp_path, r"no objectness of dog; expected dog/FRAME\.png or dog\.json")
    write_map(tmp_path, "00000", np.zeros((HEIGHT, WIDTH)))
    write_proposals(tmp_path, [])
    refused(tmp_path, r"dog: objectness as maps and as dog\.json; keep one of them")


def test_maps_that_cannot_be_used_are_named(tmp_path):
    write_map(tmp_path, "00000", np.zeros((HEIGHT, WIDTH)))
    refused(tmp_path, r"dog/00001\.png: no objectness map of this frame, 1 of 2 lack")
    write_map(tmp_path, "00001", np.zeros((3, 5)))
    refused(tmp_path, r"dog/00001\.png: map is 5x3 pixels, the frame is 6x4")
    write_map(tmp_path, "00001", np.zeros((HEIGHT, WIDTH, 3)))
    refused(tmp_path, r"dog/00001\.png: an objectness map is an 8-bit grey PNG")
    write_ids(tmp_path / "dog/00001.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    refused(tmp_path, r"dog/00001\.png: an objectness map is an 8-bit grey PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"dog\.json: expected a list of detections"),
        ([proposal(columns(0, 1), frame="7")], r"dog\.json: detection 1 has image_id '7'"),
        ([proposal(columns(0, 1), None)], r"dog\.json: frame 00000: a proposal has score None"),
        ([proposal(columns(0, 1), float("nan"))], r"dog\.json: not a JSON file .NaN is no number"),
        (
            [proposal(columns(0, 1), segmentation=7)],
            "00000: a proposal cannot be used: neither polygons",
        ),
        (
            [proposal(columns(0, 1), segmentation={"size": [3, 3], "counts": [9]})],
            r"frame 00000: a proposal cannot be used: run lengths of size \[3, 3\]",
        ),
    ],
)
def test_proposals_that_cannot_be_used_are_named(tmp_path, content, message):
    write_proposals(tmp_path, content)
    refused(tmp_path, message)
