"""Speed of the overlap tracker: vosbench and plain numpy on the same rendered detections.

    OMP_NUM_THREADS=1 python benchmarks/speed/tracker.py

Ellipses wander over frames of 854 x 480, each a detection with a random score. First one long video is
tracked once, its frames rendered one by one with the clock stopped. Then all programs track a short one
from memory, in every round in another order, and must give the same ids. ``vosbench`` goes forward and
back, as do the plain ones; ``forward`` leaves out the way back. ``bool`` compares whole masks pair by pair;
``product`` compares all pairs at once, by a matrix product of the masks.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from loader import ratios
from machine import RESULTS, described, keep, machine, rounds
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tables import _table

from vosbench.models.postprocessing.tracker import OverlapTracker

SIZE = (480, 854)
OBJECTS = 20
OURS = "vosbench"
TARGET = 60.0
TARGET_FRAMES = 1000

Masks = NDArray[np.bool_]
Frame = tuple[Masks, NDArray[np.float64]]
Seen = tuple[int, int]
"""Frame and index of a detection."""

Compare = Callable[[Masks, Masks], NDArray[np.float64]]
"""(N, H, W) and (M, H, W) bool -> (N, M) intersection over union."""


def scene(
    length: int, objects: int = OBJECTS, size: tuple[int, int] = SIZE, seed: int = 0
) -> Iterator[Frame]:
    """Moving ellipses; one array of masks is reused for every frame."""
    random = np.random.default_rng(seed)
    shortest = min(size)
    radii = random.uniform(shortest / 16, shortest / 6, (objects, 2)).astype(int)
    low, high = radii, np.array(size) - radii - 1
    centres, steps = random.uniform(low, high), random.normal(0, shortest / 160, (objects, 2))
    shapes = [_ellipse(*radius) for radius in radii]
    masks = np.zeros((objects, *size), np.bool_)
    for _ in range(length):
        centres = centres + steps
        steps[(centres < low) | (centres > high)] *= -1
        centres = np.clip(centres, low, high)
        masks[:] = False
        for mask, shape, (top, left) in zip(masks, shapes, (centres - radii).astype(int), strict=True):
            mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        yield masks, random.uniform(0.6, 1.0, objects)


def _ellipse(height: int, width: int) -> Masks:
    rows, columns = np.mgrid[-height : height + 1, -width : width + 1]
    return np.asarray((rows / height) ** 2 + (columns / width) ** 2 <= 1)


def compare_bool(rows: Masks, columns: Masks) -> NDArray[np.float64]:
    """IoU pair by pair, whole masks."""
    return np.array(
        [[np.logical_and(a, b).sum() / max(np.logical_or(a, b).sum(), 1) for b in columns] for a in rows]
    )


def compare_product(rows: Masks, columns: Masks) -> NDArray[np.float64]:
    """IoU of all pairs by a matrix product; float32 counts exactly up to 16 million pixels."""
    a = rows.reshape(len(rows), -1).astype(np.float32)
    b = columns.reshape(len(columns), -1).astype(np.float32)
    shared = (a @ b.T).astype(np.float64)
    union = a.sum(axis=1)[:, None] + b.sum(axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1))


class Plain:
    """Tracker by its definition, with whole masks, sharing no code with vosbench."""

    def __init__(self, frames: Sequence[Frame], compare: Compare) -> None:
        self.frames, self.compare = frames, compare
        self.tracks: list[dict[int, int]] = []
        """Frame -> detection."""
        self.taken: set[Seen] = set()

    def run(self) -> NDArray[np.uint8]:
        """Return ids, (T, H, W) uint8."""
        for t in range(len(self.frames)):
            self._extend([(track, max(track)) for track in self.tracks if t - max(track) <= 10], t)
            for i in self._free(t):
                if self.frames[t][1][i] > 0.9:
                    self.tracks.append({t: i})
                    self.taken.add((t, i))
        for t in reversed(range(len(self.frames))):
            fit = [s for s in self.tracks if max(s) > t and min(s) < t + 10 and t not in s]
            self._extend([(track, min(u for u in track if u > t)) for track in fit], t)
        return self._ids()

    def _free(self, t: int) -> list[int]:
        scores = self.frames[t][1]
        return [i for i, score in enumerate(scores) if score > 0.7 and (t, i) not in self.taken]

    def _extend(self, candidates: list[tuple[dict[int, int], int]], t: int) -> None:
        masks, scores = self.frames[t]
        for near in sorted({at for _, at in candidates}, key=lambda at: abs(at - t)):
            group = [track for track, at in candidates if at == near]
            their_masks, their_scores = self.frames[near]
            group.sort(key=lambda track: -their_scores[track[near]])
            free = sorted(self._free(t), key=lambda i: -scores[i])
            if not free:
                return
            table = self.compare(their_masks[[track[near] for track in group]], masks[free])
            for row, column in zip(*linear_sum_assignment(-table), strict=True):
                if table[row, column] > 0.1:
                    group[row][t] = free[column]
                    self.taken.add((t, free[column]))

    def _ids(self) -> NDArray[np.uint8]:
        ids = np.zeros((len(self.frames), *self.frames[0][0].shape[1:]), np.uint8)
        for t, (masks, scores) in enumerate(self.frames):
            numbered = [(number, track[t]) for number, track in enumerate(self.tracks, 1) if t in track]
            for number, i in sorted(numbered, key=lambda item: scores[item[1]]):
                ids[t][masks[i]] = number
        return ids


PROGRAMS: Mapping[str, Callable[[Sequence[Frame]], NDArray[np.uint8]]] = {
    OURS: lambda frames: OverlapTracker()(frames),
    "forward": lambda frames: OverlapTracker(bidirectional=False)(frames),
    "bool": lambda frames: Plain(frames, compare_bool).run(),
    "product": lambda frames: Plain(frames, compare_product).run(),
}
SAME = (OURS, "bool", "product")
"""Programs that must give the same ids."""


class Clock:
    """Total seconds spent on making frames."""

    def __init__(self) -> None:
        self.stopped = 0.0

    def around(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        source = iter(frames)
        while True:
            start = time.perf_counter()
            frame = next(source, None)
            self.stopped += time.perf_counter() - start
            if frame is None:
                return
            yield frame


def track_long(length: int) -> dict[str, float]:
    """Track one long video without keeping id maps: seconds, tracks, growth of memory."""
    clock, tracks, before = Clock(), 0, _peak_mb()
    start = time.perf_counter()
    for ids in OverlapTracker().track(clock.around(scene(length))):
        tracks = max(tracks, int(ids.max()))
    seconds = time.perf_counter() - start - clock.stopped
    return {"frames": length, "seconds": seconds, "tracks": tracks, "growth_mb": _peak_mb() - before}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(length: int, short: int, count: int) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    load = os.getloadavg()[0]
    long = track_long(length)
    print(f"{length} frames in {long['seconds']:.1f} s", flush=True)
    frames = [(masks.copy(), scores) for masks, scores in scene(short)]
    ids = {name: program(frames) for name, program in PROGRAMS.items()}  # warms up; not counted
    different = [name for name in SAME if not np.array_equal(ids[name], ids[OURS])]
    if different:
        raise SystemExit(f"ids of {', '.join(different)} are not those of {OURS}")
    runs = []
    for round_, name in rounds(list(PROGRAMS), count):
        start = time.perf_counter()
        PROGRAMS[name](frames)
        seconds = time.perf_counter() - start
        runs.append({"program": name, "round": round_, "seconds": seconds, "frames": short})
        print(f"round {round_}: {name} {short / seconds:.1f} frames/s", flush=True)
    return {
        "objects": OBJECTS,
        "size": SIZE,
        "long": long,
        "runs": runs,
        "machine": machine(load, ("numpy", "scipy", "zlib-ng")),
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, long = report["runs"], report["long"]
    lines = []
    for program in sorted({run["program"] for run in runs}):
        rates = [run["frames"] / run["seconds"] for run in runs if run["program"] == program]
        cells = [program, f"{median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}"]
        for limit in ("bool", "product"):
            relative = ratios(runs, program, limit)
            cells.append(f"{median(relative):.2f} ({min(relative):.2f} to {max(relative):.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    head = ("program", "frames/s, median", "smallest to largest", "of bool", "of product")
    height, width = report["size"]
    return "\n".join(
        [
            "# Speed of the overlap tracker\n",
            f"{report['objects']} objects in frames of {width} x {height}. {runs[0]['frames']} frames from "
            f"memory, {max(run['round'] for run in runs)} rounds, all programs in every round in random "
            "order; one core. Ratios are medians of the rounds (smallest to largest).\n",
            described(report["machine"]),
            _table(head, lines),
            "vosbench: forward and back. forward: without the way back. bool, product: the definition with "
            "whole masks, compared pair by pair or all at once by a matrix product; forward and back, ids "
            "equal to vosbench's.\n",
            f"A long video, {long['frames']} frames, {long['tracks']} tracks: {long['seconds']:.1f} s, "
            f"{long['frames'] / long['seconds']:.1f} frames/s without rendering the masks; peak memory "
            f"{long['growth_mb']:.0f} MiB above that of the imported program.\n",
            f"Target: {TARGET_FRAMES} frames in less than {TARGET:.0f} s on one core: {_verdict(long)}.\n",
        ]
    )


def _verdict(long: Mapping[str, float]) -> str:
    if long["frames"] < TARGET_FRAMES:
        return "not measured"
    return "met" if long["seconds"] * TARGET_FRAMES / long["frames"] < TARGET else "missed"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=TARGET_FRAMES, help="of the long video")
    parser.add_argument("--short", type=int, default=20, help="frames of the short video")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    # before the first product, or the library of linear algebra takes every core
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("run it on one core: OMP_NUM_THREADS=1 python benchmarks/speed/tracker.py")
    report = measure(options.frames, options.short, options.rounds)
    keep("tracker", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
