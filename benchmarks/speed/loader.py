"""Speed of the training loader relative to the decoding of its files.

    python benchmarks/speed/loader.py --data-root DATA

DATA holds davis16 in its official layout; a rendered miniature is used without. Every program has
the same number of processes, started before the clock and keeping their memory. ``decode`` is the
limit: Pillow decodes every JPEG frame and PNG mask, and nothing is done with them. ``readers`` does the
same with vosbench's own readers, into arrays. ``clips`` is an epoch of `ClipDataModule`: batches of clips
with masks arrive in the main process. ``augmented`` also crops, mirrors, and stops some, as LVO trains.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import RESULTS, described, keep, machine, rounds
from PIL import Image
from tables import _table

from vosbench.data import open_dataset
from vosbench.data.loading.clips import ClipSettings
from vosbench.data.loading.datamodule import ClipDataModule, Loading, Source
from vosbench.data.loading.transport import start_worker
from vosbench.data.mini import ensure_mini
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.formats.image import read_frame
from vosbench.formats.png import read_ids
from vosbench.video import Video

LENGTH = 14
LIMIT = "decode"
LOADERS = ("clips", "augmented")
TARGET = 0.8

Files = tuple[str, str]
Program = Callable[[], int]


def clip_files(folder: Path, videos: Sequence[Video]) -> list[list[Files]]:
    """Return the frame and mask files that an epoch of clips reads, clip by clip."""
    pictures, masks = folder / "JPEGImages" / "480p", folder / "Annotations" / "480p"
    return [
        [
            (str(pictures / video.name / f"{name}.jpg"), str(masks / video.name / f"{name}.png"))
            for name in video.frame_names[start : start + LENGTH]
        ]
        for video in videos
        for start in range(0, len(video) - LENGTH + 1, LENGTH)
    ]


def decode(files: Sequence[Files]) -> int:
    """Decode with Pillow; return the number of frames."""
    for pair in files:
        for path in pair:
            with Image.open(path) as image:
                image.load()
    return len(files)


def read(files: Sequence[Files]) -> int:
    """Read into arrays; return the number of frames."""
    for frame, mask in files:
        read_frame(Path(frame))
        read_ids(Path(mask))
    return len(files)


def in_pool(pool: Pool, work: Callable[[Sequence[Files]], int], clips: Sequence[Sequence[Files]]) -> Program:
    """Program that hands clips to processes as they become free."""
    return lambda: sum(pool.imap_unordered(work, clips))


def epochs(videos: Sequence[Video], workers: int, transform: ClipTransform | None = None) -> Program:
    """Program that iterates one epoch of the loader per call, with persistent workers."""
    source = Source(videos, ClipSettings(length=LENGTH, stride=LENGTH), transform)
    loader = ClipDataModule([source], loading=Loading(workers=workers, uneven="keep")).train_dataloader()
    return lambda: sum(batch["frames"].shape[1] for batch in loader)


def ratios(runs: Sequence[Mapping[str, Any]], program: str, limit: str = LIMIT) -> list[float]:
    """Frames per second of a program relative to the limit, round by round."""
    speed = {(run["round"], run["program"]): run["frames"] / run["seconds"] for run in runs}
    return [
        speed[round_, program] / value for (round_, name), value in sorted(speed.items()) if name == limit
    ]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs = report["runs"]
    met = median(ratios(runs, "clips")) >= TARGET
    lines = []
    for program in sorted({run["program"] for run in runs}):
        rates = [run["frames"] / run["seconds"] for run in runs if run["program"] == program]
        cells = [program, f"{median(rates):.0f}", f"{min(rates):.0f} to {max(rates):.0f}"]
        for limit in (LIMIT, "readers"):
            found = ratios(runs, program, limit)
            cells.append(f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    head = ("program", "frames/s, median", "smallest to largest", f"of {LIMIT}", "of readers")
    return "\n".join(
        [
            "# Speed of the training loader\n",
            f"{report['data']}, {report['frames']} frames with masks in clips of {LENGTH}, "
            f"{report['workers']} processes each, {max(run['round'] for run in runs)} rounds, all programs "
            "in every round in random order. Ratios are medians of the rounds (smallest to largest).\n",
            described(report["machine"]),
            _table(head, lines),
            "decode: Pillow decodes every file and forgets it. readers: vosbench's readers, into arrays. "
            "clips: batches of clips and masks in the main process. augmented: cropped, mirrored, some "
            "stopped.\n",
            f"Target: clips at least {TARGET} of decode: {'met' if met else 'missed'}.\n",
        ]
    )


def measure(root: Path, data: str, workers: int, count: int) -> dict[str, Any]:
    """Warm up, run all rounds; return the content of the JSON file."""
    torch.set_num_threads(1)
    videos = open_dataset("davis16", root)
    clips = clip_files(root / "davis16", videos)
    lvo = ClipTransform(crop=0.8, mirror=0.5, stop=0.2)
    load = os.getloadavg()[0]
    with get_context("fork").Pool(workers, start_worker) as pool:
        programs = {
            LIMIT: in_pool(pool, decode, clips),
            "readers": in_pool(pool, read, clips),
            "clips": epochs(videos, workers),
            "augmented": epochs(videos, workers, lvo),
        }
        for program in programs.values():  # starts workers, fills the file cache; not counted
            program()
        runs = []
        for round_, name in rounds(list(programs), count):
            start = time.perf_counter()
            frames = programs[name]()
            seconds = time.perf_counter() - start
            runs.append({"program": name, "round": round_, "seconds": seconds, "frames": frames})
            print(f"round {round_}: {name} {frames / seconds:.0f} frames/s", flush=True)
    return {
        "data": data,
        "frames": sum(map(len, clips)),
        "workers": workers,
        "runs": runs,
        "machine": machine(load, ("torch", "pillow", "numpy")),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="folder that holds davis16; a miniature without")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="vosbench-loader-") as temporary:
        root, data = options.data_root, "DAVIS 2016 val"
        if root is None:
            root, data = Path(temporary), "Rendered miniature of DAVIS 2016"
            ensure_mini("davis16", root, frames=2 * LENGTH)
        report = measure(root, data, options.workers, options.rounds)
    keep("loader", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
