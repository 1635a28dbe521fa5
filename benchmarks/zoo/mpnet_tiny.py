"""Make the zoo's mpnet-tiny: render scenes, train, measure on real video, export.

    python benchmarks/zoo/mpnet_tiny.py render WORK
    python benchmarks/zoo/mpnet_tiny.py train WORK
    python benchmarks/zoo/mpnet_tiny.py measure WORK --checkpoint FILE --davis ROOT
    python benchmarks/zoo/mpnet_tiny.py export WORK --checkpoint FILE --davis ROOT

About 15 minutes of rendering and an hour of training on two cores. No real video is trained on.
"""

import argparse
import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.data.video import Video
from vosbench.fit import fit
from vosbench.flow.estimators import DIS
from vosbench.metrics.functional import region_similarity
from vosbench.models.base import Method
from vosbench.models.zoo import export, load_method

SCENES = {
    "seed": 2026,
    "scenes": 1600,
    "test_scenes": 48,
    "frames": 4,
    "size": (144, 256),
    "views": ("left",),
}
OVERRIDES = [
    *("model=mpnet", "size=tiny", "recipe=mpnet_tiny"),
    *("data=ft3d", "data.scale=1.0", "data.in_memory=true", "data.options.views=[left]"),
    "data.options.tolerance=0.001",
    *("workers=1", "trainer.accelerator=cpu", "trainer.precision=bf16-mixed"),
]


def overrides(work: Path | str) -> list[str]:
    return [*OVERRIDES, f"data_root={work}", f"runs={work}/runs"]


def measure(method: Method, root: Path, split: str, every: int) -> dict[str, Any]:
    """Mean over sequences of J, flow by DIS medium at 480p."""
    estimator, by_sequence = DIS("medium"), {}
    for video in open_dataset("davis16", root, split):
        values = []
        for t in range(0, len(video) - 1, every):
            flow = [estimator(video.frames[t], video.frames[t + 1])]
            pair = Video(video.name, video.frames[t : t + 2], video.frame_names[t : t + 2], flow=flow)
            predicted = torch.from_numpy(method.segment(pair).stack()[:1] > 0)
            target = torch.from_numpy(np.array(video.annotations[t]) > 0)[None]
            values.append(region_similarity(predicted, target).item())
        by_sequence[video.name] = float(np.mean(values))
    return {
        "data": f"davis16 {split}, every {every}th frame but the last, flow by DIS medium at 480p",
        "J_mean": round(float(np.mean(list(by_sequence.values()))), 4),
        "J_mean_by_sequence": {name: round(value, 4) for name, value in by_sequence.items()},
    }


def commit() -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def training(
    work: Path, more: list[str], checkpoint: Path, measured: dict[str, Any], note: str
) -> dict[str, Any]:
    """Everything needed to make or doubt these weights."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {
        "command": f"vosbench fit {' '.join([*overrides('WORK'), *more])}",
        "data": {"name": "ft3d", "edition": "mini", **SCENES},
        "epochs": content["epoch"] + 1,
        "steps": content["global_step"],
        "git_commit": commit(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, CPU",
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "measured": measured,
        "note": note,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("render", "train", "measure", "export"))
    parser.add_argument("work", type=Path, help="scenes and runs are here")
    parser.add_argument("overrides", nargs="*", help="changes of the configuration, key=value")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--davis", type=Path, help="data root with davis16")
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=8, help="measure each n-th frame")
    parser.add_argument("--note", default="")
    options = parser.parse_intermixed_args()
    if options.step == "render":
        print(write_mini("ft3d", options.work, **SCENES))
    elif options.step == "train":
        print(fit([*overrides(options.work), *options.overrides]))
    else:
        method, _ = load_method("mpnet", checkpoint=options.checkpoint)
        measured = measure(method, options.davis, options.split, options.every)
        print(json.dumps(measured, indent=1))
        if options.step == "export":
            told = training(options.work, options.overrides, options.checkpoint, measured, options.note)
            print(export(options.checkpoint, told))


if __name__ == "__main__":
    main()
