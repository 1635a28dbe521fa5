"""Seconds per frame of methods that learn online: STCNN by steps, beside table 4 of its paper, and size lite.

    OMP_NUM_THREADS=1 python benchmarks/speed/online.py
    OMP_NUM_THREADS=1 python benchmarks/speed/online.py --lite

Measured: the tiny network on one core, CPU seconds of whole videos divided by their frames, learning from
the first frame included; in every round all numbers of steps in random order. Estimated: the full network
at 480 x 854, its operations counted by torch without running it, at the rate that the paper's own slope
over the steps implies for its GPU. The paper's times are quoted.

``--lite`` measures STCNN and LIP with the packaged weights at 480 x 854 instead: CPU seconds of a video by
part, and which share the forward and backward passes of the networks are. What one form measures is kept
beside what the other has measured.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from first_command import OTHER, Parts
from machine import RESULTS, described, keep, machine, rounds
from tables import _table
from torch.utils.flop_counter import FlopCounterMode
from tracker import scene

from vosbench.leaderboard.reported import load_reported
from vosbench.models import build
from vosbench.models.lip.heads import LIPHeads
from vosbench.models.lip.network import LIPNet
from vosbench.models.pretrained.zoo import load_method
from vosbench.models.stcnn import adaptation, gate
from vosbench.models.stcnn import online as stcnn_online
from vosbench.models.stcnn.lite import LiteSpatialBranch
from vosbench.models.stcnn.losses import segmentation_loss
from vosbench.models.stcnn.network import STCNNNet
from vosbench.video import Video

STEPS = (100, 200, 300, 400)
FRAMES = 69
"""Of a video, the mean of DAVIS 2016."""
FULL_SIZE = (480, 854)
TINY_SIZE = (135, 240)
ABSENT = "-"
LITE_METHODS = ("stcnn", "lip")
LITE_FRAMES = 9
FORWARD, BACKWARD = "forward", "backward"
GOAL = 0.9
"""Least share of the passes."""


def flops(size: tuple[int, int] = FULL_SIZE) -> tuple[float, float]:
    """Operations of the full network for a frame and for a step of online training, counted, not run."""
    with torch.device("meta"):
        network = STCNNNet()
        past, frame = torch.empty(1, 12, *size), torch.empty(1, 3, *size)
        mask = torch.empty(1, *size, dtype=torch.uint8)
    network.eval().train_stage("online")
    with FlopCounterMode(display=False) as of_frame, torch.no_grad():
        network(past, frame)
    with FlopCounterMode(display=False) as of_step:
        logits = network(past, frame).logits[-1]
        torch.autograd.backward(segmentation_loss([logits], mask, side=0))
    return float(of_frame.get_total_flops()), float(of_step.get_total_flops())


def published() -> dict[int, float]:
    """Steps -> seconds per frame, table 4 of the paper."""
    found = [
        entry
        for entry in load_reported()
        if entry.source == "Xu et al., table 4" and entry.metric == "seconds_per_frame"
    ]
    return {int(entry.variant_keys["online_iterations"]): entry.value for entry in found}


def implied_rate(times: Mapping[int, float], of_step: float) -> float:
    """Operations per second that the slope of the paper's times over the steps implies."""
    steps = np.array(sorted(times))
    slope = np.polyfit(steps, [times[each] for each in steps], 1)[0]
    return float(of_step / (slope * FRAMES))


def ellipse(length: int, size: tuple[int, int] = TINY_SIZE) -> Video:
    """Video of a textured ellipse that moves over noise; frame 0 is annotated."""
    random = np.random.default_rng(0)
    behind = random.integers(0, 128, (*size, 3), dtype=np.uint8)
    inside = random.integers(128, 256, (*size, 3), dtype=np.uint8)
    masks = [found[0].copy() for found, _ in scene(length, 1, size)]
    frames = [np.where(mask[..., None], inside, behind) for mask in masks]
    annotations = {0: masks[0].astype(np.uint8)}
    return Video("ellipse", frames, tuple(map(str, range(length))), annotations)


