"""Steps of `run.sh`: what vosbench wants to know of a GPU, one JSON file each.

    python benchmarks/gpu/measure.py STEP --device cuda --seconds 100 --out OUT [--small]

Every result is written as soon as it is there, so that a step that runs out of time leaves what it has.
Networks of full size have random weights of a fixed seed; inputs are a textured square that moves over noise,
with the flow of that motion. ``--small`` takes tiny networks and pictures: the same steps on a CPU.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vosbench.errors import error_line
from vosbench.models import METHODS, build
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

PRECISIONS = ("fp32", "bf16")
WITHOUT_ONLINE: Mapping[str, Mapping[str, Any]] = {
    "stcnn": {"train_phase": "offline_only"},
    "lip": {"online": False},
}
"""Switches with which a method learns nothing from the first frame."""

COMPILED = ("fusionseg", "mpnet", "stcnn")
"""Methods with a network of one frame or pair, see `vosbench.export`."""

TRAININGS: Mapping[str, Sequence[str]] = {
    "mpnet": ("data=mini",),
    "stcnn": (
        "stage=temporal",
        "data.edition=mini",
        "model.encoder_weights=random",
        "model.discriminator_weights=random",
    ),
}
"""Method -> keys of a training on rendered scenes, from random weights: nothing is downloaded."""

SMALL: Mapping[str, Sequence[str]] = {
    "mpnet": ("data.scenes=2", "recipe.A.batch_size=2", "recipe.A.augment.crop=[64,96]"),
    "stcnn": ("data.scenes=2", "recipe.temporal.batch_size=1"),
}
"""Method -> keys of the same with ``--small``."""

ONLINE_STEPS = (100, 200, 300, 400)
VIDEO_LENGTH = 69
"""Frames over which the time of online training is spread: the mean of DAVIS 2016."""
_SEED = 0


@dataclass
class Report:
    """Results of a step, in its file from the first on.

    Attributes:
        step: its name, and that of the file.
        device: where networks run.
        seconds: that the step may take.
        out: folder of the file.
        small: whether networks and pictures are tiny.
        items: the results.
    """

    step: str
    device: str
    seconds: float
    out: Path
    small: bool
    items: list[dict[str, Any]] = field(default_factory=list)
    _start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self._start)

    @property
    def size(self) -> str:
        """Size of networks."""
        return "tiny" if self.small else "full"

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of frames."""
        return (96, 160) if self.small else (480, 854)

    def add(self, **item: Any) -> None:
        """Add a result and write the file."""
        self.items.append(item)
        where = {"machine": machine(self.device), "small": self.small, "seconds": self.seconds - self.left}
        text = json.dumps({"step": self.step, **where, "items": self.items}, indent=1) + "\n"
        temporary = self.out / f".{self.step}.json"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.out / f"{self.step}.json")
        sys.stderr.write(f"{self.step}: {item}\n")

    def attempt(self, measure: Callable[[], dict[str, Any]], **names: Any) -> None:
        """Add what a function measures, or the error that it ends with."""
        if self.left <= 0:
            self.add(**names, error="no time left")
            return
        try:
            self.add(**names, **measure())
        except Exception as error:
            self.add(**names, error=error_line(error))
        if self.device != "cpu":
            torch.cuda.empty_cache()


def machine(device: str) -> dict[str, Any]:
    """Processor, GPU, versions, commit; no name of the machine and no path."""
    found: dict[str, Any] = {
        "device": "cpu" if device == "cpu" else torch.cuda.get_device_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "pytorch-lightning")},
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found["commit"] = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return found


def square(length: int, size: tuple[int, int]) -> Video:
    """Return a textured square that moves two pixels a frame over noise, with its flow and its first mask."""
    random = np.random.default_rng(_SEED)
    height, width = size
    coarse = random.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    ground = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    ground = np.pad(ground, ((0, height - len(ground)), (0, width - ground.shape[1]), (0, 0)), mode="edge")
    side, top = height // 3, height // 3
    frames, flow, first = [], [], np.zeros(size, np.uint8)
    for t in range(length):
        left = width // 4 + 2 * t
        inside = np.zeros(size, bool)
        inside[top : top + side, left : left + side] = True
        frame = ground.copy()
        frame[inside] = 255 - ground[:side, :side].reshape(-1, 3)
        frames.append(frame)
        flow.append(np.stack([2.0 * inside, 0.0 * inside]).astype(np.float32))
        if t == 0:
            first = inside.astype(np.uint8)
    return Video("square", frames, tuple(map(str, range(length))), {0: first}, flow[:-1])


def method(name: str, size: str, device: str, **switches: Any) -> Any:
    """Return a method with random weights of a fixed seed."""
    torch.manual_seed(_SEED)
    return build(name, size, **switches).eval().to(device)


def packaged(name: str, **switches: Any) -> Any:
    """Return a method with the largest weights of the package."""
    return load_method(name, settings=switches)[0]


