"""Speed of the measures of several objects: vosbench and another program, on the same masks in memory.

    git clone https://github.com/davisvideochallenge/davis2017-evaluation CLONE
    pip install --target PEERS --no-deps pycocotools scikit-image lazy_loader
    OMP_NUM_THREADS=1 PYTHONPATH=PEERS:CLONE python benchmarks/speed/metrics_objects.py --rounds 5

J and F of objects against davis2017-evaluation, whose masks are one array per object before its time begins;
the measure of FBMS-59 against the pixels of every pair of ids, counted one pair after the other; average
precision of boxes and masks at IoU 0.5 against pycocotools. Both sides of all take turns in every round in
random order, in one process with one thread. Values must agree.
"""

import argparse
import contextlib
import io
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import RESULTS, described, keep, machine, rounds, spent
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tables import AGREE, _table

from vosbench.metrics.kernels.detection import DetectionPool
from vosbench.metrics.kernels.fbms import VolumeOverlap
from vosbench.metrics.kernels.overlap import Matching, OverlapSeries

Ids = NDArray[np.uint8]
Values = NDArray[np.float64]
Program = Callable[[], Values]

OURS = "vosbench"
PACKAGES = ("numpy", "scipy", "faster-coco-eval", "pycocotools", "opencv-python-headless")
TARGETS = {"J+F of objects": 5.5, "J+F, proposals": 5.5}
"""Measure -> how often the peer's time ours is to fit in it; 1 where nothing is asked."""


def shapes(frames: int, objects: int, size: tuple[int, int]) -> Ids:
    """Return (T, H, W) ids of wobbling blobs that move and hide each other."""
    y, x = np.indices(size)
    height, width = size
    out = np.zeros((frames, *size), np.uint8)
    for t, number in itertools.product(range(frames), range(1, objects + 1)):
        row = height * (0.3 + 0.4 * number / (objects + 1)) + 20 * np.sin(t / 5 + number)
        column = width * number / (objects + 1) + 4 * t * (-1) ** number
        angle = np.arctan2(y - row, x - column)
        wobble = 1 + 0.2 * np.sin(3 * angle + t / 4 + number) + 0.08 * np.sin(11 * angle - t / 3)
        out[t][np.hypot(y - row, x - column) < height / 6 * wobble] = number
    return out


def predicted(target: Ids, surplus: int) -> Ids:
    """Return the ids moved by 3 and 5 pixels, of which some more have small squares."""
    ids = np.roll(target, (3, 5), (1, 2))
    for number in range(surplus):
        ids[:, 10:40, 40 * number : 40 * number + 30] = target.max() + 1 + number
    return ids


def one_hot(ids: Ids) -> NDArray[np.bool_]:
    """(N, T, H, W), as davis2017-evaluation has masks."""
    return np.stack([ids == number for number in range(1, int(ids.max()) + 1)])


def objects_of(pred: Ids, target: Ids, matching: Matching) -> Values:
    """J and F of every object in every frame, (objects, 2, T)."""
    series = OverlapSeries(("J", "F"), matching, int(target.max()))
    for ids, true in zip(pred, target, strict=True):
        series.add(ids, true)
    return _by_value(np.array([[item["J"], item["F"]] for item in series.finish()]))


def davis2017(pred: NDArray[np.bool_], target: NDArray[np.bool_], matching: Matching) -> Values:
    from davis2017.evaluation import DAVISEvaluation

    run = "_evaluate_semisupervised" if matching == "ids" else "_evaluate_unsupervised"
    regions, contours = getattr(DAVISEvaluation, run)(target, pred, None, ("J", "F"))
    return _by_value(np.stack([regions, contours], axis=1))


def _by_value(values: Values) -> Values:
    """Objects in the order of their means; that of proposals is another in the two programs."""
    return values[np.argsort(values.mean(axis=(1, 2)))]


def fbms(pred: Ids, target: Ids) -> Values:
    volume = VolumeOverlap()
    for ids, true in zip(pred, target, strict=True):
        volume.add(ids, true)
    found = volume.measure("proposed")
    return np.array([found["precision"], found["recall"], found["f_measure"]])


def fbms_plain(pred: Ids, target: Ids) -> Values:
    """The measure of `vosbench.metrics.functional.fbms_measure`, pair by pair."""
    clusters, regions = (np.unique(ids[ids > 0]).tolist() for ids in (pred, target))
    shared = np.array([[((pred == c) & (target == g)).sum() for g in regions] for c in clusters])
    sizes = [(pred == c).sum() for c in clusters]
    true = [(target == g).sum() for g in regions]
    f_measures = 2 * shared / (np.array(sizes)[:, None] + np.array(true))
    total = shared[linear_sum_assignment(f_measures, maximize=True)].sum()
    precision, recall = total / sum(sizes), total / sum(true)
    return np.array([precision, recall, 2 * precision * recall / (precision + recall)])


def _masks(ids: Ids) -> list[NDArray[np.bool_]]:
    return [ids == number for number in range(1, int(ids.max()) + 1) if (ids == number).any()]


def average_precision(pred: Ids, target: Ids) -> Values:
    pool = DetectionPool()
    for ids, true in zip(pred, target, strict=True):
        masks = _masks(ids)
        pool.add_masks(masks, _scores(len(masks)), target_masks=_masks(true))
    found = pool.compute()
    return np.array([found["map50_det"], found["map50_seg"]])


