"""Rate of `predict` from files to masks, relative to its slowest stage alone.

    OMP_NUM_THREADS=1 python benchmarks/speed/pipeline.py --rounds 3

Methods of the package on a clip of 480p in JPEG files. A stage alone is all frames decoded; all flow computed
from frames in memory; the method on frames and flow in memory; all masks written. ``predict`` does all of
that, reading ahead and writing behind the method in threads. Side by side are the same three threads that
wait for nothing of each other: what the machine gives at most, busy as it is. All of them take turns in every
round in random order. STCNN and LIP skip the training on the first frame, which reads and writes nothing.
Networks have one thread, so that two cores are enough; the ratio to the slowest stage means something only
where two cores are free.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count as numbers
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from machine import RESULTS, described, keep, machine, rounds, spent
from PIL import Image
from tables import _table

from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import DIS
from vosbench.formats.frame_folder import open_folder
from vosbench.formats.png import write_ids
from vosbench.inference.prediction import predict
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

HEIGHT, WIDTH = 480, 854
METHODS: Mapping[str, Mapping[str, Any]] = {
    "mpnet": {},
    "fusionseg": {},
    "lvo": {},
    "motion_maskrcnn": {},
    "stcnn": {"train_phase": "offline_only"},
    "lip": {"online": False},
}
"""Method -> switches."""

WHOLE, SIDE = "predict", "side by side"
TARGET = 0.85
PACKAGES = ("torch", "opencv-python-headless", "numpy", "pillow")
"""Their versions are stated."""

Stage = Callable[[], object]


def write_clip(folder: Path, length: int, size: tuple[int, int]) -> Path:
    """Write JPEG frames of a textured square that moves over noise, and its first mask; return the mask."""
    random = np.random.default_rng(0)
    height, width = size
    small = random.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    ground = np.asarray(Image.fromarray(small).resize((width, height)))
    side, first = height // 3, np.zeros(size, np.uint8)
    folder.mkdir(parents=True)
    for t in range(length):
        frame, left = ground.copy(), width // 4 + 4 * t
        frame[side : 2 * side, left : left + side] = 255 - ground[:side, :side]
        Image.fromarray(frame).save(folder / f"{t:05}.jpg", quality=95)
    first[side : 2 * side, width // 4 : width // 4 + side] = 1
    mask = folder.with_suffix(".png")
    write_ids(mask, first)
    return mask


def in_memory(clip: Path) -> Video:
    """Return the clip with frames and DIS flow in memory."""
    video = open_folder(clip)
    video = replace(video, frames=list(video.frames))
    return replace(video, flow=list(attach_flow(video, DIS(), None).flow or ()))


def stages(method: Any, clip: Path, mask: Path, memory: Video, place: Path) -> dict[str, Stage]:
    """Return the stages that a method has, alone, `WHOLE` and `SIDE`."""
    given = None if method.task == "unsupervised" else np.asarray(Image.open(mask))
    shown = [np.asarray(Image.open(mask))] * len(memory)
    places = (place / str(number) for number in numbers())
    video = memory if method.needs_flow else replace(memory, flow=None)

    def network() -> None:
        for _ in method.segment(video) if given is None else method.segment(video, given):
            pass

    def write() -> None:
        folder = next(places)
        folder.mkdir()
        for name, ids in zip(memory.frame_names, shown, strict=True):
            write_ids(folder / f"{name}.png", ids)

    found: dict[str, Stage] = {
        "decode": lambda: list(open_folder(clip).frames),
        "network": network,
        "write": write,
        WHOLE: lambda: predict(clip, method, next(places), first_mask=None if given is None else mask),
    }
    if method.needs_flow:
        found["flow"] = lambda: list(attach_flow(replace(memory, flow=None), DIS(), None).flow or ())
    return found | {SIDE: lambda: _side_by_side(found)}


def _side_by_side(found: Mapping[str, Stage]) -> None:
    def read() -> None:
        for stage in ("decode", "flow"):
            if stage in found:
                found[stage]()

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(run) for run in (read, found["write"])]
        found["network"]()
        for item in others:
            item.result()


def measure(methods: Sequence[str], length: int, count: int, size: tuple[int, int]) -> dict[str, Any]:
    """Run all rounds of all methods; return the content of the JSON file."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = machine(os.getloadavg()[0], PACKAGES)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        mask = write_clip(place / "clip", length, size)
        memory = in_memory(place / "clip")
        for name in methods:
            method, _ = load_method(name, settings=METHODS[name])
            (place / name).mkdir()
            programs = stages(method, place / "clip", mask, memory, place / name)
            programs["network"]()  # warms up; not counted
            for round_, stage in rounds(list(programs), count):
                took = spent(programs[stage])
                runs.append({"method": name, "stage": stage, "round": round_, "frames": length, **took})
                sys.stderr.write(
                    f"{name}, round {round_}, {stage}: {length / took['seconds']:.2f} frames/s\n"
                )
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "methods": list(methods), "size": list(size), "machine": found}


def ratios(runs: Sequence[Mapping[str, Any]], method: str, *, side: bool = False) -> list[float]:
    """Return the rate of `WHOLE` relative to the slowest stage alone, or to `SIDE`, round by round."""
    by_round: dict[int, dict[str, float]] = {}
    for run in runs:
        if run["method"] == method:
            by_round.setdefault(run["round"], {})[run["stage"]] = run["seconds"]
    return [
        (found[SIDE] if side else max(found[stage] for stage in found if stage not in (WHOLE, SIDE)))
        / found[WHOLE]
        for found in by_round.values()
    ]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, (height, width) = report["runs"], report["size"]
    columns = ("decode", "flow", "network", "write", SIDE, WHOLE)
    lines = []
    for method in report["methods"]:
        cells = [method]
        for stage in columns:
            mine = [
                run["frames"] / run["seconds"]
                for run in runs
                if (run["method"], run["stage"]) == (method, stage)
            ]
            cells.append(f"{median(mine):.3g}" if mine else "")
        found = ratios(runs, method)
        cells += [_spread(found), "yes" if median(found) >= TARGET else "no"]
        cells.append(_spread(ratios(runs, method, side=True)))
        lines.append(f"| {' | '.join(cells)} |")
    frames, most = runs[0]["frames"], max(run["round"] for run in runs)
    rates = (f"{stage}, frames/s" for stage in columns)
    head = ("method", *rates, "predict / slowest stage", f">= {TARGET}", f"predict / {SIDE}")
    return "\n".join(
        [
            "# From files to masks\n",
            f"{frames} frames of {width} x {height}, {most} rounds, medians; all stages of a method in every "
            "round in random order. Ratios are medians of the rounds (smallest to largest): 1 is as fast as "
            "the slowest stage alone. Networks have one thread; a second one reads, a third one writes. "
            f"{SIDE.capitalize()}: these threads without a wait for each other, what the machine gives.\n",
            described(report["machine"]),
            _table(head, lines),
            "Command: `OMP_NUM_THREADS=1 python benchmarks/speed/pipeline.py "
            f"--frames {frames} --rounds {most}`.\n",
        ]
    )


def _spread(found: Sequence[float]) -> str:
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(HEIGHT, WIDTH), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _arguments(arguments)
    report = measure(options.methods.split(","), options.frames, options.rounds, tuple(options.size))
    keep("pipeline", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
