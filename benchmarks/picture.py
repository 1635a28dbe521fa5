"""Make the picture of the README: rendered frames, flow, ground truth, prediction of a method.

python benchmarks/picture.py .github/picture.png [--model mpnet]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.flow.cache import attach_flow
from vosbench.flow.encodings import colour_wheel
from vosbench.flow.estimators import DIS
from vosbench.formats.image import write_frame
from vosbench.inference.overlay import overlay
from vosbench.method import Method
from vosbench.models.pretrained.zoo import load_method
from vosbench.video import Video

SEQUENCES = ("camera-tracks-walker", "dolly-past-pillars", "static-camera-vehicle")
SIZE = (225, 400)
FRAME = 8
GAP = 6


def row(video: Video, method: Method) -> NDArray[np.uint8]:
    """Frame, flow, ground truth and prediction side by side."""
    assert video.flow is not None
    frame = video.frames[FRAME]
    flow = colour_wheel(torch.from_numpy(np.array(video.flow[FRAME], dtype=np.float32)))
    predicted = method.segment(video).stack()[FRAME]
    cells = [
        frame,
        flow.permute(1, 2, 0).numpy(),
        overlay(frame, video.annotations[FRAME]),
        overlay(frame, predicted),
    ]
    gap = np.full((frame.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for cell in cells for part in (cell, gap)][:-1], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="mpnet")
    options = parser.parse_args()
    method, _ = load_method(options.model)
    with tempfile.TemporaryDirectory() as root:
        write_mini("davis16", Path(root), size=SIZE)
        videos = {video.name: video for video in open_dataset("davis16", Path(root))}
        rows = [row(attach_flow(videos[name], DIS(), None), method) for name in SEQUENCES]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    write_frame(options.out, np.concatenate([part for line in rows for part in (line, gap)][:-1]))
    print(options.out)


if __name__ == "__main__":
    main()
