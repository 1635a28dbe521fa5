"""What metrics accept as ids and masks is one rule, and what they say otherwise one sentence."""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from vosbench.metrics import (
    ContourAccuracy,
    FBMSMeasure,
    JFMeasure,
    MeanFrameIoU,
    ObjectCountError,
    RegionSimilarity,
    TemporalStability,
)
from vosbench.metrics.functional import (
    contour_accuracy,
    fbms_measure,
    frame_iou_mean,
    object_count_error,
    region_similarity,
    temporal_stability,
)

OBJECT = torch.zeros(5, 12, 14, dtype=torch.bool)
OBJECT[:, 3:9, 4:10] = True
FOUND = OBJECT.roll(1, dims=2)


def value(make):
    """A function of a video that gives what a new metric makes of it."""

    def values(*video, **masks):
        metric = make()
        metric.update(*video, **masks)
        return {name: found.item() for name, found in metric.compute().items()}

    return values


OF_IDS = {
    **{
        f"{kind.__name__} {objects}": value(partial(kind, objects=objects))
        for kind in (RegionSimilarity, ContourAccuracy, JFMeasure)
        for objects in ("union", "ids", "match")
    },
    **{f"TemporalStability {o}": value(partial(TemporalStability, objects=o)) for o in ("union", "ids")},
    **{
        f"FBMSMeasure {variant}": value(partial(FBMSMeasure, variant))
        for variant in ("official", "proposed", "binary")
    },
    "ObjectCountError": value(ObjectCountError),
    "MeanFrameIoU": value(MeanFrameIoU),
    "MeanFrameIoU of classes": partial(value(partial(MeanFrameIoU, ["cat"])), category="cat"),
    "fbms_measure": fbms_measure,
    "object_count_error": object_count_error,
    "frame_iou_mean": frame_iou_mean,
}

OF_MASKS = {
    "region_similarity": region_similarity,
    "contour_accuracy": contour_accuracy,
    "temporal_stability": lambda pred, target: temporal_stability(pred),
}


@pytest.fixture(params=OF_IDS)
def of_ids(request):
    return OF_IDS[request.param]


@pytest.fixture(params=OF_MASKS)
def of_masks(request):
    return OF_MASKS[request.param]


def test_a_bool_mask_is_one_object_of_id_1(of_ids):
    expected = of_ids(FOUND.to(torch.uint8), OBJECT.to(torch.int64))
    for pred, target in ((FOUND, OBJECT), (FOUND.int(), OBJECT), (FOUND, OBJECT.int())):
        assert of_ids(pred, target) == expected


IDS_WANTED = r"pred_ids must be a \(T, H, W\) tensor of integer ids or bool, got "


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            FOUND.float(),
            r"torch.float32 of shape \(5, 12, 14\): compare with a threshold first, e.g. pred_ids > 0.5",
        ),
        (FOUND.bfloat16(), "torch.bfloat16 of shape"),
        (FOUND.to(torch.complex64), "torch.complex64 of shape"),
        (FOUND.numpy(), "numpy.ndarray: torch.from_numpy makes a tensor of it"),
        (FOUND.numpy().astype(float), "numpy.ndarray: torch.from_numpy"),
        (FOUND.tolist(), "builtins.list"),
        (None, "builtins.NoneType"),
        (FOUND[0], r"torch.bool of shape \(12, 14\)"),
        (FOUND[None], r"torch.bool of shape \(1, 5, 12, 14\)"),
    ],
    ids=str,
)
def test_ids_are_integers_or_bool(of_ids, wrong, message):
    with pytest.raises(ValueError, match=f"^{IDS_WANTED}{message}"):
        of_ids(wrong, OBJECT)
    with pytest.raises(ValueError, match=f"^{IDS_WANTED}{message}".replace("pred_ids", "target_ids")):
        of_ids(FOUND, wrong)


def test_ids_are_not_negative(of_ids):
    negative = torch.where(OBJECT, 1, -1)
    with pytest.raises(ValueError, match=r"^pred_ids holds id -1; ids are 0 for the background and positive"):
        of_ids(negative, OBJECT)
    with pytest.raises(ValueError, match=r"^target_ids holds id -1; ids are 0"):
        of_ids(FOUND, negative.to(torch.int8))


def test_sizes_agree(of_ids):
    with pytest.raises(
        ValueError, match=r"^target_ids has shape \(5, 12, 13\), pred_ids has \(5, 12, 14\): sizes"
    ):
        of_ids(FOUND, OBJECT[..., 1:])