def masks(segmenter: Any, video: Video) -> Iterator[Any]:
    """Yield the masks of a video; the method has the first one where its task gives it."""
    seen = Video(
        video.name, video.frames, video.frame_names, flow=video.flow if segmenter.needs_flow else None
    )
    given = () if segmenter.task == "unsupervised" else (video.annotations[0],)
    return iter(segmenter.segment(seen, *given))


def reduced(device: str, precision: str) -> Any:
    """Return the context of a precision."""
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()


def finished(device: str) -> float:
    """Return the time when all work given to the device is done."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def parity(report: Report) -> None:
    """Masks of every method, and values of every metric, on the device and on the CPU."""
    # on a CPU networks of full size take seconds a frame
    video = square(3 if report.small else 4, (64, 96) if report.small else (160, 288))

    def compared(name: str, make: Callable[[], Any]) -> dict[str, Any]:
        start = time.perf_counter()
        here = np.stack(list(masks(make().to("cpu"), video)))
        there = np.stack(list(masks(make().to(report.device), video)))
        return {
            "equal_pixels": float((here == there).mean()),
            "foreground": float((here > 0).mean()),
            "seconds": time.perf_counter() - start,
        }

    for name, values in metric_values().items():
        report.attempt(partial(_difference, values, report.device), metric=name)
    for name in METHODS:
        few = {"online_iterations": 2} if name in WITHOUT_ONLINE else {}
        makes: dict[str, Callable[[], Any]] = {"packaged": partial(packaged, name, **few)}
        if not report.small:
            makes["random, full size"] = partial(method, name, "full", "cpu", **few)
        for weights, make in makes.items():
            report.attempt(partial(compared, name, make), method=name, weights=weights)


def metric_values() -> dict[str, Callable[[str], dict[str, float]]]:
    """Return metric -> function from a device to the values of two moving squares on it."""
    from vosbench.metrics.davis import JFMeasure, TemporalStability
    from vosbench.metrics.fbms import FBMSMeasure, ObjectCountError
    from vosbench.metrics.iou import MeanFrameIoU

    target = torch.zeros(5, 40, 40, dtype=torch.uint8)
    for t in range(5):
        target[t, 5 + t : 20 + t, 5:25] = 1
        target[t, 30:36, 30 - t : 36 - t] = 2
    void = torch.zeros(5, 40, 40, dtype=torch.bool)
    void[:, :8] = True

    def values(kind: Any) -> Callable[[str], dict[str, float]]:
        def on(device: str) -> dict[str, float]:
            metric = kind().to(device)
            metric.update(target.roll(2, dims=2).to(device), target.to(device), void.to(device))
            return {key: float(value) for key, value in metric.compute().items()}

        return on

    kinds = (JFMeasure, TemporalStability, FBMSMeasure, ObjectCountError, MeanFrameIoU)
    return {kind.__name__: values(kind) for kind in kinds}


def _difference(values: Callable[[str], dict[str, float]], device: str) -> dict[str, float]:
    here, there = values("cpu"), values(device)
    return {"difference": max(abs(here[key] - there[key]) for key in here)}


def throughput(report: Report) -> None:
    """Frames per second and peak memory of every method, both precisions, whole segmentation in memory."""
    length = 4 if report.small else 24
    video, short = square(length, report.frame_size), square(3, report.frame_size)

    def measured(name: str, precision: str) -> dict[str, Any]:
        segmenter = method(name, report.size, report.device, **WITHOUT_ONLINE.get(name, {}))
        with reduced(report.device, precision):
            for _ in masks(segmenter, short):
                pass
            if report.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            start = finished(report.device)
            for _ in masks(segmenter, video):
                pass
            spent = finished(report.device) - start
        peak = None if report.device == "cpu" else torch.cuda.max_memory_allocated() / 2**20
        return {"frames_per_second": length / spent, "frames": length, "peak_mb": peak}

    for name in METHODS:
        for precision in PRECISIONS:
            report.attempt(partial(measured, name, precision), method=name, precision=precision)


def compile_(report: Report) -> None:
    """Milliseconds of the network of a frame or pair, with and without torch.compile, both precisions."""
    from vosbench.export import network_of

    repeats = 3 if report.small else 20

    def measured(name: str, precision: str) -> dict[str, Any]:
        network = network_of(method(name, report.size, report.device), *report.frame_size)
        inputs = [torch.rand(contract.shape, device=report.device) for contract in network.inputs]
        start = time.perf_counter()
        graph = network.graph
        programs: dict[str, Callable[..., Tensor]] = {"plain": graph, "compiled": torch.compile(graph)}
        found: dict[str, Any] = {}
        outputs = {}
        with torch.inference_mode(), reduced(report.device, precision):
            for kind, program in programs.items():
                outputs[kind] = program(*inputs)
                found[f"{kind}_first_seconds"] = finished(report.device) - start
                start = finished(report.device)
                for _ in range(repeats):
                    program(*inputs)
                found[f"{kind}_ms"] = 1000 * (finished(report.device) - start) / repeats
                start = time.perf_counter()
        found["difference"] = float((outputs["plain"] - outputs["compiled"]).abs().max())
        return found

    for name in COMPILED:
        for precision in PRECISIONS:
            report.attempt(partial(measured, name, precision), method=name, precision=precision)


def online(report: Report) -> None:
    """Seconds per frame of STCNN by steps of online training, beside table 4 of its paper."""
    from vosbench.leaderboard.reported import load_reported

    published = {
        int(entry.variant_keys["online_iterations"]): entry.value
        for entry in load_reported()
        if entry.source == "Xu et al., table 4" and entry.metric == "seconds_per_frame"
    }
    few, many = (1, 11) if report.small else (5, 45)
    video = square(3 if report.small else 10, report.frame_size)

    def seconds(steps: int) -> float:
        segmenter = method("stcnn", report.size, report.device, online_iterations=steps)
        start = finished(report.device)
        for _ in masks(segmenter, video):
            pass
        return finished(report.device) - start

    def measured() -> dict[str, Any]:
        seconds(few)  # warms up; not counted
        short, long = seconds(few), seconds(many)
        step = (long - short) / (many - few)
        frame = (short - few * step) / len(video)
        steps = sorted({*ONLINE_STEPS, *published})
        return {
            "seconds_per_step": step,
            "seconds_per_frame_without": frame,
            "seconds_per_frame": {str(count): frame + count * step / VIDEO_LENGTH for count in steps},
            "paper": {str(count): value for count, value in published.items()},
        }

    report.attempt(measured, method="stcnn")


def loading(report: Report) -> None:
    """Steps per second of two trainings with two loader processes, and the share that computes."""
    steps = 4 if report.small else 60
    for name, lines in TRAININGS.items():
        lines = [*lines, f"trainer.max_steps={steps}", "data.val_split=null"]
        report.attempt(partial(_fit, report, name, lines), method=name)


def training(report: Report) -> None:
    """MP-Net on rendered scenes for the time that is left."""
    # imports and rendering come before, a validation after
    seconds = int(report.left / 3 if report.small else max(report.left - 60, 10))
    line = f"trainer.max_time={{seconds:{seconds}}}"
    report.attempt(partial(_fit, report, "mpnet", [*TRAININGS["mpnet"], line]), method="mpnet")


def _fit(report: Report, name: str, lines: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return _fit_in(Path(folder), report, name, lines)


def _fit_in(folder: Path, report: Report, name: str, lines: Sequence[str]) -> dict[str, Any]:
    times, run = folder / "times.json", folder / "run"
    accelerator = "cpu" if report.device == "cpu" else "gpu"
    words = [
        f"model={name}",
        f"size={report.size}",
        "workers=2",
        f"run={run}",
        f"trainer.accelerator={accelerator}",
        "trainer.devices=1",
        "trainer.enable_progress_bar=false",
        f"callbacks=[{{class: step_times.StepTimes, file: '{times}'}}]",
        *(SMALL[name] if report.small else ()),
        *lines,
    ]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    program = [sys.executable, "-c", "from vosbench.cli import main; main()", "fit", *words]
    most = max(report.left, 1)
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            program, env=env, capture_output=True, text=True, check=False, timeout=most
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"fit was not done after {most:.0f} s") from None
    if done.returncode or not times.is_file():
        raise RuntimeError(f"fit ended with {done.returncode}: {done.stderr[-500:]}")
    found = json.loads(times.read_text(encoding="utf-8"))
    # the first steps start processes and choose algorithms
    skipped = min(5, len(found["steps"]) // 2)
    waits, steps = (sum(found[key][skipped:]) for key in ("waits", "steps"))
    counted = len(found["steps"]) - skipped
    return {
        "steps": len(found["steps"]),
        "steps_per_second": counted / (waits + steps),
        "of_network_alone": steps / (waits + steps),
        "validation": _validation(run),
    }


def _validation(run: Path) -> list[float]:
    """Return J of the validations of a run, in their order."""
    import csv

    values = []
    for path in sorted(run.rglob("metrics.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            values += [float(row["val/J"]) for row in csv.DictReader(lines) if row.get("val/J")]
    return values


STEPS: Mapping[str, Callable[[Report], None]] = {
    "parity": parity,
    "throughput": throughput,
    "compile": compile_,
    "online": online,
    "loading": loading,
    "training": training,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: --device cpu --small tests the steps")
    options.out.mkdir(parents=True, exist_ok=True)
    report = Report(options.step, options.device, options.seconds, options.out.resolve(), options.small)
    STEPS[options.step](report)
    if any("error" in item for item in report.items):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
