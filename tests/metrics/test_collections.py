"""In a collection of torchmetrics every metric gives the value it gives alone, whatever stands beside it."""

import inspect
import itertools
import json
import pickle
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from torchmetrics import MetricCollection

import vosbench.metrics
from vosbench.metrics import (
    ContourAccuracy,
    FBMSMeasure,
    JFMeasure,
    MeanFrameIoU,
    ObjectCountError,
    RegionSimilarity,
    TemporalStability,
)

CLASSES = ("cat", "dog")


def kinds():
    """Every class with every choice of its arguments, by name."""
    choices = {
        **{
            kind: itertools.product(("inner", "all"), ("union", "ids", "match"))
            for kind in (RegionSimilarity, ContourAccuracy, JFMeasure)
        },
        TemporalStability: [
            *itertools.product(("inner", "all"), ("union", "ids")),
            *itertools.product(("inner",), ("union", "ids"), ("matlab",)),
        ],
        FBMSMeasure: itertools.product(
            ("official", "proposed", "binary"), (0, 3, "infer"), ("harmonic", "mean")
        ),
        ObjectCountError: [(0,), (3,), ("infer",)],
        MeanFrameIoU: [()],
    }
    return {
        f"{kind.__name__} {' '.join(map(str, arguments))}": partial(kind, *arguments)
        for kind, given in choices.items()
        for arguments in given
    }


KINDS = kinds()


def ids(*frames):
    """A video of squares of 4 pixels a side: (object id, top, left) of each, per frame."""
    out = torch.zeros(len(frames), 10, 12, dtype=torch.uint8)
    for frame, squares in zip(out, frames, strict=True):
        for object_id, top, left in squares:
            frame[top : top + 4, left : left + 4] = object_id
    return out


STILL = ids(*[[(1, 3, 2)]] * 4)
EMPTY = torch.zeros_like(STILL)
MOVED = (
    ids([(1, 0, 0), (2, 5, 7)], [(1, 4, 1), (2, 5, 2)], [(2, 0, 0), (1, 5, 8)], [(1, 6, 6)]),
    ids([(1, 0, 0), (2, 6, 7)], [(1, 1, 1), (2, 5, 5)], [(1, 1, 0), (2, 6, 8)], [(2, 6, 6)]),
)
MOVED[0][[0, 3]] = 1
"""A second video on which measures differ: ids that change hands, an object that leaves."""

FIRST = {
    "empty": (EMPTY, STILL),
    "perfect": (STILL, STILL),
    "nothing in it but at the start": (EMPTY, ids([(1, 3, 2)], [], [], [])),
    "one pixel": (
        (STILL * 0).index_put((torch.arange(4), torch.tensor(3), torch.tensor(2)), STILL.max()),
        STILL,
    ),
    "everything": (torch.ones_like(STILL), STILL),
    "three frames": (ids([(1, 3, 2)], [(1, 3, 3)], [(1, 3, 2)]), STILL[:3]),
}
"""First videos of which many measures have the same value."""


def alone(make, *videos):
    metric = make()
    for video in videos:
        metric.update(*video)
    return found(metric)


def found(metric):
    return {name: value.item() for name, value in metric.compute().items()}


def by_member(collection):
    """Member -> value name -> value, of a collection whose members have the same names of values."""
    return {name: found(metric) for name, metric in collection.items()}


