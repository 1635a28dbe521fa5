"""Does LIP's memory help under occlusion? Rendered objects that pass behind things, checkpoints of table 3.

    vosbench ablate benchmarks/ablations/lip_table3.yaml --out OUT
    python benchmarks/ablations/lip_occlusion.py --dynamic OUT/runs/A/seed*/vos/checkpoints/last.ckpt \
        --zero OUT/runs/B/seed*/vos/checkpoints/last.ckpt

Checkpoints come in the order of their seeds. J is that of every frame but the first and the last; a frame is
occluded if less than three quarters are seen of what the object showed at most until then.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from vosbench.data.mini.davis17 import Davis17Mini
from vosbench.data.mini.sampling import Recipe
from vosbench.data.mini.sequences import Recipes, RenderedSequence
from vosbench.leaderboard.tables import markdown_table
from vosbench.metrics.functional import region_similarity
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

SHOWN = 0.75
LEAST = 2
Values = NDArray[np.float64]
Frames = NDArray[np.bool_]


@dataclass(frozen=True)
class Occluded(Davis17Mini):
    """Objects behind three things each."""

    recipes: ClassVar[Recipes] = {
        "val": {
            f"{camera}-{kind}": Recipe(camera, kind, 1, main_height=0.5, foreground=3, speed=5)
            for camera, kind in (
                *(("static", "biped"), ("dolly", "vehicle"), ("handheld", "quadruped")),
                *(("static", "vehicle"), ("pan", "biped"), ("dolly", "cluster")),
            )
        }
    }
    # a world of its own: none of these scenes is in a data set
    stream: ClassVar[int] = 61


def videos(count: int) -> Iterator[tuple[Video, Frames]]:
    """Yield videos with their ids, and which frames are occluded, (T,) bool: two of them at least."""
    settings = Occluded(frames=16)
    index = 0
    while count:
        frames, ids = zip(*RenderedSequence(settings, "val", index).pictures(), strict=True)
        seen = np.array([(mask == 1).sum() for mask in ids])
        occluded = seen < SHOWN * np.maximum.accumulate(seen)
        if occluded[1:-1].sum() >= LEAST:
            names = tuple(f"{number:05d}" for number in range(len(frames)))
            yield Video(settings.sequence_name("val", index), frames, names, dict(enumerate(ids))), occluded
            count -= 1
        index += 1


def measure(checkpoint: Path, count: int) -> tuple[Values, Values]:
    """Return the mean J of each video, and of its occluded frames, (V,) each."""
    method, _ = load_method("lip", checkpoint=checkpoint)
    every, hidden = [], []
    for video, occluded in videos(count):
        first = video.annotations[0]
        found = method.segment(video, first).stack() == 1
        wanted = np.stack([video.annotations[index] for index in range(len(video))]) == 1
        values = region_similarity(torch.from_numpy(found), torch.from_numpy(wanted)).numpy()
        inner = slice(1, -1)
        every.append(values[inner].mean())
        hidden.append(values[inner][occluded[inner]].mean())
    return np.array(every), np.array(hidden)


def table(dynamic: Sequence[tuple[Values, Values]], zero: Sequence[tuple[Values, Values]]) -> str:
    """Return a row per seed: J of both, and in how many videos the memory is ahead."""
    rows = []
    for seed, (ours, theirs) in enumerate(zip(dynamic, zero, strict=True)):
        cells = [str(seed)]
        for a, b in zip(ours, theirs, strict=True):
            cells += [f"{100 * a.mean():.1f}", f"{100 * b.mean():.1f}", f"{(a > b).sum()} of {len(a)}"]
        rows.append(cells)
    heads = ("dynamic", "zero", "ahead")
    titles = [f"{head}, {frames}" for frames in ("all frames", "occluded") for head in heads]
    return markdown_table(["seed", *titles], rows, "r" * (1 + len(titles)))


def main() -> None:
    """Measure all checkpoints and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("dynamic", "zero"):
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", required=True, help="checkpoints, one per seed"
        )
    parser.add_argument("--videos", type=int, default=12)
    chosen = parser.parse_args()
    print(
        table(*([measure(each, chosen.videos) for each in paths] for paths in (chosen.dynamic, chosen.zero)))
    )


if __name__ == "__main__":
    main()