def seconds(steps: int, video: Video) -> float:
    """CPU seconds of segmenting a video after a number of steps of online training."""
    torch.manual_seed(0)
    method: Any = build("stcnn", "tiny", online_iterations=steps)
    start = time.process_time()
    for _ in method.segment(video, video.annotations[0]):
        pass
    return time.process_time() - start


@contextmanager
def counted(parts: Parts) -> Iterator[None]:
    """Let calls of the methods that learn online count for their part."""
    calls: list[tuple[Any, str, str]] = [
        (STCNNNet, "predict", FORWARD),
        (LiteSpatialBranch, "forward", FORWARD),
        (stcnn_online, "_loss", FORWARD),
        (LIPNet, "features", FORWARD),
        *((LIPHeads, name, FORWARD) for name in ("learn", "find", "draw")),
        (torch.autograd, "backward", BACKWARD),
        (torch.optim.AdamW, "step", "optimiser"),
        (torch.optim.SGD, "step", "optimiser"),
        (stcnn_online, "changed", "pictures"),
        (adaptation, "changed", "pictures"),
        (gate.SpatialGate, "step", "gate"),
    ]
    kept: list[tuple[Any, str, Callable[..., Any]]] = []
    for owner, name, part in calls:
        kept.append((owner, name, getattr(owner, name)))
        setattr(owner, name, parts.wrapped(part, kept[-1][2]))
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def lite(name: str, length: int, size: tuple[int, int], **switches: Any) -> dict[str, float]:
    """Return the CPU seconds of a video by part, with packaged weights."""
    method: Any = load_method(name, settings=switches)[0]
    video, parts = ellipse(length, size), Parts()
    with counted(parts):
        for _ in method.segment(video, video.annotations[0]):
            pass
    return parts.whole()


def share(seconds: Mapping[str, float]) -> float:
    """Return the share of the passes in the seconds of a video."""
    return (seconds.get(FORWARD, 0.0) + seconds.get(BACKWARD, 0.0)) / sum(seconds.values())


def measure_lite(length: int, count: int) -> dict[str, Any]:
    """Run the methods of size lite in turns; return the content of the JSON file about them."""
    found, runs = machine(os.getloadavg()[0], ("numpy", "torch")), []
    for round_, name in rounds(list(LITE_METHODS), count):
        seconds = lite(name, length, FULL_SIZE)
        runs.append({"method": name, "round": round_, "frames": length, "seconds": seconds})
        sys.stderr.write(
            f"round {round_}: {name}, {share(seconds):.3f} of {sum(seconds.values()):.1f} CPU s\n"
        )
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "machine": found}


