"""Speed of the visual memory of LVO on a CPU: vosbench's ConvGRU and its usual implementations.

    python benchmarks/speed/memory.py --rounds 5

All programs have the same weights and see the same 14 frames of 129 channels on the grid of a 480p video;
in every round they take turns in random order. ``naive`` is the formula as it reads: six convolutions per
step. ``fused`` joins input and state, two convolutions per step, images with channels last. ``direct`` is
vosbench's layer with the library's convolutions only. The limit is the best rate of the library's large
convolutions and matrix products in the same run. Run it alone on the machine.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from loader import ratios
from machine import RESULTS, cores, described, keep, machine, rounds
from memory_programs import DIRECT, NAIVE, OURS, PROGRAMS, Fused, Naive, library_only, module_of
from tables import _table
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers import fast_convolution
from vosbench.models.layers.recurrent import ConvGRU, both_directions

FRAMES, HEIGHT, WIDTH, CHANNELS, STATE, KERNEL = 14, 60, 107, 129, 64, 7
INFERENCE, TRAINING, BOTH = "inference", "training step", "inference, both directions"
TASKS = (INFERENCE, TRAINING, BOTH)
TARGETS = {INFERENCE: 1.8, TRAINING: 1.3}
AGREE = 1e-5

Run = dict[str, Any]


def task(name: str, program: str, module: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """Return a function that runs the task once and returns the states."""

    def states(frames: Tensor) -> Tensor:
        output = module(frames)
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first

    def infer() -> Tensor:
        with torch.no_grad():
            return states(x)

    def both() -> Tensor:
        with torch.no_grad():
            if isinstance(module, ConvGRU):
                return both_directions(module, x)
            return torch.cat([states(x), states(x.flip(1)).flip(1)], dim=2)

    def train() -> Tensor:
        module.zero_grad()
        frames = x.detach().requires_grad_()
        found = states(frames)
        found.square().mean().backward()  # type: ignore[no-untyped-call]
        return found

    chosen = {INFERENCE: infer, TRAINING: train, BOTH: both}[name]
    if program != DIRECT:
        return chosen

    def direct() -> Tensor:
        with library_only():
            return chosen()

    return direct


def gradients(program: str, module: nn.Module, x: Tensor) -> list[Tensor]:
    """Gradients of a training step: inputs, input weights, state weights, in the layout of `ConvGRU`."""
    frames = x.detach().requires_grad_()
    task(TRAINING, program, module, frames)()
    if isinstance(module, Naive):
        z, r, c = zip(*(map(_gradient, part) for part in (module.inputs, module.hidden)), strict=True)
        return [torch.cat(several) for several in zip(r, z, c, strict=True)]
    if isinstance(module, Fused):
        joined = torch.cat([_gradient(module.gates), _gradient(module.candidate)])
        return list(torch.tensor_split(joined, [joined.shape[1] - module.channels], dim=1))
    return [_gradient(module.inputs).clone(), _gradient(module.hidden).clone()]


def _gradient(layer: nn.Module | Tensor) -> Tensor:
    assert isinstance(layer, nn.Module)
    gradient = layer.get_parameter("weight").grad
    assert gradient is not None
    return gradient


def differences(memory: ConvGRU, x: Tensor) -> dict[str, dict[str, float]]:
    """Program -> largest difference from the naive one, over the naive one's largest value."""
    modules = {program: module_of(program, memory) for program in PROGRAMS}

    def values(program: str) -> dict[str, list[Tensor]]:
        return {
            "states": [task(BOTH, program, modules[program], x)()],
            "gradients": gradients(program, modules[program], x),
        }

    expected = values(NAIVE)
    found: dict[str, dict[str, float]] = {}
    for program in PROGRAMS:
        if program != NAIVE:
            mine = values(program)
            found[program] = {
                what: max(
                    float((a - b).abs().max() / b.abs().max())
                    for a, b in zip(mine[what], expected[what], strict=True)
                )
                for what in expected
            }
    return found


def direct_operations(name: str) -> int:
    """Multiplications and additions of the convolutions as the formula reads."""
    once = 2 * KERNEL**2 * (CHANNELS + STATE) * 3 * STATE * HEIGHT * WIDTH * FRAMES
    # backward: gradients of inputs and of weights
    return {INFERENCE: 1, TRAINING: 3, BOTH: 2}[name] * once


