"""Folders of masks in the layout of every program of the benchmark.

    TREE/data/davis16           official layout, for vosbench (frames are links)
    TREE/results/SEQ            predictions
    TREE/vos_benchmark/SEQ      links to the predictions: vos-benchmark writes a file beside them
    TREE/inner/gt/SEQ           links without first and last frame: trackeval evaluates all it finds
    TREE/inner/trackers/results/data/SEQ

Masks are written anew as 0/1, since vos-benchmark takes 255 and 1 for two objects and trackeval takes 255
for void: the ground truth grey, as DAVIS 2016 has it, and the predictions indexed, as results of methods
are (Pillow filters the rows of grey images and not the rows of indexed ones, so the two cost different time).
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GROUND_TRUTH = Path("data/davis16/Annotations/480p")
FRAMES = Path("data/davis16/JPEGImages/480p")
LIST = Path("data/davis16/ImageSets/480p/val.txt")
RESULTS = Path("results")
VOS_BENCHMARK = Path("vos_benchmark")
INNER_GROUND_TRUTH = Path("inner/gt")
INNER_TRACKERS = Path("inner/trackers")
INNER_RESULTS = INNER_TRACKERS / "results" / "data"
SIZES = Path("frames.json")

SAMPLE_SEQUENCES = 3
SAMPLE_FRAMES = 32

Ids = NDArray[np.uint8]
Predict = Callable[[str, str], Ids]


def inner(names: Sequence[str]) -> Sequence[str]:
    """Frames that count on DAVIS 2016: all but the first and the last."""
    return names[1:-1]


def write_tree(
    tree: Path, source: Path, sequences: Sequence[str], predict: Predict, most: int | None
) -> None:
    """Write one tree.

    Args:
        tree: folder to make.
        source: folder of DAVIS 2016.
        sequences: which ones.
        predict: sequence, frame name -> (H, W) predicted ids.
        most: frames per sequence; all when None.
    """
    lines, sizes = [], {}
    for sequence in sequences:
        frames = sorted(path.stem for path in (source / "Annotations/480p" / sequence).glob("*.png"))[:most]
        for name in frames:
            _write(tree / GROUND_TRUTH / sequence / f"{name}.png", _truth(source, sequence, name))
            _write(tree / RESULTS / sequence / f"{name}.png", predict(sequence, name), indexed=True)
            _link(tree / FRAMES / sequence / f"{name}.jpg", source / f"JPEGImages/480p/{sequence}/{name}.jpg")
            lines.append(f"/JPEGImages/480p/{sequence}/{name}.jpg /Annotations/480p/{sequence}/{name}.png")
        _link(tree / VOS_BENCHMARK / sequence, tree / RESULTS / sequence)
        for name in inner(frames):
            for links, masks in ((INNER_GROUND_TRUTH, GROUND_TRUTH), (INNER_RESULTS, RESULTS)):
                _link(tree / links / sequence / f"{name}.png", tree / masks / sequence / f"{name}.png")
        sizes[sequence] = len(inner(frames))
    (tree / LIST).parent.mkdir(parents=True, exist_ok=True)
    (tree / LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tree / SIZES).write_text(json.dumps(sizes), encoding="utf-8")


def evaluated_frames(tree: Path) -> int:
    """Number of frames every program evaluates."""
    sizes: dict[str, int] = json.loads((tree / SIZES).read_text(encoding="utf-8"))
    return sum(sizes.values())


def _truth(source: Path, sequence: str, name: str) -> Ids:
    return _read(source / "Annotations/480p" / sequence / f"{name}.png")


def _read(path: Path) -> Ids:
    with Image.open(path) as image:
        ids: Ids = (np.asarray(image) != 0).astype(np.uint8)
        return ids


def _write(path: Path, ids: Ids, *, indexed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    if indexed:
        image.putpalette([0, 0, 0, 128, 0, 0, *bytes(3 * 254)])
    image.save(path)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target.resolve(), target_is_directory=target.is_dir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    work = options.work.resolve()
    root = options.data_root
    if root is None:
        from vosbench.data.mini import write_mini

        root = write_mini("davis16", work / "mini", scenes=4, frames=16, size=(480, 854)).parent
    source = root.resolve() / "davis16"
    listed = (source / "ImageSets/480p/val.txt").read_text(encoding="utf-8").split()[::2]
    sequences = list(dict.fromkeys(Path(entry).parent.name for entry in listed))[:: options.every]

    def moved(sequence: str, name: str) -> Ids:
        # without masks of a method: the ground truth, shifted
        return np.roll(_truth(source, sequence, name), (3, 5), (0, 1))

    def stored(sequence: str, name: str) -> Ids:
        return _read(options.results / sequence / f"{name}.png")

    predict = moved if options.results is None else stored
    sample = sequences[:: max(1, len(sequences) // SAMPLE_SEQUENCES)][:SAMPLE_SEQUENCES]
    for name, selected, most in (("full", sequences, None), ("sample", sample, SAMPLE_FRAMES)):
        shutil.rmtree(work / name, ignore_errors=True)
        write_tree(work / name, source, selected, predict, most)


if __name__ == "__main__":
    main()
