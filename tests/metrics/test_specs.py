import math
from importlib import import_module

import pytest
import torch

import vosbench.metrics
from vosbench.metrics.kernels.overlap import MEASURES
from vosbench.metrics.kernels.statistics import STATISTICS
from vosbench.metrics.specs import (
    METRICS,
    frame_measures,
    metric_of,
    value_names,
    value_spec,
    values_in_order,
)
from vosbench.scoring.protocol import protocols


def test_tables_list_jf_first_then_region_contour_stability_volumes_counts_iou_and_detections():
    assert [name for metric in METRICS.values() for name in metric.value_names] == [
        *("JF_mean", "J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay", "T_mean"),
        *("f_measure", "precision", "recall", "n_objects", "delta_obj"),
        *("iou_mean", "map50_det", "map50_seg"),
    ]


def test_decay_instability_and_errors_of_counts_are_better_low():
    values = {name for metric in METRICS.values() for name in metric.value_names}
    lower = {name for name in values if not value_spec(name).higher_is_better}
    assert lower == {"J_decay", "F_decay", "T_mean", "delta_obj"}


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("J_mean", (0, 1)),
        ("map50_seg", (0, 1)),
        ("J_decay", (-1, 1)),
        ("F_decay", (-1, 1)),
        ("T_mean", (0, math.inf)),
        ("n_objects", (0, math.inf)),
        ("delta_obj", (0, math.inf)),
    ],
)
def test_the_range_of_a_value(name, within):
    assert value_spec(name).within == within


def test_objects_are_counted_and_everything_else_is_a_fraction():
    values = {name for metric in METRICS.values() for name in metric.value_names}
    assert {name for name in values if value_spec(name).unit == "count"} == {"n_objects", "delta_obj"}


def test_a_class_of_a_value_is_described_as_the_value():
    assert value_spec("iou_mean/dog") is value_spec("iou_mean")
    assert metric_of("iou_mean/dog") == "iou"
    assert metric_of("J_decay") == "j"
    assert metric_of("unheard_of") is None
    assert value_spec("unheard_of").higher_is_better


def test_binary_fbms_counts_no_objects():
    assert value_names(("fbms",), "binary") == ("f_measure", "precision", "recall")
    assert value_names(("fbms", "delta_obj"), "official") == (
        *("f_measure", "precision", "recall", "n_objects"),
        "delta_obj",
    )
    assert value_names(("j",)) == ("J_mean", "J_recall", "J_decay")


def test_names_are_put_in_the_order_of_tables_and_others_left_out():
    assert values_in_order(["T_mean", "seconds", "F_mean", "JF_mean"]) == ("JF_mean", "F_mean", "T_mean")


def test_every_measure_and_statistic_is_computed_by_a_kernel():
    assert set(frame_measures()) == set(MEASURES)
    for metric in METRICS.values():
        assert all((value.statistic in STATISTICS) == bool(metric.measure) for value in metric.values)
        assert all(part in METRICS for part in metric.mean_of)


@pytest.mark.parametrize("metric_name", METRICS)
def test_the_torchmetrics_class_gives_the_values_and_has_their_direction(metric_name):
    metric = METRICS[metric_name]
    module, _, name = metric.implementation.partition(":")
    if metric_name == "map50":
        pytest.importorskip("faster_coco_eval")
    kind = getattr(import_module(module), name)
    assert getattr(vosbench.metrics, name) is kind
    assert kind.higher_is_better is metric.higher_is_better
    measure = kind()
    ids = torch.ones(4, 20, 20, dtype=torch.uint8)
    if metric_name == "map50":
        measure.update({"masks": ids[:1] == 1, "scores": torch.ones(1)}, ids[0])
    else:
        measure.update(ids, ids)
    assert set(metric.value_names) <= set(measure.compute())


@pytest.mark.parametrize("protocol", protocols(), ids=lambda protocol: protocol.id)
def test_protocols_pool_exactly_the_metrics_that_are_pooled(protocol):
    assert all(METRICS[metric].pooled == (protocol.average == "pooled") for metric in protocol.metrics)
