"""Average precision at IoU 0.5: a brute-force twin of the definition, cases by hand, results files."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("faster_coco_eval", reason="the extra 'coco' is not installed")

from vosbench.metrics.detection import MaskAveragePrecision
from vosbench.metrics.functional.detection import average_precision
from vosbench.metrics.kernels.detection import DetectionPool

HEIGHT, WIDTH = 5, 6


def rectangle(x, y, width, height):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def tight_box(mask):
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = columns[0], rows[0]
    return [int(x), int(y), int(columns[-1] - x + 1), int(rows[-1] - y + 1)]


def mask_areas(a, b):
    return (a & b).sum(), a.sum(), b.sum()


def box_areas(a, b):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    width = min(ax + aw, bx + bw) - max(ax, bx)
    height = min(ay + ah, by + bh) - max(ay, by)
    return max(width, 0) * max(height, 0), aw * ah, bw * bh


def overlap(areas, crowd):
    both, detection, region = areas
    union = detection if crowd else detection + region - both
    return both / union if both else 0.0


def matched(frame, areas):
    """Steps 1 to 3 for a frame: its detections that count, as (score, right or wrong)."""
    order = sorted(range(len(frame["found"])), key=lambda i: -frame["scores"][i])[:100]
    free = dict.fromkeys(range(len(frame["regions"])), True)
    for i in order:
        best = {False: None, True: None}
        for j, region in enumerate(frame["regions"]):
            crowd = frame["crowd"][j]
            iou = overlap(areas(frame["found"][i], region), crowd)
            # of equals the later one; a crowd takes any number of detections
            if iou >= 0.5 and (free[j] or crowd) and (best[crowd] is None or iou >= best[crowd][0]):
                best[crowd] = (iou, j)
        if best[False] is not None:
            free[best[False][1]] = False
            yield frame["scores"][i], True
        elif best[True] is None:
            yield frame["scores"][i], False


def twin(frames, areas):
    to_find = sum(not crowd for frame in frames for crowd in frame["crowd"])
    if to_find == 0:
        return -1.0
    pooled = sorted((pair for frame in frames for pair in matched(frame, areas)), key=lambda pair: -pair[0])
    right = np.cumsum([correct for _, correct in pooled])
    recall = right / to_find
    precision = right / np.arange(1, len(pooled) + 1)
    # the largest precision at this recall or a later one
    values = [max(precision[recall >= r], default=0.0) for r in np.linspace(0, 1, 101)]
    return sum(values) / 101


@st.composite
def masks(draw, most):
    sizes = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
    return [rectangle(*draw(sizes)) for _ in range(draw(st.integers(0, most)))]


@st.composite
def frames(draw):
    out = []
    for _ in range(draw(st.integers(0, 3))):
        found, regions = draw(masks(5)), draw(masks(3))
        scores = [draw(st.sampled_from([0.9, 0.6, 0.5, 0.25, 0.0])) for _ in found]
        out.append(
            {
                "found": found,
                "scores": scores,
                "regions": regions,
                "crowd": [draw(st.integers(0, 4)) == 0 for _ in regions],
            }
        )
    return out


def with_boxes(frame):
    return {key: [*map(tight_box, frame[key])] for key in ("found", "regions")}


@settings(max_examples=250)
@given(frames())
def test_a_brute_force_twin_agrees(frames):
    pool = DetectionPool()
    for frame in frames:
        pool.add_masks(frame["found"], frame["scores"], target_masks=frame["regions"], crowd=frame["crowd"])
    expected = {
        "map50_det": twin([frame | with_boxes(frame) for frame in frames], box_areas),
        "map50_seg": twin(frames, mask_areas),
    }
    assert pool.compute() == pytest.approx(expected, abs=1e-12)


IDS = np.zeros((HEIGHT, WIDTH), np.uint8)
IDS[:2, :3] = 1
IDS[3:, 3:] = 7


def value(*detections, ids=IDS, **options):
    """Masks in falling order of score -> the average precision of one frame's masks."""
    pool = DetectionPool()
    pool.add_masks(detections, np.linspace(1, 0.5, len(detections)), target_ids=ids, **options)
    return pool.compute()["map50_seg"]


