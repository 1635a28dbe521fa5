"""Lay out what FusionSeg's joint of real pictures learns from; see vosbench/models/fusionseg/README.md.

    python benchmarks/zoo/duts_joint.py --duts ROOT --davis16 ROOT --out DIR

ROOT is a data root with duts, or davis16. DIR/duts has nine of ten pictures, for the appearance stream.
The tenth it never sees, so that what it says of them is worth what it says of new pictures: from each come
short videos in which the object moves against the background, by lucid dreaming. With the sequences of
--davis16 (split train) they are DIR/davis16, split train, on which the fusion learns. DIR/held/duts has the
tenth as they are.
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vosbench.data.datasets.davis import Davis2016
from vosbench.data.datasets.msra10k import Duts
from vosbench.data.formats.image import write_frame
from vosbench.data.formats.png import write_ids
from vosbench.data.lucid import IDENTITY, Dreamer
from vosbench.data.video import Video
from vosbench.files import write_text

EVERY = 10
"""One picture of so many is held out."""
SHORT_SIDE = 480
DREAMS = 2
"""Videos of two frames from each picture."""

MOVING = replace(
    IDENTITY,
    step_shift=0.06,
    step_rotation=4.0,
    step_scale=(0.97, 1.03),
    step_deformation=0.03,
    camera_shift=0.03,
    camera_rotation=1.0,
    camera_scale=(0.98, 1.02),
    filling="telea",
)
"""Objects stay where they were photographed: only motion is dreamt of, from one frame to the next."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duts", type=Path, required=True, help="data root")
    parser.add_argument("--davis16", type=Path, required=True, help="data root; its split train is used")
    parser.add_argument("--out", type=Path, required=True, help="a data root is made here")
    options = parser.parse_args()
    pictures = list(Duts(options.duts))
    held = pictures[EVERY - 1 :: EVERY]
    names = {video.name for video in held}
    for video in pictures:
        copy_pair(
            video.name, options.duts / "duts", options.out / ("held/duts" if video.name in names else "duts")
        )
    davis = options.out / "davis16"
    lines = copy_sequences(Davis2016(options.davis16, "train"), options.davis16 / "davis16", davis)
    for number, video in enumerate(held):
        for dreamt in dreams(video, number):
            lines += write_sequence(dreamt, davis)
    write_text(davis / "ImageSets" / "480p" / "train.txt", "\n".join(lines) + "\n")
    print(f"{options.out}: {len(pictures) - len(held)} pictures, {len(lines)} frames of videos")


def copy_pair(name: str, source: Path, target: Path) -> None:
    unpacked = source / "DUTS-TR"
    for path in (f"DUTS-TR-Image/{name}.jpg", f"DUTS-TR-Mask/{name}.png"):
        copy((unpacked if unpacked.is_dir() else source) / path, target / path)


def copy_sequences(videos: Davis2016, source: Path, target: Path) -> list[str]:
    for video in videos:
        for kind in ("JPEGImages", "Annotations"):
            for path in sorted((source / kind / "480p" / video.name).iterdir()):
                copy(path, target / path.relative_to(source))
    return (source / "ImageSets" / "480p" / "train.txt").read_text(encoding="utf-8").split("\n")[:-1]


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def dreams(video: Video, seed: int) -> Iterator[Video]:
    """Yield videos of two frames, the shorter side `SHORT_SIDE`, in which the object of a picture moves."""
    frame, mask = video.frames[0], video.annotations[0]
    scale = SHORT_SIDE / min(mask.shape)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    larger = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
    ids = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    dreamer = Dreamer(np.asarray(larger), np.asarray(ids), MOVING, seed)
    for index in range(DREAMS):
        dream = dreamer.pair(index)
        yield Video(
            name=f"{video.name}-{index}",
            frames=list(dream.frames),
            frame_names=("00000", "00001"),
            annotations=dict(enumerate(dream.masks)),
        )


def write_sequence(video: Video, folder: Path) -> list[str]:
    """Write frames and masks, and return their lines of a list."""
    lines = []
    for index, name in enumerate(video.frame_names):
        frame, mask = (f"{kind}/480p/{video.name}/{name}.png" for kind in ("JPEGImages", "Annotations"))
        for path in (frame, mask):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_frame(folder / frame, video.frames[index])
        write_ids(folder / mask, video.annotations[index])
        lines.append(f"/{frame} /{mask}")
    return lines


if __name__ == "__main__":
    main()