@pytest.mark.parametrize(
    ("void", "message"),
    [
        (OBJECT.to(torch.uint8), "void must be a .* bool tensor, got torch.uint8"),
        (OBJECT.float(), "void must be a .* bool tensor, got torch.float32"),
        (OBJECT.numpy(), "void must be a .* bool tensor, got numpy.ndarray"),
        (OBJECT[1:], r"void has shape \(4, 12, 14\), pred_ids has"),
    ],
    ids=str,
)
def test_void_is_a_mask_of_the_same_pixels(of_ids, void, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        of_ids(FOUND, OBJECT, void=void)


def test_a_metric_that_refused_a_video_goes_on_without_it():
    metric = RegionSimilarity()
    metric.update(FOUND, OBJECT)
    with pytest.raises(ValueError, match="pred_ids must be"):
        metric.update(FOUND.float(), OBJECT)
    expected = value(RegionSimilarity)(FOUND, OBJECT)
    assert {name: found.item() for name, found in metric.compute().items()} == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (FOUND.float(), "torch.float32 of shape .*: compare with a threshold first, e.g. pred > 0.5"),
        (FOUND.to(torch.uint8), "torch.uint8 of shape"),
        (FOUND.numpy(), "numpy.ndarray: torch.from_numpy"),
        (FOUND[0], r"torch.bool of shape \(12, 14\)"),
    ],
    ids=str,
)
def test_masks_are_bool(of_masks, wrong, message):
    with pytest.raises(ValueError, match=rf"^pred must be a \(T, H, W\) bool tensor, got {message}"):
        of_masks(wrong, OBJECT)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_devices_may_differ(of_ids):
    expected = of_ids(FOUND, OBJECT, void=OBJECT ^ FOUND)
    assert of_ids(FOUND.cuda(), OBJECT, void=(OBJECT ^ FOUND).cuda()) == expected
    assert of_ids(FOUND, OBJECT.cuda(), void=OBJECT ^ FOUND) == expected


@pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="the extra 'coco' is not installed")
class TestDetections:
    """One frame of detections against one of regions."""

    def values(self, target=OBJECT[0], crowd=None, **detections):
        from vosbench.metrics import MaskAveragePrecision
        from vosbench.metrics.functional import average_precision

        detections = {"masks": OBJECT[:1], "scores": torch.tensor([0.5])} | detections
        metric = MaskAveragePrecision()
        metric.update(detections, target, crowd)
        assert metric.compute() == average_precision([detections], [target], [crowd])
        return {name: found.item() for name, found in metric.compute().items()}

    @pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64])
    def test_a_bool_map_is_one_region(self, kind):
        assert self.values(OBJECT[0].to(kind)) == {"map50_det": 1, "map50_seg": 1}

    @pytest.mark.parametrize("kind", [torch.float16, torch.float64, torch.int64])
    def test_scores_and_boxes_are_numbers_of_any_kind(self, kind):
        box = torch.tensor([[4, 3, 6, 6]], dtype=kind)
        assert self.values(scores=torch.ones(1, dtype=kind), boxes=box)["map50_det"] == 1

    @pytest.mark.parametrize("kind", [torch.bool, torch.uint8])
    def test_a_crowd_is_flagged_by_bool_or_number(self, kind):
        assert self.values(crowd=torch.ones(1, dtype=kind)) == {"map50_det": -1, "map50_seg": -1}

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (
                {"masks": OBJECT[:1].float()},
                r"masks must be a \(N, H, W\) bool tensor, got torch.float32 of shape",
            ),
            ({"masks": OBJECT[:1].numpy()}, r"masks must be .*, got numpy.ndarray: torch.from_numpy"),
            ({"masks": OBJECT[0]}, r"masks must be .*, got torch.bool of shape \(12, 14\)"),
            ({"scores": np.ones(1)}, r"scores must be a \(N,\) tensor of numbers, got numpy.ndarray"),
            ({"scores": [0.5]}, "scores must be .*, got builtins.list"),
            ({"scores": torch.ones(1, 1)}, r"scores must be .* of shape \(1, 1\)"),
            ({"boxes": torch.ones(4)}, r"boxes must be a \(N, 4\) tensor of numbers, got .* of shape \(4,\)"),
            (
                {"target": OBJECT[0].float()},
                r"targets must be a \(H, W\) tensor of integer ids or bool, got .*float32",
            ),
            ({"target": OBJECT.float()}, r"targets must be a \(M, H, W\) bool tensor, got torch.float32"),
            ({"target": OBJECT.int()}, r"targets must be a \(M, H, W\) bool tensor, got torch.int32"),
            ({"target": OBJECT[0].numpy()}, r"targets must be .*, got numpy.ndarray: torch.from_numpy"),
            ({"target": torch.where(OBJECT[0], 1, -1)}, "targets holds id -1"),
            (
                {"crowd": np.ones(1)},
                r"crowd must be a \(M,\) tensor of integer ids or bool, got numpy.ndarray",
            ),
        ],
        ids=str,
    )
    def test_the_rules_are_those_of_videos(self, wrong, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            self.values(**wrong)
