"""Detections of others, scored under the protocol of tables 1 to 4 of Dave et al."""

import json

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.evaluation.detections import DetectionFolder
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import overall
from vosbench.video import Video

pytest.importorskip("faster_coco_eval", reason="extra coco is not installed")

RULES = load_protocol("davis16-map50")
SHAPE = (6, 8)


def box_mask(x, y, width, height):
    mask = np.zeros(SHAPE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def run_lengths(mask):
    """Uncompressed COCO run lengths: column by column, beginning with zeros."""
    values = mask.ravel(order="F").astype(int)
    starts = np.flatnonzero(np.diff(values, prepend=0))
    return [int(n) for n in np.diff([0, *starts, len(values)])]


def detection(frame, mask, score, **changes):
    segmentation = {"size": list(SHAPE), "counts": run_lengths(mask)}
    return {"image_id": frame, "score": score, "segmentation": segmentation} | changes


def video(name, *frames):
    """Each frame a list of masks with ids 1, 2, ..."""
    maps = {}
    for index, masks in enumerate(frames):
        maps[index] = np.zeros(SHAPE, np.uint8)
        for number, mask in enumerate(masks, start=1):
            maps[index][mask] = number
    picture = np.zeros((*SHAPE, 3), np.uint8)
    return Video(name, [picture] * len(frames), tuple(f"{i:05}" for i in range(len(frames))), maps)


LEFT, RIGHT, LAST = box_mask(0, 0, 3, 3), box_mask(4, 2, 3, 3), box_mask(1, 1, 2, 2)
DOG = video("dog", [LEFT, RIGHT], [LEFT], [LAST])


@pytest.fixture
def write(tmp_path):
    def write(sequence, content):
        (tmp_path / f"{sequence}.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        return tmp_path

    return write


def score(folder, *videos):
    opened = DetectionFolder.open(folder, [each.name for each in videos], RULES)
    return {each.name: opened.score(each) for each in videos}


def test_by_hand_over_all_frames_but_the_last(write):
    # three regions in two frames: one found first, then a false alarm, then the second one; one is missed
    found = [
        detection("00000", LEFT, 0.9),
        detection("00001", RIGHT, 0.8),
        detection("00001", LEFT, 0.7),
        detection("00002", LEFT, 0.99),
    ]
    values = score(write("dog", found), DOG)["dog"]
    # precision 1 up to recall 1/3 (34 of 101 points), 2/3 up to recall 2/3 (33 points), then 0
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert values.values == pytest.approx({"map50_det": expected, "map50_seg": expected})
    assert values.objects == 2


def test_frames_of_all_sequences_are_one_collection(write):
    write(
        "dog", [detection("00000", LEFT, 0.9), detection("00000", RIGHT, 0.9), detection("00001", LEFT, 0.9)]
    )
    cat = video("cat", [LEFT], [LEFT])
    scores = score(write("cat", [detection("00000", RIGHT, 0.1)]), DOG, cat)
    assert scores["dog"].values["map50_seg"] == 1
    assert scores["cat"].values["map50_seg"] == 0
    # three of four regions come before the false alarm: recalls 0 to 0.75
    assert overall(scores, RULES)["map50_seg"] == pytest.approx(76 / 101)


def test_a_box_of_its_own_counts_for_boxes_alone(write):
    found = [detection("00000", LEFT, 0.9, bbox=[4.0, 2.0, 3.0, 3.0])]
    values = score(write("dog", found), video("dog", [RIGHT], []))["dog"].values
    assert values == {"map50_det": 1.0, "map50_seg": 0.0}


def test_no_detection_at_all_scores_zero(write):
    assert score(write("dog", []), DOG)["dog"].values == {"map50_det": 0.0, "map50_seg": 0.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "dog.json: not a JSON file"),
        ({"annotations": []}, "dog.json: expected a list of detections"),
        (
            [{"image_id": 3}],
            "detection 1 has image_id 3; give the name of a frame of dog, as text, e.g. '00000'",
        ),
        ([detection("00009", LEFT, 0.5)], "image_id '00009'"),
        ([{"image_id": "00000", "score": 1}], "dog.json: frame 00000: a detection needs a score"),
        (
            [detection("00000", LEFT, 0.5, segmentation={"size": [3, 3], "counts": [9]})],
            "frame 00000: the segmentation of a detection has size",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(write, content, message):
    with pytest.raises(InputError, match=message):
        score(write("dog", content), DOG)


def test_missing_sequences_are_named(write):
    with pytest.raises(InputError, match=r"no detections for 1 of 2 sequences: cat; .*cat\.json"):
        DetectionFolder.open(write("dog", []), ["dog", "cat"], RULES)
