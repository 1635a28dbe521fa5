"""Metrics take tensors of any device and type of ids, and leave their results where they belong."""

from functools import partial
from importlib.util import find_spec

import pytest
import torch

from vosbench.metrics import functional
from vosbench.metrics.davis import ContourAccuracy, JFMeasure, RegionSimilarity, TemporalStability
from vosbench.metrics.fbms import FBMSMeasure, ObjectCountError
from vosbench.metrics.functional.fbms import fbms_measure, object_count_error
from vosbench.metrics.functional.iou import frame_iou_mean
from vosbench.metrics.iou import MeanFrameIoU

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]
needs_coco = pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="the extra 'coco' is not installed")

CLASSES = [
    RegionSimilarity,
    ContourAccuracy,
    TemporalStability,
    JFMeasure,
    *(partial(FBMSMeasure, variant) for variant in ("official", "proposed", "binary")),
    ObjectCountError,
    MeanFrameIoU,
]
TYPES = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def name(make):
    return getattr(make, "func", make).__name__ + "".join(getattr(make, "args", ()))


def videos(device="cpu", kind=torch.uint8):
    """Prediction, ground truth and void of a square that moves: (5, 40, 40) each."""
    target = torch.zeros(5, 40, 40, dtype=kind)
    for t in range(5):
        target[t, 5 + t : 20 + t, 5:25] = 1
        target[t, 30:36, 30 - t : 36 - t] = 2
    void = torch.zeros(5, 40, 40, dtype=torch.bool)
    void[:, :8] = True
    return target.roll(2, dims=2).to(device), target.to(device), void.to(device)


@pytest.mark.parametrize("make", CLASSES, ids=name)
@pytest.mark.parametrize("device", DEVICES)
def test_results_are_on_the_device_of_the_metric_and_the_same_everywhere(make, device):
    here, there = make(), make().to(device)
    here.update(*videos())
    there.update(*videos(device))
    expected, found = here.compute(), there.compute()
    assert {(value.device.type, value.dtype) for value in found.values()} == {(device, torch.float64)}
    assert {key: value.item() for key, value in found.items()} == pytest.approx(
        {key: value.item() for key, value in expected.items()}, abs=1e-14
    )


@pytest.mark.parametrize("make", CLASSES, ids=name)
@pytest.mark.parametrize("device", DEVICES)
def test_a_metric_takes_tensors_of_another_device(make, device):
    expected, found = make(), make()
    expected.update(*videos())
    found.update(*videos(device))
    assert {key: value.device.type for key, value in found.compute().items()} == dict.fromkeys(
        expected.compute(), "cpu"
    )


@pytest.mark.parametrize("device", DEVICES)
def test_what_was_added_moves_along(device):
    measure = FBMSMeasure()
    measure.update(*videos())
    expected = measure.compute()["f_measure"].item()
    measure.to(device).update(*videos(device))
    assert measure.compute()["f_measure"].item() == pytest.approx(expected, abs=1e-15)


@needs_coco
@pytest.mark.parametrize("device", DEVICES)
def test_average_precision_of_any_device(device):
    from vosbench.metrics.detection import MaskAveragePrecision
    from vosbench.metrics.functional.detection import average_precision

    pred, target, _ = videos(device)
    frames = [
        {"masks": torch.stack((mask == 1, mask == 2)), "scores": torch.tensor([0.9, 0.8], device=device)}
        for mask in pred
    ]
    measure = MaskAveragePrecision().to(device)
    for frame, ids in zip(frames, target, strict=True):
        measure.update(frame, ids)
    found = measure.compute()
    assert found == average_precision(frames, list(target))
    assert {(value.device.type, value.dtype) for value in found.values()} == {(device, torch.float64)}
    # of the large square 18 of 22 columns agree, of the small one 4 of 8
    assert found["map50_seg"] == 1


@pytest.mark.parametrize("device", DEVICES)
def test_functions_answer_on_the_device_of_the_prediction(device):
    pred, target, void = videos(device)
    for values in (
        functional.region_similarity(pred > 0, target > 0, void),
        functional.contour_accuracy(pred > 0, target > 0, void),
        frame_iou_mean(pred, target, void),
    ):
        assert (values.device.type, values.dtype) == (device, torch.float64)
    assert fbms_measure(pred, target, void) == fbms_measure(*videos())
    assert object_count_error(pred, target, void) == 0


@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize("make", CLASSES, ids=name)
def test_any_type_of_integer_is_an_id(make, kind):
    expected, found = make(), make()
    expected.update(*videos())
    found.update(*videos(kind=kind))
    assert found.compute() == expected.compute()


def test_default_types_of_torch_change_nothing():
    expected = FBMSMeasure()
    expected.update(*videos())
    torch.set_default_dtype(torch.float16)
    try:
        found = FBMSMeasure()
        found.update(*videos())
        assert found.compute() == expected.compute()
    finally:
        torch.set_default_dtype(torch.float32)


def test_half_of_a_metric_keeps_double_precision():
    measure = FBMSMeasure().half()
    measure.update(*videos())
    assert {value.dtype for value in measure.compute().values()} == {torch.float64}


@needs_coco
def test_frames_of_detections_survive_another_type():
    from vosbench.metrics.detection import MaskAveragePrecision

    ids = videos()[1][0]
    measure = MaskAveragePrecision()
    for kind in (torch.float64, torch.float16):
        measure.update({"masks": (ids == 1)[None], "scores": torch.tensor([0.9])}, ids)
        measure.set_dtype(kind)
    assert measure.compute()["map50_seg"].item() == pytest.approx(51 / 101)
