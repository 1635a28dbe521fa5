"""Frames per second of FusionSeg, Motion Mask R-CNN and torchvision's one-stream networks at 480p.

    python benchmarks/speed/throughput.py --device cuda --batches 1,2,4,8,16
    OMP_NUM_THREADS=1 python benchmarks/speed/throughput.py --rounds 3

Full size, random weights; all programs see the same pixels of 854 x 480 and flow of that size, and take
turns in every round in random order. FusionSeg works on 513 x 289, as it does on any video of this shape,
and so does its peer. The detectors enlarge to 800 pixels and keep up to 100 detections, which random
weights do give. Peak memory is that of a process of its own for each program and batch: what torch holds
on a GPU, what the process grew by otherwise. Run it alone on the machine.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from loader import ratios
from machine import RESULTS, described, keep, machine, rounds
from tables import _table
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import maskrcnn_resnet50_fpn  # type: ignore[import-untyped]
from torchvision.models.segmentation import deeplabv3_resnet101  # type: ignore[import-untyped]

from vosbench.models import build

SIZE = (480, 854)
FITTED = (289, 513)
DEEPLAB, MASK_RCNN = "deeplabv3_resnet101", "maskrcnn_resnet50_fpn"
PEERS = {"fusionseg": DEEPLAB, "motion_maskrcnn": MASK_RCNN}
PROGRAMS = (*PEERS, *PEERS.values())

Program = Callable[[int], Any]
"""Runs a batch of so many frames."""


def pixels(size: tuple[int, int], batch: int, device: str) -> tuple[Tensor, Tensor]:
    """Smooth frames (B, 1, 3, H, W) in 0..255 and flow (B, 1, 2, H, W) of a few pixels."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 5, 6, 10, generator=random)
    smooth = F.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)[:, None]
    return (smooth[:, :, :3] * 255).to(device), ((smooth[:, :, 3:] - 0.5) * 20).to(device)


def program(name: str, device: str, batches: Sequence[int], size: tuple[int, int] | None = None) -> Program:
    """Return a program with its network and pixels on the device."""
    inputs = {batch: pixels(size or _size(name), batch, device) for batch in batches}
    if name == "fusionseg":
        fusionseg = build(name).eval().to(device)
        return lambda batch: fusionseg(*inputs[batch])
    if name == "motion_maskrcnn":
        module: Any = build(name).eval().to(device)
        return lambda batch: module.network(
            [module.picture(frames[0], flow[0]) for frames, flow in zip(*inputs[batch], strict=True)], "main"
        )
    peer: nn.Module
    if name == DEEPLAB:
        peer = deeplabv3_resnet101(weights=None, weights_backbone=None, num_classes=2)
    else:
        peer = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2)
    peer.eval().to(device)
    if name == DEEPLAB:
        return lambda batch: peer(inputs[batch][0][:, 0] / 255)
    return lambda batch: peer([frame[0] / 255 for frame in inputs[batch][0]])


def _size(name: str) -> tuple[int, int]:
    return FITTED if name in ("fusionseg", DEEPLAB) else SIZE


@torch.inference_mode()
def seconds(run: Program, batch: int, device: str) -> float:
    """Seconds of one call, device work included."""
    start = time.perf_counter()
    run(batch)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def peak_mb(name: str, device: str, batch: int) -> float:
    """Memory of one call in this process, MiB; weights are counted on a GPU only."""
    run = program(name, device, [batch])
    if device == "cpu":
        before = _resident_mb()
        run(batch)
        return _resident_mb() - before
    torch.cuda.reset_peak_memory_stats()
    run(batch)
    return torch.cuda.max_memory_allocated() / 2**20


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(device: str, batches: Sequence[int], count: int) -> dict[str, Any]:
    """Run all rounds; return the content of the JSON file."""
    load = os.getloadavg()[0]
    memory = {}
    for name in PROGRAMS:
        for batch in batches:
            with get_context("spawn").Pool(1) as pool:
                memory[f"{name} {batch}"] = pool.apply(peak_mb, (name, device, batch))
            print(f"{name}, batch {batch}: {memory[f'{name} {batch}']:.0f} MiB", flush=True)
    programs = {name: program(name, device, batches) for name in PROGRAMS}
    for name, run in programs.items():
        print(f"{name} warm: {seconds(run, batches[0], device):.2f} s", flush=True)
    runs = []
    programs_of_batch = [f"{name} {batch}" for name in PROGRAMS for batch in batches]
    for round_, program_of_batch in rounds(programs_of_batch, count):
        name, _, size = program_of_batch.rpartition(" ")
        frames = int(size)
        spent = seconds(programs[name], frames, device)
        runs.append({"program": program_of_batch, "round": round_, "seconds": spent, "frames": frames})
        print(f"round {round_}: {name}, batch {frames}: {frames / spent:.2f} frames/s", flush=True)
    return {"runs": runs, "memory_mb": memory, "batches": list(batches), "machine": _where(device, load)}


def _where(device: str, load: float) -> dict[str, Any]:
    facts = machine(load, ("torch", "torchvision")) | {"threads": torch.get_num_threads()}
    return facts if device == "cpu" else facts | {"processor": torch.cuda.get_device_name()}


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, where = report["runs"], report["machine"]
    head = ("program", "batch", "frames/s, median", "smallest to largest", "of the peer", "peak memory, MiB")
    return "\n".join(
        [
            "# Throughput at 480p\n",
            "Full size, random weights, pixels and flow of 854 x 480 (FusionSeg and its peer: 513 x 289), "
            f"{max(run['round'] for run in runs)} rounds, all programs in every round in random order. "
            "Ratios are medians of the rounds (smallest to largest); flow is not computed.\n",
            f"Threads: {where['threads']}. {described(where)}",
            _table(head, [line for name in PROGRAMS for line in _lines(name, report)]),
            f"The peer of fusionseg is torchvision's {DEEPLAB}, of motion_maskrcnn its {MASK_RCNN}: one "
            "stream each, so that half a peer's rate is what two streams cost.\n",
        ]
    )


def _lines(name: str, report: Mapping[str, Any]) -> list[str]:
    runs = report["runs"]
    rates = {
        batch: [run["frames"] / run["seconds"] for run in runs if run["program"] == f"{name} {batch}"]
        for batch in report["batches"]
    }
    best = max(rates, key=lambda batch: median(rates[batch]))
    lines = []
    for batch, mine in rates.items():
        found = ratios(runs, f"{name} {batch}", f"{PEERS[name]} {batch}") if name in PEERS else []
        cells = [
            name,
            f"{batch}, best" if batch == best else str(batch),
            f"{median(mine):.3g}",
            f"{min(mine):.3g} to {max(mine):.3g}",
            f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else "",
            f"{report['memory_mb'][f'{name} {batch}']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batches", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: leave out --device cuda")
    report = measure(options.device, [int(batch) for batch in options.batches.split(",")], options.rounds)
    keep(f"throughput_{options.device}", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
