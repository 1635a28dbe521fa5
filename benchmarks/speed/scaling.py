"""Overhead of `vosbench compare`, and its speed with a second worker.

    OMP_NUM_THREADS=1 python benchmarks/speed/scaling.py [--executors local,ray] [--rounds 3]

MP-Net (tiny, on pictures large enough that a frame takes a fraction of a second, still far from a network
of full size) is run on rendered sequences and scored by J, F and T. Flow is in the cache, as after any first
run; there are no records. Every worker computes with one thread. In every round all executors run with one
and with two workers, in random order. A second worker's gain is the ratio, within a round, of the sequences
per second after each worker has finished its first: starting processes and importing torch is not scaling.
The runner's cost is what one worker in this process takes beyond segmenting and scoring: opening data,
hashing them, writing masks and records, and one flow field that gives the cost of flow. Gains are meaningful
only where two cores are free: the load is reported with the gains.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import RESULTS, described, keep, machine, rounds
from tables import _table

from vosbench.benchmark import CompareResult, compare
from vosbench.data.mini import write_mini
from vosbench.executors.clusters import make_executor
from vosbench.executors.local import Executor, LocalExecutor
from vosbench.method import Size

METHOD = "mpnet"
SIZE: Size = "tiny"
TARGET_GAIN = 1.7
TARGET_COST = 0.03


@contextlib.contextmanager
def ray_cluster(wanted: bool) -> Iterator[str | None]:
    """Start a Ray cluster of two workers and yield its address; None when no cluster is wanted."""
    if not wanted:
        yield None
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


def executor(name: str, workers: int, address: str | None, folder: Path) -> Executor:
    """Return an executor; one local worker is this process."""
    if name == "local":
        return LocalExecutor(workers)
    return make_executor(name, workers=workers, address=address, folder=folder)


def run(
    root: Path, runner: Executor, settings: Mapping[str, Any]
) -> tuple[CompareResult, float, list[float]]:
    """Run one comparison; return its result, its seconds and the time at which each sequence finished."""
    finished: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        result = compare(
            models=[METHOD],
            datasets=["davis16"],
            data_root=root,
            out=Path(out),
            executor=runner,
            size=SIZE,
            settings=settings,
            device="cpu",
            cache=root / "cache",
            progress=lambda *_: finished.append(time.perf_counter() - start),
        )
        seconds = time.perf_counter() - start
    assert not result.failures, result.failures[0].message
    return result, seconds, finished


def rate(finished: Sequence[float], workers: int) -> float:
    """Sequences per second once every worker has finished its first."""
    return (len(finished) - workers) / (finished[-1] - finished[workers - 1])


def cost(result: CompareResult, seconds: float) -> dict[str, float]:
    """Seconds beyond segmenting and scoring: ``share`` of these, and ``per_frame``."""
    frames = sum(record.frames for record in result.records)
    steps = sum(
        record.seconds_per_frame[step] * record.frames
        for record in result.records
        for step in ("segment", "score")
    )
    return {"share": seconds / steps - 1, "per_frame": (seconds - steps) / frames}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    names = arguments.executors.split(",")
    settings = {"test_short_side": arguments.short_side}
    runs = []
    with tempfile.TemporaryDirectory() as folder, ray_cluster("ray" in names) as address:
        root = Path(folder)
        write_mini("davis16", root, scenes=arguments.scenes)
        programs = [f"{name} {workers}" for name in names for workers in (1, 2)]
        run(root, LocalExecutor(1), settings)
        for round_, program in rounds(programs, arguments.rounds):
            name, workers = program.split()[0], int(program.split()[1])
            chosen = executor(name, workers, address, Path(folder) / "jobs")
            result, seconds, finished = run(root, chosen, settings)
            runs.append(
                {
                    "round": round_,
                    "executor": name,
                    "workers": workers,
                    "seconds": seconds,
                    "rate": rate(finished, workers),
                    "cost": cost(result, seconds) if (name, workers) == ("local", 1) else None,
                    "load": os.getloadavg()[0],
                }
            )
    frames = sum(record.frames for record in result.records)
    return {
        "runs": runs,
        "sequences": len(result.records),
        "frames": frames,
        "short_side": arguments.short_side,
        "machine": machine(os.getloadavg()[0], ("torch", "ray") if "ray" in names else ("torch",)),
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs = report["runs"]
    by_key = {(entry["round"], entry["executor"], entry["workers"]): entry for entry in runs}
    names = list(dict.fromkeys(entry["executor"] for entry in runs))
    rows = []
    for name in names:
        pairs = [
            (by_key[round_, name, 1]["rate"], by_key[round_, name, 2]["rate"])
            for round_ in sorted({entry["round"] for entry in runs})
        ]
        gains = [two / one for one, two in pairs]
        one, two = (median(column) for column in zip(*pairs, strict=True))
        gain = f"{median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f})"
        reached = "yes" if median(gains) >= TARGET_GAIN else "no"
        rows.append(f"| {name} | {one:.2f} | {two:.2f} | {gain} | {reached} |")
    costs = [entry["cost"]["share"] for entry in runs if entry["cost"] is not None]
    spent = median(entry["cost"]["per_frame"] for entry in runs if entry["cost"] is not None)
    loads = [entry["load"] for entry in runs]
    share = f"{100 * median(costs):.1f} % ({100 * min(costs):.1f} to {100 * max(costs):.1f} %)"
    verdict = "yes" if median(costs) < TARGET_COST else "no"
    return (
        "# Scaling of `vosbench compare`\n\n"
        f"{METHOD} ({SIZE}, shorter side {report['short_side']}) on {report['sequences']} rendered "
        f"sequences, {report['frames']} frames; one thread per worker. Written by "
        "`benchmarks/speed/scaling.py`, which says how it measures.\n\n"
        + _table(
            [
                "executor",
                "sequences/s, 1 worker",
                "2 workers",
                "gain, median of the rounds (range)",
                f"at least {TARGET_GAIN}",
            ],
            rows,
        )
        + f"\nCost of the runner with one worker in one process: {1000 * spent:.1f} ms per frame, {share} of "
        f"segmenting and scoring; below {100 * TARGET_COST:.0f} %: {verdict}.\n\n"
        f"Processes that wanted a core at the same time (load): {min(loads):.1f} to {max(loads):.1f}. "
        f"{described(report['machine'])}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--executors", default="local,ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=16, help="sequences")
    parser.add_argument("--short-side", type=int, default=288, help="of what the network sees")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = measure(arguments)
    keep("scaling", report, markdown(report), arguments.out)


if __name__ == "__main__":
    main()
