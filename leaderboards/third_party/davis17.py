"""Writes davis17.json from the values of every object on the web page of DAVIS.

``python leaderboards/third_party/davis17.py SITE`` with the folder ``json_data`` of the web page. Only val is
taken: the ground truth of test-dev is not public, so nothing can be measured beside it. Four files are empty.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from davis16 import TITLES, site_file, site_table

from vosbench.files import write_text
from vosbench.leaderboard.published import published_text

UNIT = 10_000
"""Values of objects are whole numbers of this part of 1."""

ABOUT: dict[str, Any] = {
    "dataset": "davis17",
    "split": "val",
    "unit": UNIT,
    "sources": {
        "site": {
            "text": "web page of DAVIS: "
            "davisvideochallenge/davisvideochallenge.github.io, commit 30be16f, json_data",
            "licence": "none stated",
        },
    },
    "note": "DAVIS 2017 val at 480p. J and F of every object, the mean over its frames, of four decimals.",
    "remarks": {},
}

STATISTICS = {"J_F": "JF_mean"} | {f"{m}{s}": f"{m}_{s}" for m in "JF" for s in ("mean", "recall", "decay")}
"""Name in the table of the web page -> name here."""


def content(site: Path) -> dict[str, Any]:
    """Return what davis17.json holds."""
    table = site_table(site / "global_eval_val_2017.js")
    found = {name: _objects(site, name) for name in sorted(table["techniques"])}
    given = {name: objects for name, objects in found.items() if objects}
    # most files have the objects of test-dev, too, some those of val alone
    val = set.intersection(*(set(objects) for objects in given.values()))
    methods = {
        name: {
            "title": TITLES.get(name, name.upper()),
            "protocol": "davis17-semi-supervised",
            "note": "",
            "sources": ["site"],
            "table": {ours: float(table[name][theirs]) for theirs, ours in STATISTICS.items()},
            "sequences": _sequences({key: objects[key] for key in objects if key in val}),
        }
        for name, objects in given.items()
    }
    return {**ABOUT, "methods": methods}


def _objects(site: Path, name: str) -> dict[str, dict[str, str]]:
    """Return SEQUENCE_NUMBER -> measure -> value as printed."""
    found = json.loads(site_file(site, "2017", name).read_text(encoding="utf-8"))
    return {key: value for key, value in found.items() if key != "id"}


def _sequences(objects: dict[str, dict[str, str]]) -> dict[str, dict[str, dict[str, list[int]]]]:
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"J": [], "F": []})
    for key in sorted(objects, key=_place):
        for measure in "JF":
            found[_place(key)[0]][measure].append(round(float(objects[key][measure]) * UNIT))
    return {sequence: {"per_object": values} for sequence, values in found.items()}


def _place(key: str) -> tuple[str, int]:
    sequence, _, number = key.rpartition("_")
    return sequence, int(number)


if __name__ == "__main__":
    write_text(Path(__file__).with_suffix(".json"), published_text(content(Path(sys.argv[1]))))