def same(values, expected):
    # to the last bit, and NaN is itself
    return json.dumps(values, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_every_class_is_here():
    kinds = {make.func.__name__ for make in KINDS.values()}
    assert kinds | {"MaskAveragePrecision"} == set(vosbench.metrics.__all__)
    parameters = {kind: len(inspect.signature(getattr(vosbench.metrics, kind)).parameters) for kind in kinds}
    # the categories of MeanFrameIoU have tests of their own
    assert parameters == {
        **dict.fromkeys(("RegionSimilarity", "ContourAccuracy", "JFMeasure"), 2),
        "TemporalStability": 3,
        "FBMSMeasure": 3,
        "ObjectCountError": 1,
        "MeanFrameIoU": 1,
    }


def test_contour_accuracy_beside_region_similarity():
    target = torch.zeros(8, 60, 80, dtype=torch.uint8)
    target[:, 15:45, 20:60] = 1
    empty, shifted = torch.zeros_like(target), target.roll((2, 2), dims=(1, 2))
    metrics = MetricCollection([RegionSimilarity(), ContourAccuracy()])
    metrics.update(empty, target)
    metrics.update(shifted, target)
    # 28 x 38 of 30 x 40 pixels are in both; boundaries, of 140 pixels, meet at 6 pixels: those where a
    # horizontal and a vertical side cross, with a radius of one pixel
    assert metrics.compute()["J_mean"].item() == pytest.approx((28 * 38 / (2400 - 28 * 38)) / 2)
    assert metrics.compute()["F_mean"].item() == pytest.approx((6 / 140) / 2)


def collection(**options):
    return MetricCollection({name: make() for name, make in KINDS.items()}, **options)


@pytest.fixture(scope="module")
def expected():
    """First video -> kind -> values of the first video, and of the first two."""
    return {
        first: {name: (alone(make, video), alone(make, video, MOVED)) for name, make in KINDS.items()}
        for first, video in FIRST.items()
    }


def check(metrics, expected, first, videos):
    assert same(by_member(metrics), {name: values[videos - 1] for name, values in expected[first].items()})


@pytest.fixture(params=FIRST)
def first(request):
    return request.param


def test_first_videos_have_equal_values_and_second_ones_tell_the_difference(expected, first):
    # or the tests here would see nothing
    after = [tuple(sorted(values.values())) for values, _ in expected[first].values()]
    assert len(set(map(repr, after))) < len(after) / 2
    last = [repr(values) for _, values in expected[first].values()]
    assert len(set(last)) >= 25


def test_all_kinds_in_one_collection(expected, first):
    metrics = collection()
    metrics.update(*FIRST[first])
    check(metrics, expected, first, 1)
    metrics.update(*MOVED)
    check(metrics, expected, first, 2)
    metrics.reset()
    for again in (1, 2):
        metrics.update(*(FIRST[first] if again == 1 else MOVED))
        check(metrics, expected, first, again)


@pytest.mark.slow
def test_every_pair_of_kinds(expected, first):
    for pair in itertools.combinations_with_replacement(KINDS, 2):
        metrics = MetricCollection({str(number): KINDS[name]() for number, name in enumerate(pair)})
        metrics.update(*FIRST[first])
        metrics.update(*MOVED)
        assert same(list(by_member(metrics).values()), [expected[first][name][1] for name in pair]), pair


@pytest.mark.parametrize(
    "copy", [MetricCollection.clone, lambda metrics: pickle.loads(pickle.dumps(metrics))]
)
def test_copies_go_on_by_themselves(expected, copy):
    metrics = collection()
    metrics.update(*FIRST["perfect"])
    copied = copy(metrics)
    copied.update(*MOVED)
    check(copied, expected, "perfect", 2)
    check(metrics, expected, "perfect", 1)


def test_forward_gives_the_values_of_its_video_and_adds_it(expected, first):
    metrics = collection()
    for video in (FIRST[first], MOVED):
        metrics(*video)
        last = {
            name: {key: value.item() for key, value in m._forward_cache.items()}
            for name, m in metrics.items()
        }
        assert same(last, {name: alone(make, video) for name, make in KINDS.items()})
    check(metrics, expected, first, 2)


def test_metrics_that_join_later_have_seen_what_came_since(expected):
    metrics = collection()
    metrics.update(*FIRST["perfect"])
    metrics.add_metrics({f"late {name}": make() for name, make in KINDS.items()})
    metrics.update(*FIRST["perfect"])
    metrics(*MOVED)
    values = by_member(metrics)
    for name, make in KINDS.items():
        assert same(values[f"late {name}"], expected["perfect"][name][1])
        assert same(values[name], alone(make, FIRST["perfect"], FIRST["perfect"], MOVED))


def test_names_of_values_may_be_prefixed(expected):
    metrics = MetricCollection([RegionSimilarity(), ContourAccuracy()], prefix="val/", postfix="/moving")
    for video in (FIRST["perfect"], MOVED):
        metrics.update(*video)
    assert {name: value.item() for name, value in metrics.compute().items()} == {
        f"val/{name}/moving": value
        for kind in ("RegionSimilarity", "ContourAccuracy")
        for name, value in expected["perfect"][f"{kind} inner union"][1].items()
    }


@pytest.mark.parametrize("explicit", [False, [["a"], ["b"]]])
def test_without_compute_groups(expected, explicit):
    metrics = MetricCollection({"a": RegionSimilarity(), "b": ContourAccuracy()}, compute_groups=explicit)
    for video in (FIRST["empty"], MOVED):
        metrics.update(*video)
    assert found(metrics["b"]) == expected["empty"]["ContourAccuracy inner union"][1]


def test_classes_in_another_order():
    metrics = MetricCollection({"a": MeanFrameIoU(CLASSES), "b": MeanFrameIoU(CLASSES[::-1])})
    for video, name in ((FIRST["perfect"], "cat"), (MOVED, "dog")):
        metrics.update(*video, category=name)
    a, b = by_member(metrics).values()
    assert a == b
    assert a["iou_mean/cat"] == 1 > a["iou_mean/dog"]


@pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="the extra 'coco' is not installed")
def test_average_precision_twice():
    mask = STILL[0] == 1
    right, wrong = ({"masks": m[None], "scores": torch.tensor([0.9])} for m in (mask, ~mask))
    metrics = MetricCollection({name: vosbench.metrics.MaskAveragePrecision() for name in "ab"})
    metrics["b"].update(wrong, STILL[0])
    metrics.update(right, STILL[0])
    values = by_member(metrics)
    assert values["a"]["map50_seg"] == 1
    assert values["b"]["map50_seg"] < 0.6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RegionSimilarity(), RegionSimilarity("all")),
        (FBMSMeasure("official"), FBMSMeasure("binary")),
        (ObjectCountError(), ObjectCountError("infer")),
        (MeanFrameIoU(CLASSES), MeanFrameIoU(CLASSES[::-1])),
    ],
)
def test_values_of_other_arguments_are_not_mixed(one, other):
    with pytest.raises(ValueError, match="to be present in incoming state"):
        one.merge_state(other)
    for metric in (one, other):
        metric.persistent(True)
    assert one.load_state_dict(one.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        torch.nn.ModuleList([other]).load_state_dict(torch.nn.ModuleList([one]).state_dict())
