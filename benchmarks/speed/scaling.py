"""What the runner of `vosbench compare` costs, and what a second worker gains.

    OMP_NUM_THREADS=1 python benchmarks/speed/scaling.py [--executors local,ray] [--rounds 3]

MP-Net (tiny, on pictures large enough that a frame takes a fraction of a second, still far from a network
of full size) is run on rendered sequences and scored by J, F and T. Flow is in the cache, as after any first
run; there are no records. Every worker computes with one thread. In every round all executors run with one
and with two workers, in random order. A second worker's gain is the ratio, within a round, of the sequences
per second after each worker has finished its first: starting processes and importing torch is not scaling.
The runner's cost is what one worker in this process takes beyond segmenting and scoring: opening data,
hashing them, writing masks and records, and one flow field that tells what flow costs. Gains mean something
only where two cores are free: the load is told beside them.
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
from loader import rounds
from machine import RESULTS, described, keep, machine
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
    """The address of a Ray cluster of two workers, started here; None when nobody wants one."""
    if not wanted:
        yield None
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


def executor(name: str, workers: int, address: str | None, folder: Path) -> Executor:
    """An executor; one local worker is this process, as for a user."""
    if name == "local":
        return LocalExecutor(workers)
    return make_executor(name, workers=workers, address=address, folder=folder)


def run(
    root: Path, chosen: Executor, settings: Mapping[str, Any]
) -> tuple[CompareResult, float, list[float]]:
    """One comparison: its result, its seconds, and when each sequence was finished."""
    finished: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        result = compare(
            models=[METHOD],
            datasets=["davis16"],
            data_root=root,
            out=Path(out),
            executor=chosen,
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
    """All runs, as plain data."""
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


def markdown(found: Mapping[str, Any]) -> str:
    """The tables."""
    runs = found["runs"]
    by_key = {(each["round"], each["executor"], each["workers"]): each for each in runs}
    names = list(dict.fromkeys(each["executor"] for each in runs))
    rows = []
    for name in names:
        pairs = [
            (by_key[round_, name, 1]["rate"], by_key[round_, name, 2]["rate"])
            for round_ in sorted({each["round"] for each in runs})
        ]
        gains = [two / one for one, two in pairs]
        one, two = (median(column) for column in zip(*pairs, strict=True))
        gain = f"{median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f})"
        reached = "yes" if median(gains) >= TARGET_GAIN else "no"
        rows.append(f"| {name} | {one:.2f} | {two:.2f} | {gain} | {reached} |")
    costs = [each["cost"]["share"] for each in runs if each["cost"] is not None]
    spent = median(each["cost"]["per_frame"] for each in runs if each["cost"] is not None)
    loads = [each["load"] for each in runs]
    share = f"{100 * median(costs):.1f} % ({100 * min(costs):.1f} to {100 * max(costs):.1f} %)"
    verdict = "yes" if median(costs) < TARGET_COST else "no"
    return (
        "# Scaling of `vosbench compare`\n\n"
        f"{METHOD} ({SIZE}, shorter side {found['short_side']}) on {found['sequences']} rendered sequences, "
        f"{found['frames']} frames; one thread per worker. Written by `benchmarks/speed/scaling.py`, which "
        "says how it measures.\n\n"
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
        f"{described(found['machine'])}"
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
    found = measure(arguments)
    keep("scaling", found, markdown(found), arguments.out)


if __name__ == "__main__":
    main()
