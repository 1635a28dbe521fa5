"""Make the pictures of the method cards from masks of `vosbench compare` on the miniatures.

    vosbench compare --models all --datasets davis16,davis17 --out RESULTS
    python benchmarks/zoo/pictures.py RESULTS .github/zoo [lvo fusionseg ...]

One row per sequence: ground truth of the middle frame; predictions of an early, the middle and a late frame.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.mini import ensure_mini
from vosbench.data.roots import cache_root
from vosbench.files import atomic_path
from vosbench.formats.png import read_ids
from vosbench.inference.overlay import overlay
from vosbench.video import Video

SEQUENCES = {
    "davis16": ("camera-tracks-walker", "static-camera-vehicle", "handheld-animal"),
    "davis17": ("walker-and-another", "camera-tracks-animal-in-company"),
}
SEVERAL = ("motion_maskrcnn", "stcnn", "lip")
"""Methods that tell objects apart: their pictures show DAVIS 2017, too."""
GAP = 4
COLOURS = 128
"""Of the PNG, so that it stays small."""


def row(video: Video, masks: Path) -> NDArray[np.uint8]:
    """Ground truth, and predictions early, in the middle and late, side by side."""
    middle = len(video) // 2
    cells = [overlay(video.frames[middle], video.annotations[middle])]
    cells += [
        overlay(video.frames[t], read_ids(masks / f"{video.frame_names[t]}.png"))
        for t in (len(video) // 8, middle, len(video) - 2)
    ]
    gap = np.full((cells[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for cell in cells for part in (cell, gap)][:-1], axis=1)


def picture(results: Path, model: str) -> NDArray[np.uint8]:
    rows: list[NDArray[np.uint8]] = []
    for name, sequences in SEQUENCES.items():
        if name != "davis16" and model not in SEVERAL:
            continue
        ensure_mini(name, cache_root() / "mini")
        opened = open_dataset(name, cache_root() / "mini")
        videos = {video.name: video for video in opened}
        rows += [
            row(videos[sequence], results / "masks" / opened.label / model / sequence)
            for sequence in sequences
        ]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for line in rows for part in (line, gap)][:-1])


def write_small(path: Path, pixels: NDArray[np.uint8]) -> None:
    image = Image.fromarray(pixels).quantize(COLOURS, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        image.save(temporary, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="what compare was given as --out")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("models", nargs="*", default=["mpnet"])
    options = parser.parse_args()
    for model in options.models:
        path = options.out / f"{model}.png"
        write_small(path, picture(options.results, model))
        print(f"{path} {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
