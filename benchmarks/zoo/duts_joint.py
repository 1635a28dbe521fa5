"""Train FusionSeg on real pictures: appearance on DUTS, MP-Net as it is in the package, and their fusion.

    python benchmarks/zoo/duts_joint.py --duts ROOT --davis16 ROOT --raft raft-small.pth --work DIR

ROOT is a data root with duts, or davis16. DIR/data/duts gets nine of ten pictures, for the appearance stream.
The tenth it never sees, so that what it says of them is worth what it says of new pictures: from each come
short videos in which the object moves against the background, by lucid dreaming. With the sequences of
--davis16, split train, they are DIR/data/davis16, on which the fusion learns. The weights go to DIR/weights;
they are not part of the package, as the pictures have terms of their own. Started again, it goes on.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from train import kept_in_mind, length, remembered, stages_of

from vosbench.data.datasets.davis import Davis2016
from vosbench.data.datasets.msra10k import Duts
from vosbench.data.lucid.dream import Dreamer
from vosbench.data.lucid.settings import IDENTITY
from vosbench.evaluation.store import environment, now
from vosbench.files import write_text
from vosbench.formats.image import write_frame
from vosbench.formats.png import write_ids
from vosbench.models.pretrained.zoo import WEIGHTS, export, load_method, training_of
from vosbench.models.validated import foreground_similarity
from vosbench.tensor_files import sha256
from vosbench.training import fit
from vosbench.video import Video

FIT = (
    "model=fusionseg",
    "size=tiny",
    "recipe=fusionseg_duts",
    "model.backbone=efficientnet_lite0",
    "model.motion_network=mpnet",
    "stage=all",
    "data.in_memory=true",
    "data.val_split=null",
    "workers=0",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
)
SELECTION = [
    {
        "name": name,
        "edition": "official",
        "split": split,
        "sequences": [sequence],
        "how": "recipe of the fusion",
    }
    for name, split, sequence in (("davis16", "train", "bear"), ("segtrack", "all", "bmx"))
]
"""What the length and the data of the fusion's training were chosen on."""
LIST = "davis16/ImageSets/480p/train.txt"

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
    parser.add_argument("--raft", type=Path, required=True, help="weights of RAFT-small")
    parser.add_argument("--work", type=Path, required=True, help="everything is made here")
    options = parser.parse_args()
    work = options.work.resolve()
    environment()  # the commit that this process runs, not one that is made while it trains
    if not (work / "data" / LIST).is_file():
        lay_out(options.duts, options.davis16, work / "data")
    overrides = [*FIT, f"recipe.joint.flow=['raft:{options.raft.resolve()}']"]
    memory = work / "memory.json"
    with kept_in_mind(memory):
        run = fit([*overrides, f"data_root={work / 'data'}", f"run={work / 'run'}"])
    stages = stages_of(run)
    known = training_of(stages["joint"])
    told = {
        "command": "python benchmarks/zoo/duts_joint.py --duts ROOT --davis16 ROOT --raft FILE --work DIR",
        "fit": f"vosbench fit {' '.join(FIT)} recipe.joint.flow=[raft:FILE]",
        "data": described(work / "data"),
        "selection": [*known.get("selection", []), *SELECTION],
        "parts": known.get("parts", []),
        "stages": {name: length(checkpoint) for name, checkpoint in stages.items()},
        "motion": f"mpnet-tiny of the package, sha256 {sha256(WEIGHTS / 'mpnet-tiny.safetensors')}",
        **remembered(memory),
        "device": "cpu",
        "torch": torch.__version__,
        "exported": now(),
    }
    weights = export(stages["joint"], told, work / "weights")
    told["measured"] = {
        "IoU of held-out pictures, appearance alone": held_out(weights, work / "data" / "held")
    }
    print(json.dumps(told["measured"]))
    print(export(stages["joint"], told, work / "weights"))


def lay_out(duts: Path, davis16: Path, target: Path) -> None:
    """Write the data sets; the list of videos comes last."""
    pictures = list(Duts(duts))
    held = pictures[EVERY - 1 :: EVERY]
    names = {video.name for video in held}
    for video in pictures:
        part = "held/duts" if video.name in names else "duts"
        copy_pair(video.name, duts / "duts", target / part)
    davis = target / "davis16"
    lines = copy_sequences(Davis2016(davis16, "train"), davis16 / "davis16", davis)
    for number, video in enumerate(held):
        for dreamt in dreams(video, number):
            lines += write_sequence(dreamt, davis)
    write_text(target / LIST, "\n".join(lines) + "\n")


def described(data: Path) -> dict[str, Any]:
    videos = {video.name: len(video) for video in Davis2016(data, "train")}
    dreamt = {video.name for video in Duts(data / "held")}
    return {
        "name": "duts, davis16 train",
        "pictures": len(Duts(data)),
        "pictures held out": len(dreamt),
        "sequences": sorted(name for name in videos if name.rpartition("-")[0] not in dreamt),
        "dreamt sequences": sum(name.rpartition("-")[0] in dreamt for name in videos),
    }


def held_out(weights: Path, root: Path) -> float:
    """Return the mean J of the appearance stream over the pictures that it has not seen."""
    found = []
    method, _ = load_method("fusionseg", checkpoint=weights, settings={"stream": "appearance"})
    for picture in Duts(root):
        predicted = torch.from_numpy(method.segment(picture).stack()) > 0
        found.append(foreground_similarity(predicted, torch.from_numpy(picture.annotations[0])[None]))
    return round(float(torch.cat(found).mean()), 4)


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
