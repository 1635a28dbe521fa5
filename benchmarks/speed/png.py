"""Speed of the PNG reader of masks beside Pillow's.

``--masks FOLDER`` reads every mask below a folder, as stored there (ground truth) and as vosbench writes the
ids again (results). Values are compared before anything is timed. The report gives milliseconds of processor
time per mask, medians of interleaved rounds. ``--plain`` times Pillow alone.

    python benchmarks/speed/png.py --masks $VOSBENCH_DATA/davis16/Annotations/480p
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, described, keep, machine
from numpy.typing import NDArray
from PIL import Image

from vosbench.formats.png import decode_ids, png_header, write_ids

Decoder = Callable[[bytes], NDArray[np.uint8]]
PACKAGES = ("pillow", "numpy", "zlib-ng")
EVERY = 8
"""One of so many masks is read."""


def plain(data: bytes) -> NDArray[np.uint8]:
    """Decode with Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def ours(data: bytes) -> NDArray[np.uint8]:
    """Decode with vosbench."""
    return decode_ids(data, Path("mask.png"))


DECODERS: Mapping[str, Decoder] = {"Pillow": plain, "vosbench": ours}


def read_masks(folder: Path, every: int = EVERY) -> list[bytes]:
    """Return the content of grey and indexed masks of 8 bits below a folder."""
    contents = [path.read_bytes() for path in sorted(folder.rglob("*.png"))[::every]]
    headers = [png_header(content, folder) for content in contents]
    return [
        data for data, header in zip(contents, headers, strict=True) if header.has_levels and header.bits == 8
    ]


def written(masks: Sequence[bytes]) -> list[bytes]:
    """Return masks of ids 0 and 1 as vosbench writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.png"
        contents = []
        for data in masks:
            write_ids(path, (ours(data) > 0).astype(np.uint8))
            contents.append(path.read_bytes())
    return contents


def check_equal(masks: Sequence[bytes]) -> None:
    """Raise AssertionError where the two decoders differ."""
    for data in masks:
        np.testing.assert_array_equal(ours(data), plain(data))


def measure(masks: Sequence[bytes], rounds: int, decoders: Mapping[str, Decoder]) -> dict[str, float]:
    """Return decoder -> median milliseconds of processor time per mask."""
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(rounds):
        for name, decode in decoders.items():
            start = time.process_time()
            for data in masks:
                decode(data)
            times[name].append((time.process_time() - start) / len(masks) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def text(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    rows = []
    for kind, times in report["milliseconds"].items():
        pillow, vosbench = times["Pillow"], times["vosbench"]
        rows.append(f"| {kind} | {pillow:.2f} | {vosbench:.2f} | {pillow / vosbench:.1f} |")
    return "\n".join(
        [
            "# Speed of the PNG reader of masks\n",
            f"{report['masks']} masks, {report['rounds']} rounds, milliseconds of processor time per mask.\n",
            described(report["machine"]),
            "| masks | Pillow | vosbench | Pillow / vosbench |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--plain", action="store_true", help="time Pillow alone, and keep nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    truth = read_masks(options.masks)
    kinds = {"ground truth, as published": truth, "results, as vosbench writes them": written(truth)}
    decoders = {"Pillow": plain} if options.plain else DECODERS
    for masks in kinds.values():
        check_equal(masks)
    milliseconds = {kind: measure(masks, options.rounds, decoders) for kind, masks in kinds.items()}
    if options.plain:
        print(milliseconds)
        return
    report = {
        "masks": len(truth),
        "rounds": options.rounds,
        "milliseconds": milliseconds,
        "machine": machine(load, PACKAGES),
    }
    keep("png", report, text(report), options.out)


if __name__ == "__main__":
    main()
