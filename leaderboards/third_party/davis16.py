"""Writes davis16.json from the two places where the authors of DAVIS 2016 publish numbers.

``python leaderboards/third_party/davis16.py MATLAB SITE`` with the folder of ``per_sequence.csv`` and
``per_frame.csv`` (exported from ``eval_results`` of davis-matlab) and ``json_data`` of the web page.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vosbench.files import write_text
from vosbench.leaderboard.published import published_text
from vosbench.metrics.kernels.temporal import T_SCALE

UNIT = 1000
"""Values of frames are whole numbers of this part of 1."""

ABOUT: dict[str, Any] = {
    "dataset": "davis16",
    "split": "val",
    "unit": UNIT,
    "sources": {
        "site": {
            "text": "web page of DAVIS: "
            "davisvideochallenge/davisvideochallenge.github.io, commit 30be16f, json_data",
            "licence": "none stated",
        },
        "matlab": {
            "text": "Perazzi et al., CVPR 2016, and the numbers its authors published since: "
            "davisvideochallenge/davis-matlab, commit ceb40bc, eval_results",
            "licence": "MIT (of that repository)",
        },
    },
    "note": "DAVIS 2016 val at 480p, single object. Frames have J and F of three decimals; where MATLAB "
    "files exist, T of three decimals and values of sequences of six; else these are made of the printed "
    "frames.",
    "protocol": "davis16-matlab",
    "remarks": {
        "T_mean": "computed by the DAVIS toolkit for MATLAB, as protocol davis16-matlab does; the toolkit "
        "for Python, which this protocol equals, finds other values on the same masks",
    },
}

SEMI_SUPERVISED = frozenset({
    "agame", "bvs", "cinm", "ctn", "favos", "fcp", "feelvos", "hvs", "jmp", "lucid", "mhpvos", "msk", "mugs",
    "ofl", "onavos", "osmn", "osvos", "osvoss", "plm", "pml", "premvos", "ranet", "rgmp", "sea", "sfls",
    "siammask", "siamrcnn", "stm", "tsp", "voswl", "vpn",
})  # fmt: skip
"""Which methods are given the object of frame 0: ``json_data/global.js`` of the web page."""

NAMES = {"sflab": "sf-lab", "sfmot": "sf-mot", "lvo": "lvo17"}
"""Name on the web page -> name here: as the MATLAB files have it, or other than a network of vosbench."""

TITLES = {
    "andiff": "AnDiff",
    "cosnet": "COSNet",
    "epo+": "EpO+",
    "fseg": "FSEG/FusionSeg",
    "lmp": "LMP/MP-Net",
    "lucid": "Lucid",
    "lvo17": "LVO",
    "matnet": "MATNet",
    "mhpvos": "MHP-VOS",
    "motadapt": "MotAdapt",
    "mugs": "MuG-W",
    "mugu": "MuG-W",
    "onavos": "OnAVOS",
    "osvoss": "OSVOS-S",
    "premvos": "PReMVOS",
    "ranet": "RANet",
    "sfls": "SFL",
    "sflu": "SFL",
    "siammask": "SiamMask",
    "siamrcnn": "Siam R-CNN",
    "stm": "STM (web page)",
    "voswl": "VOSwL",
}
"""Name here -> what the web page shows, where that is more than capitals."""

NOTES = {
    "mcg": "object proposals of single images: the dataset's authors list it as a technique to build on",
    "sf-lab": "saliency of single images: the dataset's authors list it as a technique to build on",
    "sf-mot": "saliency of optical flow: the dataset's authors list it as a technique to build on",
    "stm": "other masks than those in the repository of STM's authors: F of a frame differs by up to 0.160",
}

STATISTICS = {"J": ("mean", "recall", "decay"), "F": ("mean", "recall", "decay"), "T": ("mean",)}

_Frames = Mapping[str, Mapping[str, list[int | None]]]
"""Sequence -> measure -> values of its frames, whole numbers of 1 / UNIT."""


def content(matlab: Path, site: Path) -> dict[str, Any]:
    """Return what davis16.json holds."""
    table = site_table(site / "global_eval_val_2016.js")
    # files of the web page may have the training sequences, too
    val = sorted({row["sequence"] for row in _rows(matlab / "per_sequence.csv")})
    frames_of = {NAMES.get(name, name): _site_frames(site, name, val) for name in table["techniques"]}
    printed = {NAMES.get(name, name): table[name] for name in table["techniques"]}
    exact, frames, largest = _matlab(matlab, frames_of)
    methods = {
        name: {
            "title": TITLES.get(name, name.upper()),
            "protocol": f"davis16-{'semi-supervised' if name in SEMI_SUPERVISED else 'unsupervised'}",
            "note": NOTES.get(name, ""),
            "sources": ["site", "matlab"] if name in exact else ["site"],
            "table": _data_set_values(printed[name]),
            "sequences": {
                sequence: {
                    "values": exact.get(name, {}).get(sequence, {}),
                    "per_frame": {**frames_of[name][sequence], **frames.get(name, {}).get(sequence, {})},
                }
                for sequence in val
            },
        }
        for name in sorted(frames_of)
    }
    agreement = {"methods": len(exact), "largest_difference": largest}
    return {**ABOUT, "agreement": agreement, "methods": methods}


def site_table(path: Path) -> Any:
    """Return the object that a script of the web page assigns; it may have commas before its ends."""
    source = path.read_text(encoding="utf-8").split("=", 1)[1].strip().rstrip(";")
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", source))


def site_file(site: Path, year: str, name: str) -> Path:
    """Return the file of the web page with the values of a method."""
    folder = site / "raw_eval" / year
    # a copy may have the folders side by side
    return (folder if folder.is_dir() else site / f"raw_eval_{year}") / f"{name}_davis.json"


def _site_frames(site: Path, name: str, sequences: Sequence[str]) -> dict[str, dict[str, list[int | None]]]:
    found = json.loads(site_file(site, "2016", name).read_text(encoding="utf-8"))
    return {
        sequence: {measure: [_whole(value) for value in found[sequence][measure]] for measure in "JF"}
        for sequence in sequences
    }


def _data_set_values(printed: Mapping[str, str]) -> dict[str, float]:
    names = {f"{m}{s}": f"{m}_{s}" for m in "JF" for s in STATISTICS[m]} | {"T": "T_mean"}
    return {name: float(printed[key]) for key, name in names.items()}


def _matlab(
    folder: Path, site: Mapping[str, _Frames]
) -> tuple[dict[str, dict[str, dict[str, float | None]]], dict[str, dict[str, _Frames]], float]:
    """Return values of sequences, T of frames, and the largest difference of J or F of a frame."""
    values: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for row in _rows(folder / "per_sequence.csv"):
        # the ground truth has T alone and is no method
        if row["method"] != "gt":
            for name in STATISTICS[row["measure"]]:
                values[row["method"]][row["sequence"]][f"{row['measure']}_{name}"] = _number(row[name])
    frames: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    largest = 0.0
    for row in _rows(folder / "per_frame.csv"):
        if row["method"] == "gt":
            continue
        if row["measure"] == "T":
            # the pairs of T are stored before the factor that makes them T
            frames[row["method"]][row["sequence"]]["T"].append(_whole(row["value"], T_SCALE))
            continue
        there = site[row["method"]][row["sequence"]][row["measure"]][int(row["index"])]
        assert there is not None
        largest = max(largest, abs(float(row["value"]) - there / UNIT))
    return values, frames, round(largest, 6)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(value: str) -> float | None:
    return None if math.isnan(float(value)) else round(float(value), 6)


def _whole(value: str, scale: float = 1.0) -> int | None:
    return None if math.isnan(float(value)) else round(scale * float(value) * UNIT)


if __name__ == "__main__":
    write_text(
        Path(__file__).with_suffix(".json"), published_text(content(Path(sys.argv[1]), Path(sys.argv[2])))
    )