def measure(steps: Sequence[int], length: int, count: int) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    load = os.getloadavg()[0]
    of_frame, of_step = flops()
    video, runs = ellipse(length), []
    seconds(1, video)  # warms up; not counted
    for round_, name in rounds([str(each) for each in steps], count):
        spent = seconds(int(name), video)
        runs.append({"steps": int(name), "round": round_, "seconds": spent, "frames": length})
        print(f"round {round_}: {name} steps, {spent / length:.3f} CPU s per frame", flush=True)
    return {
        "size": TINY_SIZE,
        "full_size": FULL_SIZE,
        "flop_per_frame": of_frame,
        "flop_per_step": of_step,
        "paper": published(),
        "runs": runs,
        "machine": machine(load, ("numpy", "torch")),
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    parts = [_steps(report)] if "runs" in report else []
    return "\n".join([*parts, *([_lite(report["lite"])] if "lite" in report else [])])


def _lite(report: Mapping[str, Any]) -> str:
    runs = report["runs"]
    lines = []
    for method in LITE_METHODS:
        mine = [run for run in runs if run["method"] == method]
        names = sorted({part for run in mine for part in run["seconds"]} - {FORWARD, BACKWARD, OTHER})
        parts = {
            part: median(run["seconds"].get(part, 0.0) for run in mine)
            for part in (FORWARD, BACKWARD, *names, OTHER)
        }
        shares = [share(run["seconds"]) for run in mine]
        per_frame = median(sum(run["seconds"].values()) / run["frames"] for run in mine)
        cells = [
            method,
            f"{per_frame:.2f}",
            ", ".join(f"{part} {spent:.1f}" for part, spent in parts.items()),
        ]
        cells += [f"{median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"]
        lines.append(f"| {' | '.join([*cells, 'yes' if median(shares) >= GOAL else 'no'])} |")
    head = ("method", "CPU s per frame", "CPU s of the video by part", "share of the passes", f">= {GOAL}")
    return "\n".join(
        [
            "# Online learning at size lite\n",
            f"Packaged weights, {runs[0]['frames']} frames of {FULL_SIZE[1]} x {FULL_SIZE[0]}, one object, "
            f"one core, median of {max(run['round'] for run in runs)} rounds (smallest to largest). Few "
            "frames share the learning on the first one here. Passes: forward (losses included) and backward "
            "through the networks, in learning and in every frame.\n",
            described(report["machine"]),
            _table(head, lines),
        ]
    )


def _steps(report: Mapping[str, Any]) -> str:
    runs, paper = report["runs"], report["paper"]
    rate = implied_rate(paper, report["flop_per_step"])
    measured = {run["steps"] for run in runs}
    lines = []
    for steps in sorted(measured | set(paper)):
        mine = [run["seconds"] / run["frames"] for run in runs if run["steps"] == steps]
        flop = report["flop_per_frame"] + steps / FRAMES * report["flop_per_step"]
        cells = [str(steps), _spread(mine), f"{flop / 1e12:.1f}", f"{flop / rate:.2f}"]
        lines.append(f"| {' | '.join([*cells, f'{paper[steps]:.2f}' if steps in paper else ABSENT])} |")
    head = (
        "online steps",
        "tiny, measured: CPU s per frame",
        "full, counted: TFLOP per frame",
        "full, estimated: s per frame",
        "paper, table 4: s per frame",
    )
    (height, width), (rows, columns) = report["size"], report["full_size"]
    return "\n".join(
        [
            "# Seconds per frame of STCNN, by steps of online training\n",
            f"Measured: the tiny network, {runs[0]['frames']} frames of {width} x {height}, one object, one "
            f"core, median of {max(run['round'] for run in runs)} rounds (smallest to largest); CPU seconds "
            "of the whole video, learning and dreams included, per frame.\n",
            f"Estimated, not measured: the full network at {columns} x {rows}, {FRAMES} frames per video. "
            f"{report['flop_per_frame'] / 1e12:.2f} TFLOP per frame, {report['flop_per_step'] / 1e12:.2f} "
            "per step (a multiplication and an addition are two), at the rate that the slope of the paper's "
            f"own times implies for its GTX 1080 Ti, {rate / 1e12:.1f} TFLOP/s: the slope is the paper's, "
            "the offset is not. No GPU was at hand.\n",
            described(report["machine"]),
            _table(head, lines),
        ]
    )


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ABSENT
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--lite", action="store_true", help="measure STCNN and LIP at size lite instead")
    parser.add_argument("--frames", type=int, help=f"{FRAMES}, {LITE_FRAMES} of size lite by default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("run it on one core: OMP_NUM_THREADS=1 python benchmarks/speed/online.py")
    torch.set_num_threads(1)
    kept = options.out / "online.json"
    report = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if options.lite:
        report["lite"] = measure_lite(options.frames or LITE_FRAMES, options.rounds)
    else:
        report |= measure(options.steps, options.frames or FRAMES, options.rounds)
    report["paper"] = published()
    keep("online", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
