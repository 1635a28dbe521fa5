"""Writes davis16.json from the DAVIS authors' evaluation, ``per_sequence.csv`` and ``per_frame.csv``.

``python leaderboards/third_party/davis16.py FOLDER`` with the folder of the two files.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from vosbench.files import write_text
from vosbench.metrics.kernels.temporal import T_SCALE

ABOUT = {
    "dataset": "davis16",
    "split": "val",
    "source": "Perazzi et al., CVPR 2016, and the numbers its authors published since: "
    "davisvideochallenge/davis-matlab, commit ceb40bc, eval_results",
    "licence": "MIT (of that repository)",
    "note": "MATLAB code of March 2017; DAVIS 2016 val at 480p, single object. Frame values are rounded to "
    "three decimals here, values of sequences to six.",
}

# which methods are given the object of frame 0: Perazzi et al., CVPR 2016, table 2, and the papers since
SEMI_SUPERVISED = ("bvs", "fcp", "hvs", "jmp", "msk", "ofl", "osvos", "sea", "tsp", "vpn")

NOTES = {
    "mcg": "object proposals of single images: the dataset's authors list it as a technique to build on",
    "sf-lab": "saliency of single images: the dataset's authors list it as a technique to build on",
    "sf-mot": "saliency of optical flow: the dataset's authors list it as a technique to build on",
}

STATISTICS = {"J": ("mean", "recall", "decay"), "F": ("mean", "recall", "decay"), "T": ("mean",)}


def content(folder: Path) -> dict[str, Any]:
    """Return what davis16.json holds."""
    values: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for row in _rows(folder / "per_sequence.csv"):
        for name in STATISTICS[row["measure"]]:
            values[row["method"]][row["sequence"]][f"{row['measure']}_{name}"] = _number(row[name], 6)
    frames: dict[str, dict[str, dict[str, list[float | None]]]] = defaultdict(lambda: defaultdict(dict))
    for row in _rows(folder / "per_frame.csv"):
        # the pairs of T are stored before the factor that makes them T
        scale = T_SCALE if row["measure"] == "T" else 1.0
        series = frames[row["method"]][row["sequence"]].setdefault(row["measure"], [])
        series.append(_number(row["value"], 3, scale))
    methods = {
        name: {
            "title": name.upper(),
            "protocol": f"davis16-{'semi-supervised' if name in SEMI_SUPERVISED else 'unsupervised'}",
            "note": NOTES.get(name, ""),
            "sequences": {
                sequence: {"values": dict(of_sequence), "per_frame": frames[name][sequence]}
                for sequence, of_sequence in values[name].items()
            },
        }
        for name in values
        # the ground truth has T alone and is no method
        if name != "gt"
    }
    return ABOUT | {"methods": methods}


def text(content: dict[str, Any]) -> str:
    """Return `content` as JSON with one line per method and sequence."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}," for key, value in content.items() if key != "methods"]
    lines.append('"methods": {')
    for place, (name, method) in enumerate(content["methods"].items(), start=1):
        about = {key: value for key, value in method.items() if key != "sequences"}
        lines.append(f' {json.dumps(name)}: {json.dumps(about)[:-1]}, "sequences": {{')
        cells = [
            f"  {json.dumps(sequence)}: {json.dumps(cell, separators=(',', ':'))}"
            for sequence, cell in method["sequences"].items()
        ]
        lines += [f"{cell}," for cell in cells[:-1]] + cells[-1:]
        lines.append(" }}," if place < len(content["methods"]) else " }}")
    return "{\n" + "\n".join(lines) + "\n}}\n"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(value: str, decimals: int, scale: float = 1.0) -> float | None:
    return None if value == "nan" else round(scale * float(value), decimals)


if __name__ == "__main__":
    write_text(Path(__file__).with_suffix(".json"), text(content(Path(sys.argv[1]))))