def operations(memory: ConvGRU, x: Tensor) -> int:
    """Multiplications and additions that vosbench's convolutions take for inference."""
    total = 0
    state = x.new_empty(1, memory.channels, *x.shape[-2:])
    split = 2 * memory.channels
    for images, weight in (
        (x[0], memory.inputs.weight),
        (state, memory.hidden.weight[:split]),
        (state, memory.hidden.weight[split:]),
    ):
        convolution = fast_convolution.prepare(images, weight)
        if not isinstance(convolution, fast_convolution.Transformed):
            total += 2 * weight.numel() * x.shape[1] * x.shape[-2] * x.shape[-1]
            continue
        tiling = convolution.tiling
        rows, columns, _, kernel = weight.shape
        per_column = columns * tiling.length + rows * columns * kernel + rows * tiling.step
        total += 2 * x.shape[1] * x.shape[-1] * tiling.tiles * tiling.products * per_column
    return total


def limits() -> dict[str, Callable[[], int]]:
    """Large operations of the library; each returns how many multiplications and additions it does."""

    def convolution(images: int, columns: int, rows: int, kernel: int) -> Callable[[], int]:
        x = torch.randn(images, columns, HEIGHT, WIDTH).to(memory_format=torch.channels_last)
        weight = torch.randn(rows, columns, kernel, kernel).to(memory_format=torch.channels_last)

        def run() -> int:
            with torch.no_grad():
                F.conv2d(x, weight, padding=kernel // 2)
            return 2 * x.numel() * rows * kernel**2

        return run

    square = torch.randn(2048, 2048)

    def product() -> int:
        torch.mm(square, square)
        return 2 * 2048**3

    return {
        "convolution 7x7, 128 to 192 channels": convolution(4, 128, 192, 7),
        "convolution 3x3, 256 to 256 channels": convolution(4, 256, 256, 3),
        "matrix product 2048": product,
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


def measure_threads(threads: int, count: int, memory: ConvGRU, x: Tensor) -> tuple[list[Run], list[Run]]:
    """Run all rounds with a number of threads; return runs of the programs and of the limits."""
    torch.set_num_threads(threads)
    work = {
        (name, program): task(name, program, module_of(program, memory), x)
        for name in TASKS
        for program in PROGRAMS
    }
    runs, best = [], []
    large = limits()
    for key in work:
        work[key]()  # not counted
    for round_ in range(1, count + 1):
        for what, run in large.items():
            for _ in range(5):
                seconds, done = timed(run)
                best.append({"what": what, "round": round_, "threads": threads, "rate": done / seconds})
    # tasks one after the other, programs of a task in turns
    for name in TASKS:
        for round_, program in rounds(PROGRAMS, count):
            seconds, _ = timed(work[name, program])
            run_ = {"task": name, "program": program, "threads": threads, "round": round_}
            runs.append({**run_, "seconds": seconds, "frames": FRAMES})
            print(f"{threads} threads, round {round_}: {name}, {program} {seconds:.3f} s", flush=True)
    return runs, best


def peak(name: str, program: str) -> float:
    """Growth of this process by one run of a task, MiB above its previous peak."""
    memory, x = example()
    work = task(name, program, module_of(program, memory), x)
    before = most_memory()
    work()
    return most_memory() - before


def most_memory() -> float:
    """The most resident memory this process has had, MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peaks() -> dict[str, dict[str, float]]:
    """Task -> program -> `peak` in a process of its own.

    These are forks: call it before anything is computed here, when there are no threads to lose.
    """
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return {name: {program: pool.apply(peak, (name, program)) for program in PROGRAMS} for name in TASKS}


def example(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> tuple[ConvGRU, Tensor]:
    torch.manual_seed(0)
    return ConvGRU(CHANNELS, STATE, KERNEL), torch.randn(1, frames, CHANNELS, height, width)


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    count = max(run["round"] for run in report["runs"])
    all_threads = sorted({run["threads"] for run in report["runs"]})
    sections = [
        "# Speed of the visual memory on a CPU\n",
        f"ConvGRU over {FRAMES} frames of {CHANNELS} channels, {HEIGHT} x {WIDTH}, state of {STATE} "
        f"channels, kernel {KERNEL} x {KERNEL}, single precision. {count} rounds, all programs of a task in "
        "every round in random order. Ratios are medians of the rounds (smallest to largest).\n",
        described(report["machine"]),
        "naive: the formula as it reads, six convolutions per step. fused: input and state joined, two "
        "convolutions per step, channels last. direct: vosbench's layer without its transformed "
        "convolution. A training step is forward and backward, gradients of the inputs included.\n",
        "## What is asked of it\n",
        _targets(report, all_threads),
        *(
            f"## {threads} thread{'s' * (threads > 1)}\n\n{_times(report, threads)}"
            for threads in all_threads
        ),
        "## Values\n",
        _agreement(report["differences"]),
    ]
    return "\n".join(sections)


def chosen(runs: Sequence[Run], name: str, threads: int) -> list[Run]:
    return [run for run in runs if run["task"] == name and run["threads"] == threads]


def limit(report: Mapping[str, Any], threads: int) -> tuple[float, str]:
    """Largest operations per second of the library, and the operation."""
    return max((run["rate"], run["what"]) for run in report["limits"] if run["threads"] == threads)


def _targets(report: Mapping[str, Any], all_threads: Sequence[int]) -> str:
    lines = []
    for threads in all_threads:
        for name, target in TARGETS.items():
            faster = median(ratios(chosen(report["runs"], name, threads), OURS, NAIVE))
            verdict = "yes" if faster >= target else "no"
            lines.append(f"| naive / vosbench, {name} | {threads} | {faster:.2f} | >= {target} | {verdict} |")
    return _table(("", "threads", "measured", "target", "met"), lines)


def _times(report: Mapping[str, Any], threads: int) -> str:
    best, what = limit(report, threads)
    lines = []
    for name in TASKS:
        some = chosen(report["runs"], name, threads)
        for program in PROGRAMS:
            seconds = median(run["seconds"] for run in some if run["program"] == program)
            rate = direct_operations(name) / seconds
            faster = ratios(some, program, NAIVE)
            ratio = f"{median(faster):.2f} ({min(faster):.2f} to {max(faster):.2f})"
            grown = report["peaks"][name][program]
            lines.append(
                f"| {name} | {program} | {seconds:.3f} | {rate / 1e9:.0f} | {rate / best:.2f} | {ratio} | "
                f"{grown:.0f} |"
            )
    head = ("task", "program", "seconds", "GFLOP/s", "of the limit", "times as fast as naive", "MiB more")
    ours = median(
        run["seconds"] for run in chosen(report["runs"], INFERENCE, threads) if run["program"] == OURS
    )
    done = report["operations"]
    return (
        _table(head, lines)
        + f"\nLimit: {best / 1e9:.0f} GFLOP/s ({what}). GFLOP/s count the operations of the formula; the "
        f"transform does {done / 1e9:.0f} of {direct_operations(INFERENCE) / 1e9:.0f} GFLOP, so for "
        f"inference vosbench really does {done / ours / 1e9:.0f} GFLOP/s, {done / ours / best:.2f} of the "
        "limit. MiB: how much a process of its own grows by doing the task once.\n"
    )


def _agreement(gaps: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        f"| {program} | {found['states']:.1e} | {found['gradients']:.1e} |" for program, found in gaps.items()
    ]
    odd = [program for program, found in gaps.items() if not all(gap <= AGREE for gap in found.values())]
    verdict = f"{', '.join(odd)} differ by more than {AGREE:g}." if odd else f"All agree within {AGREE:g}."
    head = ("program", "states", "gradients of the weights")
    return (
        "Largest difference from naive over naive's largest value.\n\n"
        + _table(head, lines)
        + f"\n{verdict}\n"
    )


def measure(all_threads: Sequence[int], count: int) -> dict[str, Any]:
    """Run all programs; return the content of the JSON file."""
    load = os.getloadavg()[0]
    grown = peaks()
    memory, x = example()
    runs: list[Run] = []
    best: list[Run] = []
    for threads in all_threads:
        some, large = measure_threads(threads, count, memory, x)
        runs += some
        best += large
    return {
        "runs": runs,
        "limits": best,
        "peaks": grown,
        "operations": operations(memory, x),
        "differences": differences(memory, x),
        "machine": machine(load, ("torch",)) | {"load_after": round(os.getloadavg()[0], 2)},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    report = measure(options.threads, options.rounds)
    keep("memory", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
