"""Load: a long video and many sequences go through the commands in bounded memory.

    python benchmarks/soak/load.py                # 10 000 frames, 2000 sequences; some ten minutes
    python benchmarks/soak/load.py --frames 1000 --sequences 200

Every command runs on a small input and on the large one; it has survived when the large one takes at most
`ROOM` more memory, a fraction of what its frames take. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from table import RESULTS, Row, write_results

HEIGHT, WIDTH = 96, 128
FEW = 100
"""Frames of the small video."""
ROOM = 100
"""MiB by which the large input may exceed the small one; 10 000 frames are 350 MiB."""


def write_data(root: Path, sequences: int, frames: int) -> None:
    """Write a square that moves over noise, in the layout of DAVIS 2016, and results beside it."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    lines = []
    for number in range(sequences):
        stem = f"480p/video{number:04}"
        for kind in ("davis16/JPEGImages", "davis16/Annotations"):
            (root / kind / stem).mkdir(parents=True)
        (root / "results" / f"video{number:04}").mkdir(parents=True)
        for t in range(frames):
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            left = 4 + t % 80
            ids[30:60, left : left + 30] = 255
            frame, mask = (f"{kind}/{stem}/{t:05}" for kind in ("JPEGImages", "Annotations"))
            image = Image.fromarray(np.where(ids[..., None] > 0, np.uint8(200), noise))
            image.save(root / f"davis16/{frame}.jpg")
            Image.fromarray(ids).save(root / f"davis16/{mask}.png")
            shifted = Image.fromarray(np.roll(ids, 1, 1))
            shifted.save(root / f"results/video{number:04}/{t:05}.png")
            lines.append(f"/{frame}.jpg /{mask}.png \n")
    lists = root / "davis16/ImageSets/480p"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(lines), encoding="utf-8")


def commands(root: Path) -> dict[str, list[str]]:
    """Return name -> words of the commands on the data in a folder."""
    data = ["davis16", "--data-root", str(root)]
    baseline = ["--models", "all_foreground", "--workers", "1", "--no-pictures"]
    return {
        "score": ["score", str(root / "results"), "--dataset", *data, "--workers", "1"],
        "predict": ["predict", *data, "--model", "all_foreground", "--out", str(root / "predicted")],
        "compare": ["compare", *baseline, "--datasets", *data, "--out", str(root / "compared")],
    }


def peak_memory(words: Sequence[str]) -> float:
    """Return the largest resident memory of a command in MiB; NaN where it fails."""
    program = [sys.executable, "-c", "from vosbench.cli import main; main()", *words]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words
    _, state, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(state)
    return usage.ru_maxrss / 1024 if process.returncode == 0 else float("nan")


def row(name: str, what: str, small: float, large: float) -> Row:
    survived = int(large <= small + ROOM)
    return Row(name, f"{what}: {large:.0f} MiB, {small:.0f} MiB with few", 1, survived, 1 - survived)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["VOSBENCH_CACHE"] = str(place / "cache")
        write_data(place / "few", 3, FEW // 3)
        write_data(place / "long", 1, options.frames)
        write_data(place / "many", options.sequences, 2)
        few = commands(place / "few")
        small = {name: peak_memory(few[name]) for name in few}
        todo = [(name, "long", f"a video of {options.frames} frames") for name in small]
        for name, data, what in [*todo, ("score", "many", f"{options.sequences} sequences")]:
            rows.append(row(name, what, small[name], peak_memory(commands(place / data)[name])))
            sys.stderr.write(f"{rows[-1]}\n")
            written = f"python benchmarks/soak/load.py --frames {options.frames}"
            write_results(
                options.out / "load.json", "Load", f"{written} --sequences {options.sequences}", rows
            )
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main())
