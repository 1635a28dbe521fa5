"""Published numbers in this project's names and units.

`leaderboards/reported.yaml` keeps every number as its paper prints it. Its ``entries`` have the fields
``paper`` (key of ``papers``), ``table`` (number, or ``text_<section>``), ``method``, ``dataset``, ``split``,
``metric``, ``value``, ``unit`` (percent, fraction, seconds, count, count_of_<n>) and, where they apply,
``variant`` (``key=value; key=value`` or a phrase), ``note``, ``own_method`` (the paper's own method, not a
quoted peer) and ``protocol`` (id, where no protocol lists the table). ``conditions`` are those of the numbers
of a ``paper`` and ``method``, where given only of a ``table`` or a ``variant``: ``network``
(``full`` by default), ``training`` (names of data sets), ``flow`` at test (``flow`` or ``test_flow`` of the
variant goes before) and ``switches`` of our method that are not its defaults; the first that fits holds.
``conflicts`` lists contradictions between papers and is for people.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from vosbench.data.catalogue import CATALOGUE
from vosbench.errors import InputError, shown
from vosbench.leaderboard.conditions import Conditions
from vosbench.plain_data import ANY, check_kind, read_yaml
from vosbench.scoring.protocol import load_protocol, protocol_of_table

DATASETS = {name: spec.name for spec in CATALOGUE.values() for name in spec.published} | {
    # other labels or samples of a set: nothing here is measured on them, the papers' names stay
    "FBMS59-3Dmotion-labels": "FBMS59-3Dmotion-labels",
    "ImageNet-VID": "ImageNet-VID",
}
"""The papers' name of a data set -> ours."""

SPLITS = {
    (spec.name, published): split
    for spec in CATALOGUE.values()
    for published, split in spec.published_splits.items()
}
"""The papers' name of a split, where ours is another."""

METRICS = {
    ("davis16", "iou_mean"): "J_mean",
    ("davis17", "iou_mean"): "J_mean",
    ("fbms", "N"): "n_objects",
}
"""The papers' name of a metric on one of our data sets, where ours is another."""

_FACTORS = {"percent": 0.01, "fraction": 1.0, "seconds": 1.0, "count": 1.0}

_CONDITION = {"training": [str], "network": str, "flow": (str, None), "switches": dict}
_KIND = {"papers": {ANY: str}, "entries": [{"dataset": str}], "conditions": [_CONDITION]}

_STATED = frozenset({"paper", "method", "training"})
_MAY_BE_STATED = frozenset({"table", "variant", "network", "flow", "switches"})

_REQUIRED = ("paper", "table", "method", "dataset", "split", "metric", "value", "unit")


@dataclass(frozen=True)
class PublishedName:
    """Name of a method of this project in the papers.

    Attributes:
        name: the method's name in the tables.
        variant: a table row that states one of these keys with another value is an ablation, not the method.
    """

    name: str
    variant: Mapping[str, str]


PUBLISHED_NAMES: dict[str, PublishedName] = {
    # the network of section 4 trained on FlyingThings3D; rows differ in the flow it is given
    "mpnet": PublishedName(
        "MP-Net",
        {
            "decoder_units": "4",
            "trained_on_ft3d_input": "gt_angle_field",
            "train_flow": "gt_angle_field",
            "trained_on": "FT3D",
        },
    ),
    "fusionseg": PublishedName("FusionSeg-Joint", {}),
    "motion_maskrcnn": PublishedName("Motion Mask R-CNN", {}),
    "flow_saliency": PublishedName("Flow-Sal", {}),
    "flow_threshold": PublishedName("Flow-Th", {}),
}
"""Our name of a method -> the papers'. A method not listed (an added result) goes by its own name."""


@dataclass(frozen=True)
class Reported:
    """One published number.

    Attributes:
        paper: authors and title.
        table: e.g. ``"table 6"`` or ``"text, section 6.4.1"``.
        method: name in the paper.
        dataset: our name.
        split: our name.
        metric: our name.
        value: fraction; seconds and counts as printed.
        variant: ablation label, ``""`` when none.
        note: doubts about the number, ``""`` when none.
        own: the number is of the paper's own method, not of a quoted peer.
        protocol: id of the protocol it follows, ``""`` when none of ours.
        conditions: those of the paper; None where not looked up.
    """

    paper: str
    table: str
    method: str
    dataset: str
    split: str
    metric: str
    value: float
    variant: str
    note: str
    own: bool
    protocol: str
    conditions: Conditions | None = None

    @property
    def source(self) -> str:
        """First author and table, e.g. ``"Tokmakov et al., table 3"``."""
        return f"{self.paper.split(',')[0].split(':')[0]}, {self.table}"

    @property
    def variant_keys(self) -> dict[str, str]:
        """The ``key=value`` parts of the variant."""
        return variant_keys(self.variant)


def variant_keys(variant: str) -> dict[str, str]:
    """Return the ``key=value`` parts of a variant."""
    parts = (part.split("=", 1) for part in variant.split(";") if "=" in part)
    return {key.strip(): value.strip() for key, value in parts}


def packaged(name: str) -> Traversable:
    """Return a data file of the leaderboard: from the wheel, else from the checkout it was built from.

    Raises:
        InputError: neither has the file.
    """
    in_wheel = importlib.resources.files("vosbench.leaderboard").joinpath(name)
    if in_wheel.is_file():
        return in_wheel
    in_checkout = Path(__file__).resolve().parents[2] / "leaderboards" / name
    if in_checkout.is_file():
        return in_checkout
    raise InputError(f"{name} is missing from this installation of vosbench; install it again or name a file")