def test_by_hand():
    one, two, wrong = IDS == 1, IDS == 7, IDS == 0
    assert value(one, two) == 1
    # recall one half at full precision: recalls 0 to 0.5 are 51 of 101
    assert value(one) == pytest.approx(51 / 101)
    assert value(one, wrong, two) == pytest.approx((51 + 50 * 2 / 3) / 101)
    # a second detection of one object is wrong
    assert value(one, one, two) == value(one, wrong, two)
    assert value() == 0


def test_an_iou_of_one_half_is_enough():
    half = rectangle(0, 0, 3, 1)
    assert value(half, ids=np.where(IDS == 1, 1, 0)) == 1
    smaller = rectangle(0, 0, 2, 1)
    assert value(smaller, ids=np.where(IDS == 1, 1, 0)) == 0


def test_of_regions_of_equal_iou_the_later_one_is_taken():
    # both detections overlap the left region; the first overlaps the right one as much
    left, right = rectangle(0, 0, 2, 1), rectangle(1, 0, 2, 1)
    first, second = rectangle(0, 0, 3, 1), rectangle(0, 0, 2, 1)
    pool = DetectionPool()
    pool.add_masks([first, second], [0.9, 0.8], target_masks=[left, right])
    assert pool.compute()["map50_seg"] == 1
    turned = DetectionPool()
    turned.add_masks([first, second], [0.9, 0.8], target_masks=[right, left])
    assert turned.compute()["map50_seg"] == pytest.approx(51 / 101)


def test_what_lies_in_a_crowd_counts_neither_way():
    inside = rectangle(4, 4, 1, 1)
    assert value(inside, IDS == 1, crowd=[False, True]) == 1
    assert value(inside, IDS == 1, crowd=[False, False]) < 1


def test_a_hundred_detections_of_a_frame_count():
    wrong = [IDS == 0] * 99
    object_ids = np.where(IDS == 1, 1, 0)
    assert value(*wrong, IDS == 1, ids=object_ids) == pytest.approx(1 / 100)
    assert value(*wrong, IDS == 0, IDS == 1, ids=object_ids) == 0


def test_nothing_to_find_is_undefined():
    undefined = {"map50_det": -1, "map50_seg": -1}
    assert DetectionPool().compute() == undefined
    pool = DetectionPool()
    pool.add_masks([IDS == 1], [0.5], target_ids=np.zeros_like(IDS))
    pool.add_masks([], [], target_ids=IDS, crowd=[True, True])
    assert pool.compute() == undefined


def test_given_boxes_are_taken_instead_of_the_tight_ones():
    pool = DetectionPool()
    elsewhere = [[3, 3, 3, 2], [0, 0, 1, 1]]
    pool.add_masks([IDS == 1, IDS == 7], [0.9, 0.8], elsewhere, target_ids=IDS)
    assert pool.compute() == {"map50_det": pytest.approx(51 / 101), "map50_seg": 1}


def test_boxes_are_real_numbers_without_an_extra_pixel():
    # a box of 2 x 2 and one of 1.5 x 2 in it: IoU 0.75; of 0.99 x 2: below one half
    ids = rectangle(1, 1, 2, 2).astype(np.uint8)
    for width, expected in ((1.5, 1), (1.0, 1), (0.99, 0)):
        pool = DetectionPool()
        pool.add_masks([ids > 0], [1], [[1, 1, width, 2]], target_ids=ids)
        assert pool.compute()["map50_det"] == expected


