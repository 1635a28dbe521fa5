"""Status of a method, derived from its records and the provenance of its weights, never typed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vosbench.evaluation.record import Record
from vosbench.leaderboard.conditions import Zoo
from vosbench.leaderboard.published import REPORTED, SAME_MASKS

StatusKind = Literal[
    "reported",
    "masks scored",
    "authors' masks",
    "baseline",
    "implemented",
    "smoke-trained",
    "trained",
    "parity",
    "matches paper",
]

MEANING: dict[StatusKind, str] = {
    "reported": "numbers of others, not measured here",
    "masks scored": "masks of others, scored here",
    "authors' masks": "the masks that published numbers were computed from, scored here",
    "baseline": "nothing to train",
    "implemented": "no weights whose training is known here",
    "smoke-trained": "weights trained on rendered miniature scenes",
    "trained": "weights trained on real data",
    "parity": "the authors' own weights, imported with every tensor accounted for",
    "matches paper": "reproduces the number of its own paper on the whole split",
}
"""Status -> meaning, in order."""


@dataclass(frozen=True)
class Status:
    """Status of a method.

    Attributes:
        kind: the status.
        evidence: records or weights behind the status.
    """

    kind: StatusKind
    evidence: str


UNKNOWN = Status("implemented", "no weights named in the records")


@dataclass(frozen=True)
class MethodStatus:
    """Status of a method of this project in one size; ``""`` when no size has weights."""

    name: str
    size: str
    status: Status


def trained_weights(zoo: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the zoo by hash; see `vosbench.models.pretrained.zoo.shipped`."""
    return {item["sha256"]: item for item in zoo}


def status_of(records: Collection[Record], zoo: Zoo, reproduced: bool = False) -> Status:
    """Return the status of a row.

    Args:
        records: those of the row.
        zoo: the weights whose training is known; records of other weights may hold theirs.
        reproduced: whether the row reproduces the number of its own paper, on the whole split.
    """
    provenances = [record.provenance for record in records]
    reported = next((item[REPORTED] for item in provenances if REPORTED in item), None)
    if reported is not None:
        return Status("reported", str(reported["source"]))
    masks = next((item["masks"] for item in provenances if "masks" in item), None)
    if masks is not None and SAME_MASKS in masks:
        evidence = f"J and F of every frame are those published as {masks[SAME_MASKS]}"
        return Status("authors' masks", evidence)
    if masks is not None:
        return Status("masks scored", "sha256 of the masks in the records")
    named = [item for item in provenances if item.get("weights")]
    own = {
        str(item["weights"].get("sha256", "")): {"training": item["training"]}
        for item in named
        if "training" in item
    }
    status = _of_weights([item["weights"] for item in named], {**zoo, **own})
    if reproduced and status.kind != "implemented":
        return Status("matches paper", status.evidence)
    return status


def status_of_weights(weights: Mapping[str, Any], zoo: Zoo) -> Status:
    """Return the status that a weights file gives its method.

    Args:
        weights: the ``weights`` of a record's provenance, or a provenance of the zoo.
        zoo: the weights whose training is known.
    """
    if weights.get("weights") == "none":
        return Status("baseline", "no weights")
    digest = str(weights.get("sha256", ""))
    if weights.get("released"):
        names = ", ".join(str(item["file"]) for item in weights["released"])
        return Status("parity", f"released weights {names}")
    known = zoo.get(digest)
    if known is None:
        return Status(
            "implemented",
            f"weights {digest[:12] or 'unknown'} are not in the zoo, and nothing tells of their training",
        )
    training = known.get("training", {})
    data = training.get("data", {})
    kind: StatusKind = "smoke-trained" if data.get("edition") == "mini" else "trained"
    on = data.get("name", "unknown data") + (f" ({data['edition']})" if "edition" in data else "")
    return Status(kind, f"weights {digest[:12]}, trained on {on}")


def method_statuses(
    names: Sequence[str], zoo: Zoo, shown: Mapping[tuple[str, str], Sequence[Status]]
) -> list[MethodStatus]:
    """Return the status of methods: the furthest that weights or records of a size show.

    Args:
        names: the methods.
        zoo: the weights whose training is known.
        shown: method and size -> the statuses of its rows.
    """
    order = list(MEANING)
    statuses = {method: list(known) for method, known in shown.items() if method[0] in names}
    for weights in zoo.values():
        if weights["name"] in names:
            method = (str(weights["name"]), str(weights["size"]))
            statuses.setdefault(method, []).append(status_of_weights(weights, zoo))
    for name in {*names} - {method[0] for method in statuses}:
        statuses[name, ""] = [Status("implemented", "no weights yet")]
    return [
        MethodStatus(*method, max(statuses[method], key=lambda status: order.index(status.kind)))
        for method in sorted(statuses)
    ]


def _of_weights(weights: Sequence[Mapping[str, Any]], zoo: Zoo) -> Status:
    statuses = dict.fromkeys(status_of_weights(item, zoo) for item in weights)
    if len(statuses) == 1:
        return next(iter(statuses))
    if not statuses:
        return UNKNOWN
    evidence = "; ".join(status.evidence for status in statuses)
    return Status("implemented", f"records of several weights: {evidence}")
