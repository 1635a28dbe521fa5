"""Frames per second of the packaged methods at 480p, beside DIS flow alone and torchvision's networks.

    OMP_NUM_THREADS=1 python benchmarks/speed/throughput_lite.py --rounds 3

The methods have the weights of the package (size lite), frames and flow in memory, and one thread; flow is
not counted. torchvision's networks have random weights and see the frames at their full size, the detector up
to 100 detections. STCNN and LIP skip the training on the first frame. All programs take turns in every round
in random order. Ratios are of CPU time, which a busy machine changes least.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from machine import RESULTS, described, keep, machine, rounds, spent
from pipeline import HEIGHT, METHODS, WIDTH, in_memory, stages, write_clip
from tables import _table
from torchvision.models.detection import maskrcnn_resnet50_fpn  # type: ignore[import-untyped]
from torchvision.models.segmentation import (  # type: ignore[import-untyped]
    deeplabv3_mobilenet_v3_large,
    lraspp_mobilenet_v3_large,
)

from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

FLOW = "DIS flow"
PEERS: Mapping[str, Callable[..., torch.nn.Module]] = {
    "lraspp_mobilenet_v3_large": lraspp_mobilenet_v3_large,
    "deeplabv3_mobilenet_v3_large": deeplabv3_mobilenet_v3_large,
    "maskrcnn_resnet50_fpn": maskrcnn_resnet50_fpn,
}
SLOW = "maskrcnn_resnet50_fpn"
"""Seconds for a frame: one is enough."""

PACKAGES = ("torch", "torchvision", "opencv-python-headless", "numpy")

Program = Callable[[], object]


def programs(
    names: Sequence[str], clip: Path, mask: Path, video: Video, place: Path
) -> dict[str, tuple[Program, int]]:
    """Return methods, flow and torchvision's networks, and how many frames each of them takes."""
    found: dict[str, tuple[Program, int]] = {}
    for name in names:
        method, _ = load_method(name, settings=METHODS[name])
        alone = stages(method, clip, mask, video, place)
        found[name] = alone["network"], len(video)
        if "flow" in alone:
            found[FLOW] = alone["flow"], len(video) - 1
    return found | {name: _peer(name, video) for name in PEERS}


def _peer(name: str, video: Video) -> tuple[Program, int]:
    network = PEERS[name](weights=None, weights_backbone=None, num_classes=2).eval()
    count = 1 if name == SLOW else len(video)
    pictures = [
        torch.from_numpy(np.array(frame)).permute(2, 0, 1).float() / 255 for frame in video.frames[:count]
    ]

    def run() -> None:
        with torch.inference_mode():
            for picture in pictures:
                network([picture] if name == SLOW else picture[None])

    return run, count


def measure(names: Sequence[str], length: int, count: int, size: tuple[int, int]) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    about = machine(os.getloadavg()[0], PACKAGES)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        mask = write_clip(place / "clip", length, size)
        timed = programs(names, place / "clip", mask, in_memory(place / "clip"), place)
        for run, _ in timed.values():
            run()  # warms up; not counted
        for round_, name in rounds(list(timed), count):
            run, frames = timed[name]
            took = spent(run)
            runs.append({"program": name, "round": round_, "frames": frames, **took})
            sys.stderr.write(f"round {round_}, {name}: {frames / took['cpu_seconds']:.2f} frames/CPU s\n")
    about["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "frames": length, "size": list(size), "machine": about}


def ratios(runs: Sequence[Mapping[str, Any]], program: str, other: str) -> list[float]:
    """Return frames per CPU second of a program relative to another, round by round."""
    rate = {(run["program"], run["round"]): run["frames"] / run["cpu_seconds"] for run in runs}
    return [value / rate[other, round_] for (name, round_), value in sorted(rate.items()) if name == program]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, (height, width) = report["runs"], report["size"]
    names = list(dict.fromkeys(run["program"] for run in sorted(runs, key=lambda run: run["cpu_seconds"])))
    others = [name for name in (FLOW, *PEERS) if name in names]
    lines = []
    for name in names:
        mine = [run for run in runs if run["program"] == name]
        cells = [
            name,
            f"{median(run['frames'] / run['cpu_seconds'] for run in mine):.3g}",
            f"{median(run['frames'] / run['seconds'] for run in mine):.3g}",
            *(f"{median(ratios(runs, name, other)):.3g}" for other in others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    most = max(run["round"] for run in runs)
    head = ("program", "frames / CPU s", "frames/s", *(f"of {other}" for other in others))
    return "\n".join(
        [
            "# Throughput at 480p, size lite\n",
            f"{report['frames']} frames of {width} x {height} ({SLOW}: one), {most} rounds, medians, one "
            "thread, all programs in every round in random order. Methods: frames and flow in memory, flow "
            "not counted, STCNN and LIP without the training on the first frame; torchvision's networks: "
            "random weights, frames at full size. Ratios are of frames per CPU second.\n",
            described(report["machine"]),
            _table(head, lines),
            "Command: `OMP_NUM_THREADS=1 python benchmarks/speed/throughput_lite.py "
            f"--frames {report['frames']} --rounds {most}`.\n",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(HEIGHT, WIDTH), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    report = measure(options.methods.split(","), options.frames, options.rounds, tuple(options.size))
    keep("throughput_lite", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
