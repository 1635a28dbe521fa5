"""Every metric gives the value of one process: in two, merged, copied, pickled and after a reset.

Run as a script this file is the two processes.
"""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from vosbench.metrics.davis import ContourAccuracy, JFMeasure, RegionSimilarity, TemporalStability
from vosbench.metrics.fbms import FBMSMeasure, ObjectCountError
from vosbench.metrics.iou import MeanFrameIoU

VIDEOS = range(5)
CLASSES = ("boat", "cow")

METRICS = {
    "region similarity": RegionSimilarity,
    "region similarity of ids": partial(RegionSimilarity, frames="all", objects="ids"),
    "contour accuracy": ContourAccuracy,
    "temporal stability": TemporalStability,
    "j and f of matched objects": partial(JFMeasure, frames="all", objects="match"),
    **{f"fbms {variant}": partial(FBMSMeasure, variant) for variant in ("official", "proposed", "binary")},
    "object count error": ObjectCountError,
    "iou": MeanFrameIoU,
    "iou of classes": partial(MeanFrameIoU, CLASSES),
}
if find_spec("faster_coco_eval"):
    from vosbench.metrics.detection import MaskAveragePrecision

    METRICS["average precision"] = MaskAveragePrecision

SHARES = {
    "uneven": ([0, 1, 3, 4], [2]),
    "one idle": ([4, 3, 2, 1, 0], []),
}
"""Videos of either process, in another order than that of one process."""


def video(number):
    """Two objects that move and grow, and a prediction that is off by some pixels: (T, H, W) each.

    The number may also say that the prediction is "perfect" or "empty".
    """
    if number in ("perfect", "empty"):
        target = video(0)[1]
        return target * (number == "perfect"), target
    random = np.random.default_rng(number)
    y, x = np.indices((40, 56))
    target, pred = np.zeros((2, 4 + number, 40, 56), np.uint8)
    for t in range(len(target)):
        for object_id, centre in ((1, 14), (2, 40)):
            near = (y - 18 - t) ** 2 + (x - centre - t) ** 2
            target[t][near < 60 + 5 * number] = object_id
            pred[t][np.roll(near, random.integers(1, 4), axis=1) < 40 + random.integers(40)] = object_id
    return torch.from_numpy(pred), torch.from_numpy(target)


def feed(metric, number):
    pred, target = video(number)
    if hasattr(metric, "categories") and metric.categories:
        metric.update(pred, target, category=CLASSES[number % 2])
    elif "AveragePrecision" in type(metric).__name__:
        for t in range(len(pred)):
            found = torch.stack((pred[t] == 1, pred[t] == 2, pred[t] == 0))
            scores = torch.tensor([0.5 + 0.1 * (t % 3), 0.6, 0.55])
            metric.update({"masks": found, "scores": scores}, target[t], image_id=f"{number}/{t:05}")
    else:
        metric.update(pred, target)


def value(metric, numbers):
    for number in numbers:
        feed(metric, number)
    return {name: found.item() for name, found in metric.compute().items()}


TOGETHER = sorted(METRICS.keys() - {"average precision", "iou of classes"})
"""Those that take the same arguments, in one collection."""

FIRST = ("perfect", "empty")
"""First video of either process: many metrics have the same value."""


def collection_values(numbers):
    metrics = MetricCollection({name: METRICS[name]() for name in TOGETHER})
    for number in numbers:
        metrics.update(*video(number))
    # the first time all names of values, the second time by metric
    metrics.compute()
    return {
        name: {key: found.item() for key, found in metric.compute().items()}
        for name, metric in metrics.items()
    }


@pytest.fixture(scope="module")
def alone():
    """The values of one process that sees all videos in order."""
    return {name: value(make(), VIDEOS) for name, make in METRICS.items()}


def process(rank, folder):
    """Write the values this process sees when both have had their share, twice."""
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'rendezvous'}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    out = {"collection": collection_values([FIRST[rank], rank])}
    for share, videos in SHARES.items():
        for name, make in METRICS.items():
            metric = make()
            first = value(metric, videos[rank])
            metric.reset()
            out[f"{share} / {name}"] = [first, value(metric, videos[rank])]
    (folder / f"{rank}.json").write_text(json.dumps(out))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two processes computed."""
    folder = tmp_path_factory.mktemp("processes")
    done = subprocess.run(
        [sys.executable, __file__, str(folder)],
        capture_output=True,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", METRICS)
def test_two_processes_give_the_value_of_one(name, share, alone, together):
    for found in together:
        first, after_a_reset = found[f"{share} / {name}"]
        assert first == alone[name]
        assert after_a_reset == first


@pytest.mark.parametrize("name", TOGETHER)
def test_a_collection_in_two_processes_gives_the_values_of_single_metrics_in_one(name, together):
    for found in together:
        assert found["collection"][name] == value(METRICS[name](), [*FIRST, 0, 1])


@pytest.mark.parametrize("name", METRICS)
def test_the_value_is_neither_nothing_nor_everything(name, alone):
    # or the tests here would see no difference
    assert any(0 < found < 1 for found in alone[name].values()) or name == "object count error"


@pytest.mark.parametrize("name", METRICS)
def test_merged_states_give_the_value_of_one(name, alone):
    parts = METRICS[name](), METRICS[name]()
    for number in VIDEOS:
        feed(parts[number % 2], number)
    parts[0].merge_state(parts[1])
    assert {key: found.item() for key, found in parts[0].compute().items()} == alone[name]


@pytest.mark.parametrize("name", METRICS)
def test_copies_and_pickles_go_on_from_where_they_were(name, alone):
    metric = METRICS[name]()
    value(metric, VIDEOS[:2])
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert value(copy, VIDEOS[2:]) == alone[name]
    # and the copies took nothing with them
    assert value(metric, VIDEOS[2:]) == alone[name]


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"average precision", "iou of classes"}))
def test_forward_gives_the_value_of_its_video_and_adds_it(name, alone):
    metric = METRICS[name]()
    found = [metric(*video(number)) for number in VIDEOS]
    assert {key: total.item() for key, total in metric.compute().items()} == alone[name]
    assert {key: last.item() for key, last in found[-1].items()} == value(METRICS[name](), VIDEOS[-1:])


@pytest.mark.parametrize("name", METRICS)
def test_a_reset_forgets(name, alone):
    metric = METRICS[name]()
    value(metric, [3, 3])
    metric.reset()
    assert value(metric, VIDEOS) == alone[name]


@pytest.mark.parametrize("name", METRICS)
def test_values_are_scalars_in_double_precision_and_have_a_direction(name):
    metric = METRICS[name]()
    feed(metric, 0)
    assert {(found.dtype, found.shape) for found in metric.compute().values()} == {(torch.float64, ())}
    assert metric.higher_is_better is (name not in ("temporal stability", "object count error"))
    assert metric.is_differentiable is False


if __name__ == "__main__":
    # computing without an update is what an idle process does
    warnings.filterwarnings("ignore", message="The ``compute`` method")
    # forked from one that has not run anything yet, both share its imports, which are what takes long
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=process, args=(rank, Path(sys.argv[1]))) for rank in (0, 1)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
    sys.exit(any(one.exitcode for one in processes))
