"""Conditions of a number: network, training, flow, switches; and the differences between two."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vosbench.evaluation.record import Record
from vosbench.models.pretrained.weight_files import rendered_sets
from vosbench.plain_data import read_yaml

MINI = "rendered scenes of "

Zoo = Mapping[str, Mapping[str, Any]]
"""SHA-256 of a weights file -> its provenance, see `vosbench.leaderboard.status.trained_weights`."""


@dataclass(frozen=True)
class Conditions:
    """Conditions of a published or measured number.

    Attributes:
        network: size of the network, ``"full"`` as in papers, ``"tiny"``; ``""`` where nothing has sizes.
        training: names of the data sets that weights learnt from, miniatures with `MINI` before them;
            empty where nothing is learnt, None where it is not known.
        flow: the optical flow at test, ``""`` for none; None where it is not known.
        switches: of a measured number all of the method, of a published one those that its row asks for
            and that are no defaults.
        method: of a measured number, whose switches these are.
        released: the weights are the authors' own: network, training and switches are theirs.
    """

    network: str = "full"
    training: frozenset[str] | None = None
    flow: str | None = None
    switches: Mapping[str, Any] = field(default_factory=dict, hash=False)
    method: str = ""
    released: bool = False


def measured_conditions(records: Collection[Record], zoo: Zoo) -> Conditions | None:
    """Return the conditions of the records of a row; None for masks of others.

    Args:
        records: of one method in one size on one board.
        zoo: the weights whose training is known, see `vosbench.leaderboard.status.trained_weights`.
    """
    provenances = [record.provenance for record in records]
    if not provenances or any("masks" in item for item in provenances):
        return None
    weights = [item.get("weights") or {} for item in provenances]
    trainings = {_training(item, zoo) for item in provenances}
    flows = {flow_name(item.get("flow")) for item in provenances}
    return Conditions(
        network=next(iter(records)).size,
        training=trainings.pop() if len(trainings) == 1 else None,
        flow=flows.pop() if len(flows) == 1 else None,
        switches=weights[0].get("variant", {}),
        method=str(provenances[0].get("config", {}).get("model", "")),
        released=all(item.get("released") for item in weights),
    )


def differing(here: Conditions, paper: Conditions | None) -> list[str]:
    """Return the differences between the conditions of a measured and of a published number, in words.

    Args:
        here: of the measured number.
        paper: of the published number; None where they were not stated.
    """
    if paper is None:
        return ["conditions of the published number not stated"]
    differences = []
    if not here.released:
        if here.network != paper.network:
            ours, theirs = (size or "without sizes" for size in (here.network, paper.network))
            differences.append(f"network {ours}, not {theirs}")
        if here.training is None or here.training != paper.training:
            differences.append(f"trained on {_sets(here.training)}, not on {_sets(paper.training)}")
        differences += _switches(here, paper.switches)
    if here.flow is None or paper.flow is None or _plain(paper.flow) != _plain(here.flow):
        differences.append(f"flow {_named(here.flow)}, not {_named(paper.flow)}")
    return differences


def _training(provenance: Mapping[str, Any], zoo: Zoo) -> frozenset[str] | None:
    weights = provenance.get("weights") or {}
    if weights.get("weights") == "none":
        return frozenset()
    known = provenance.get("training") or zoo.get(str(weights.get("sha256", "")), {}).get("training", {})
    data = known.get("data", {})
    if "name" not in data:
        return None
    # a split may stand behind the name of a set
    names = [name.split()[0] for name in str(data["name"]).split(",") if name.strip()]
    rendered = rendered_sets(data)
    if rendered is None:
        return None
    return frozenset(f"{MINI}{name}" if name in rendered else name for name in names)


def flow_name(described: Mapping[str, Any] | None) -> str:
    """Return the name of the flow that a record describes; files go by the name of their folder."""
    if not described:
        return ""
    if "folder" in described:
        return Path(str(described["folder"])).name
    return str(described.get("estimator", ""))


@cache
def _defaults(method: str) -> dict[str, Any]:
    """Return the paper's switches of a method of this project; empty for other methods."""
    file = resources.files("vosbench") / "configs" / "model" / f"{method}.yaml"
    return read_yaml(file) if method and file.is_file() else {}


def _switches(here: Conditions, paper: Mapping[str, Any]) -> list[str]:
    wanted = _defaults(here.method) | dict(paper)
    texts = [
        f"{key}={_value(value)}" + (f" instead of {_value(paper[key])}" if key in paper else "")
        for key, value in sorted(here.switches.items())
        if key in wanted and wanted[key] != value
    ]
    return [f"switches {', '.join(texts)}"] if texts else []


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sets(names: frozenset[str] | None) -> str:
    if names is None:
        return "unknown data"
    if not names:
        return "nothing"
    if all(name.startswith(MINI) for name in names):
        return f"{MINI}{', '.join(sorted(name.removeprefix(MINI) for name in names))}"
    return ", ".join(sorted(names))


def _named(flow: str | None) -> str:
    return "unknown" if flow is None else flow or "none"


def _plain(name: str) -> str:
    """Return letters and digits of a name in lower case: ``FlowNet 2.0`` is ``flownet20``."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