def pycocotools(pred: Ids, target: Ids) -> Values:
    from pycocotools import mask as run_lengths
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotations(ids: Ids) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for image, frame in enumerate(ids, start=1):
            masks = _masks(frame)
            for mask, score in zip(masks, _scores(len(masks)), strict=True):
                code = run_lengths.encode(np.asfortranarray(mask, np.uint8))
                found.append(
                    {"id": len(found) + 1, "image_id": image, "category_id": 1, "segmentation": code}
                    | {"bbox": run_lengths.toBbox(code).tolist(), "area": 1.0, "iscrowd": 0, "score": score}
                )
        return found

    # both collections are made anew for boxes, since the program writes into them
    regions, detected, values = annotations(target), annotations(pred), []
    _, height, width = target.shape
    for kind in ("bbox", "segm"):
        collections = []
        for members in (regions, detected):
            collection = COCO()
            collection.dataset = {
                "images": [
                    {"id": image, "height": height, "width": width} for image in range(1, len(target) + 1)
                ],
                "annotations": [dict(member) for member in members],
                "categories": [{"id": 1}],
            }
            collection.createIndex()
            collections.append(collection)
        evaluation = COCOeval(*collections, kind)
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [100]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
        values.append(evaluation.eval["precision"].mean())
    return np.array(values)


def _scores(count: int) -> list[float]:
    return [1 - 0.01 * number for number in range(count)]


def programs(frames: int, objects: int, size: tuple[int, int]) -> dict[str, dict[str, Program]]:
    """Measure -> program -> one run; the peer is the second."""
    target = shapes(frames, objects, size)
    same, more = predicted(target, 0), predicted(target, 2)
    true, masks, proposals = one_hot(target), one_hot(same), one_hot(more)
    return {
        "J+F of objects": {
            OURS: lambda: objects_of(same, target, "ids"),
            "davis2017-evaluation": lambda: davis2017(masks, true, "ids"),
        },
        "J+F, proposals": {
            OURS: lambda: objects_of(more, target, "match"),
            "davis2017-evaluation": lambda: davis2017(proposals, true, "match"),
        },
        "FBMS, proposed": {
            OURS: lambda: fbms(more, target),
            "pair by pair": lambda: fbms_plain(more, target),
        },
        "AP of boxes and masks": {
            OURS: lambda: average_precision(more, target),
            "pycocotools": lambda: pycocotools(more, target),
        },
    }


def measure(count: int, frames: int, objects: int, size: tuple[int, int]) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    found = machine(os.getloadavg()[0], PACKAGES)
    entries = programs(frames, objects, size)
    runs, gaps = [], {}
    for name, sides in entries.items():
        with contextlib.redirect_stdout(io.StringIO()):
            ours, theirs = (run() for run in sides.values())  # warms up; not counted
        gaps[name] = float(np.abs(ours - theirs).max())
    flat = {f"{name}|{side}": run for name, sides in entries.items() for side, run in sides.items()}
    for round_, key in rounds(list(flat), count):
        name, side = key.split("|")
        with contextlib.redirect_stdout(io.StringIO()):
            took = spent(flat[key])
        runs.append({"measure": name, "program": side, "round": round_, **took})
        sys.stderr.write(f"round {round_}, {name}, {side}: {took['cpu_seconds']:.3f} CPU s\n")
    found["load_after"] = round(os.getloadavg()[0], 2)
    shape = {"frames": frames, "objects": objects, "size": list(size)}
    return {"runs": runs, "differences": gaps, "machine": found, **shape}


def ratios(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """CPU seconds of the peer relative to ours, round by round."""
    by_round: dict[int, dict[bool, float]] = {}
    for run in runs:
        if run["measure"] == name:
            by_round.setdefault(run["round"], {})[run["program"] == OURS] = run["cpu_seconds"]
    return [found[False] / found[True] for found in by_round.values()]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, frames = report["runs"], report["frames"]
    lines = []
    for name, gap in report["differences"].items():
        mine = [run for run in runs if run["measure"] == name]
        peer = next(run["program"] for run in mine if run["program"] != OURS)
        times = [
            f"{1000 * median(run['cpu_seconds'] for run in mine if run['program'] == side) / frames:.2f}"
            for side in (OURS, peer)
        ]
        found, target = ratios(runs, name), TARGETS.get(name, 1)
        ratio = f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        met = "yes" if median(found) >= target else "no"
        lines.append(f"| {name} | {peer} | {' | '.join(times)} | {ratio} | >= {target} | {met} | {gap:.1e} |")
    head = ("measure", "peer", "vosbench, ms/frame", "peer, ms/frame", "ratio", "target", "met", "difference")
    height, width = report["size"]
    most = max(run["round"] for run in runs)
    return "\n".join(
        [
            "# Speed of the measures of several objects\n",
            f"{frames} frames of {width} x {height}, {report['objects']} objects, in memory, one thread, "
            f"{most} rounds, all in every round in random order. CPU time, medians; ratios are medians of "
            "the rounds (smallest to largest); differences are the largest of any value.\n",
            described(report["machine"]),
            _table(head, lines),
            f"Command: `OMP_NUM_THREADS=1 PYTHONPATH=PEERS:CLONE python benchmarks/speed/metrics_objects.py "
            f"--rounds {most} --frames {frames}`.\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 854), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    report = measure(options.rounds, options.frames, options.objects, tuple(options.size))
    keep("metrics_objects", report, to_markdown(report), options.out)
    if any(not gap <= AGREE for gap in report["differences"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