def test_equal_scores_count_in_the_order_of_the_names_of_frames():
    frames = {"b": IDS == 0, "a": IDS == 1}
    values = []
    for named in (True, False):
        pool = DetectionPool()
        for name, mask in frames.items():
            pool.add_masks([mask], [0.5], target_ids=IDS, image_id=name if named else None)
        values.append(pool.compute()["map50_seg"])
    # one of four found: first the right one, then the wrong one
    assert values == [pytest.approx(26 / 101), pytest.approx(26 / 2 / 101)]


def test_names_are_for_all_frames_or_none():
    pool = DetectionPool()
    pool.add_masks([], [], target_ids=IDS, image_id=3)
    pool.add_masks([], [], target_ids=IDS)
    with pytest.raises(ValueError, match="all frames or for none"):
        pool.compute()


# Results files: run lengths go down the columns, beginning with background

COLUMNS = [0, 2, 3, 2, 3, 2, 18]
DETECTION = {
    "image_id": "00000",
    "score": 0.9,
    "bbox": [0, 0, 3, 2],
    "segmentation": {"size": [HEIGHT, WIDTH], "counts": COLUMNS},
}
ONE = np.where(IDS == 1, 1, 0)


def with_counts(counts):
    return DETECTION | {"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}}


def test_results_files_with_plain_and_compressed_run_lengths():
    from faster_coco_eval.core import mask

    compressed = mask.encode(np.asfortranarray(IDS == 1, np.uint8))["counts"]
    for counts in (COLUMNS, compressed, compressed.decode()):
        pool = DetectionPool()
        pool.add_frame(ONE, [with_counts(counts)])
        assert pool.compute() == {"map50_det": 1, "map50_seg": 1}
    pool = DetectionPool()
    pool.add_frame(ONE, [DETECTION | {"bbox": [5, 4, 1, 1]}])
    assert pool.compute() == {"map50_det": 0, "map50_seg": 1}
    pool = DetectionPool()
    pool.add_frame(ONE, [{key: DETECTION[key] for key in ("score", "segmentation")}])
    assert pool.compute()["map50_det"] == 1


def test_crowds_of_id_maps():
    wrong = DETECTION | {
        "score": 1.0,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": [18, 2, 3, 2, 3, 2]},
    }
    for crowd_ids, expected in (((), 0.5), ((7,), 1)):
        pool = DetectionPool()
        ids = np.where(IDS == 7, 7, 0) if crowd_ids else np.zeros_like(IDS)
        pool.add_frame(ids + ONE, [wrong, DETECTION], crowd_ids=crowd_ids)
        assert pool.compute()["map50_seg"] == expected


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0, 0.1, 0.5, 0.9, 1])
)
def test_run_lengths_are_those_of_the_library(height, width, seed, density):
    library = pytest.importorskip("faster_coco_eval.core.mask")
    mask = np.random.default_rng(seed).random((height, width)) < density
    pool = DetectionPool()
    pool.add_masks([mask], [0.5], target_masks=[mask])
    record = json.loads(pool.records[0])
    expected = library.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert record["detections"][0][2] == record["targets"][0][1] == expected


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_survive_the_way_through_a_file(height, width, seed, density):
    mask = np.random.default_rng(seed).random((height, width)) < density
    pool = DetectionPool()
    pool.add_masks([mask], [1], target_ids=np.ones((height, width), int))
    box, counts = json.loads(pool.records[0])["detections"][0][1:]
    again = DetectionPool()
    detection = {"score": 1, "bbox": box, "segmentation": {"size": [height, width], "counts": counts}}
    again.add_frame(np.ones((height, width), int), [detection])
    assert again.records == pool.records


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        ({"score": 1}, "needs a score, a segmentation"),
        (DETECTION | {"score": "high"}, "needs a score"),
        (DETECTION | {"score": float("nan")}, "must be numbers"),
        (DETECTION | {"bbox": [0, 0, 3]}, "bbox must be x, y, width, height"),
        (DETECTION | {"bbox": 3}, "bbox of four numbers"),
        (DETECTION | {"segmentation": {"size": [6, 5], "counts": COLUMNS}}, r"size \(6, 5\), its frame has"),
        *[
            (with_counts(counts), r"do not make a mask of \(5, 6\)")
            for counts in (
                COLUMNS[:-1],
                [*COLUMNS, 1],
                [-1, 31],
                [0.5, 29.5],
                "0",
                "0!",
                "0P",
                "",
                "\u00e4",
                30,
                None,
            )
        ],
    ],
)
def test_what_cannot_be_read_is_refused(detection, message):
    with pytest.raises(ValueError, match=message):
        DetectionPool().add_frame(IDS, [detection])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([IDS == 1], [1, 2]), {}, r"scores must be \(1,\)"),
        (([IDS == 1], [1], [[0, 0, 1]]), {}, r"boxes must be \(1, 4\)"),
        (([np.ones((2, 2), bool)], [1]), {}, "one shape"),
        (([IDS], [1]), {}, "masks must be bool"),
        (([], []), {"crowd": [True]}, r"crowd must be \(2,\)"),
        (([IDS == 1], [1], [[0, 0, np.inf, 1]]), {}, "must be numbers"),
        (([], []), {"target_ids": IDS / 2}, "integer ids"),
    ],
)
def test_masks_that_do_not_fit_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        DetectionPool().add_masks(*arguments, **({"target_ids": IDS} | options))