def load_reported(path: Path | None = None) -> list[Reported]:
    """Read the published numbers.

    Args:
        path: a file of the form described above; None for the numbers vosbench ships.

    Raises:
        InputError: the file is missing, is not of that form, or names an unknown data set, unit or paper.
    """
    source = packaged("reported.yaml") if path is None else path
    content = read_yaml(source)
    papers, entries = content.get("papers"), content.get("entries")
    if not isinstance(papers, dict) or not isinstance(entries, list):
        raise InputError(f"{source}: needs 'papers' (id to title) and 'entries' (a list)")
    check_kind(content, _KIND, f"{source}")
    stated = content.get("conditions", [])
    for number, condition in enumerate(stated, start=1):
        if not isinstance(condition, dict) or not _STATED <= condition.keys() <= _STATED | _MAY_BE_STATED:
            raise InputError(
                f"{source}: conditions {number} must have {', '.join(sorted(_STATED))}, and may have "
                f"{', '.join(sorted(_MAY_BE_STATED))}"
            )
    return [
        _reported(entry, papers, stated, f"{source}: entry {i}") for i, entry in enumerate(entries, start=1)
    ]


def select(
    reported: Sequence[Reported], *, dataset: str, metric: str, model: str, split: str
) -> list[Reported]:
    """Return the published numbers of a method, the one to compare with first.

    First come numbers on the same split, then numbers of the method's own paper, then the order of the
    file; a number that several tables repeat is kept once. Of methods that are not ours, ablations
    (rows with ``key=value`` variants) are left out.

    Args:
        reported: all published numbers.
        dataset: our name.
        metric: our name.
        model: our name of the method, or the papers' name in any case for a method that is not ours.
        split: the split that was measured.
    """
    name = PUBLISHED_NAMES.get(model)
    cells = [entry for entry in reported if entry.dataset == dataset and entry.metric == metric]
    if name is None:
        matches = [e for e in cells if e.method.casefold() == model.casefold() and not e.variant_keys]
    else:
        matches = [e for e in cells if e.method == name.name and _agrees(e.variant_keys, name.variant)]
    matches.sort(key=lambda entry: (entry.split != split, not entry.own))
    distinct: dict[tuple[str, float, str], Reported] = {}
    for entry in matches:
        distinct.setdefault((entry.split, entry.value, _flow(entry)), entry)
    return list(distinct.values())


def _reported(
    entry: Any, papers: Mapping[str, str], stated: Sequence[Mapping[str, Any]], where: str
) -> Reported:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be a mapping")
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise InputError(f"{where}: lacks {', '.join(missing)}")
    if entry["dataset"] not in DATASETS:
        raise InputError(f"{where}: unknown dataset {shown(entry['dataset'])}: one of {', '.join(DATASETS)}")
    if str(entry["paper"]) not in papers:
        raise InputError(f"{where}: paper {shown(entry['paper'])} is not listed under 'papers'")
    dataset = DATASETS[entry["dataset"]]
    split, metric, table = str(entry["split"]), str(entry["metric"]), str(entry["table"])
    return Reported(
        paper=papers[str(entry["paper"])],
        table=table.replace("text_", "text, section ") if table.startswith("text_") else f"table {table}",
        method=str(entry["method"]),
        dataset=dataset,
        split=SPLITS.get((dataset, split), split),
        metric=METRICS.get((dataset, metric), metric),
        value=_value(entry["value"], str(entry["unit"]), where),
        variant=str(entry.get("variant", "")),
        note=str(entry.get("note", "")),
        own=bool(entry.get("own_method", False)),
        protocol=_protocol(entry, table, dataset),
        conditions=_conditions(entry, stated),
    )


def _conditions(entry: Mapping[str, Any], stated: Sequence[Mapping[str, Any]]) -> Conditions | None:
    keys = ("paper", "method", "table", "variant")
    for condition in stated:
        if all(str(entry.get(key, "")) == str(condition[key]) for key in keys if key in condition):
            variant = variant_keys(str(entry.get("variant", "")))
            flow = variant.get("test_flow", variant.get("flow", condition.get("flow")))
            return Conditions(
                network=condition.get("network", "full"),
                training=frozenset(condition["training"]),
                # learnt first with the flow behind the arrow
                flow=None if flow is None else str(flow).partition("<-")[0],
                switches=condition.get("switches", {}),
            )
    return None


def _protocol(entry: Mapping[str, Any], table: str, dataset: str) -> str:
    """Return the protocol that the entry names, else the one that lists its table."""
    if "protocol" in entry:
        return load_protocol(str(entry["protocol"])).id
    return protocol_of_table(str(entry["paper"]), table, dataset)


def _value(value: Any, unit: str, where: str) -> float:
    factor = 1.0 if unit.startswith("count_of_") else _FACTORS.get(unit)
    if factor is None:
        raise InputError(f"{where}: unknown unit {shown(unit)}: one of {', '.join(_FACTORS)}, count_of_<n>")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: value must be a number, not {shown(value)}")
    # 52.4 percent is 0.524, not 0.5240000000000001
    return round(value * factor, 10)


def _agrees(variant: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(wanted.get(key, value) == value for key, value in variant.items())


def _flow(entry: Reported) -> str:
    keys = entry.variant_keys
    return keys.get("test_flow", keys.get("flow", ""))