def tensors(*masks, scores=None):
    scores = torch.linspace(1, 0.5, len(masks)) if scores is None else torch.tensor(scores)
    return {"masks": torch.from_numpy(np.stack(masks)), "scores": scores}


def test_tensors_of_a_data_set():
    found = [tensors(IDS == 1, IDS == 0), tensors(IDS == 7)]
    ids = torch.from_numpy(IDS)
    regions = torch.stack((ids == 1, ids == 7))
    expected = average_precision(found, [ids, ids])
    assert expected["map50_seg"].dtype == torch.float64
    # two of four regions found, the wrong one between them or, of score 0.5, after them
    assert expected["map50_seg"].item() == pytest.approx(51 / 101)
    assert average_precision(found, [regions, regions]) == expected
    measure = MaskAveragePrecision()
    for frame in found:
        measure.update(frame, ids)
    assert measure.compute() == expected
    assert measure.higher_is_better
    crowded = average_precision(found, [ids, ids], [torch.tensor([False, True])] * 2)
    assert crowded["map50_seg"].item() == pytest.approx(51 / 101)


@pytest.mark.parametrize(
    ("detections", "targets", "message"),
    [
        ({"masks": torch.zeros(0, 5, 6, dtype=torch.bool)}, torch.from_numpy(IDS), "masks, scores"),
        (tensors(IDS == 1) | {"labels": torch.ones(1)}, torch.from_numpy(IDS), "got .*labels"),
        (tensors(IDS), torch.from_numpy(IDS), "bool tensor, got torch.uint8"),
        (tensors(IDS == 1), torch.from_numpy(IDS / 2), "targets must be"),
        (tensors(IDS == 1), torch.from_numpy(IDS[1:]), r"masks are \(5, 6\), targets \(4, 6\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(detections, targets, message):
    with pytest.raises(ValueError, match=message):
        MaskAveragePrecision().update(detections, targets)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="detections of 0 frames, targets of 1"):
        average_precision([], [torch.from_numpy(IDS)])


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    for construct in (DetectionPool, MaskAveragePrecision):
        with pytest.raises(ImportError, match=r"pip install 'vosbench\[coco\]'"):
            construct()


def test_scoring_detections_needs_no_torch():
    code = (
        "import sys, numpy as np; from vosbench.metrics.kernels.detection import DetectionPool\n"
        "pool = DetectionPool(); ids = np.eye(3, dtype=int)\n"
        "pool.add_masks([ids > 0], [1.0], target_ids=ids); assert pool.compute()['map50_seg'] == 1\n"
        "assert not {'torch', 'torchmetrics'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
