"""Verdicts on measured beside published numbers, and accepted differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from vosbench.benchmark.leakage import Leak
from vosbench.data.catalogue import published_counts
from vosbench.errors import InputError
from vosbench.leaderboard.conditions import Conditions, differing
from vosbench.leaderboard.reported import Reported, packaged
from vosbench.metrics.specs import value_spec
from vosbench.plain_data import read_yaml

LEAK = "leak"
"""Metric of a deviation that accepts numbers on videos that a model was selected on."""

VerdictKind = Literal["reproduced", "close", "differs", "other conditions", "not comparable"]


@dataclass(frozen=True)
class Verdict:
    """Verdict on a measured number beside a published one.

    Attributes:
        kind: the verdict.
        reason: why it is not comparable, which conditions differ, or why the number differs when a
            deviation gives a reason; else ``""``.
    """

    kind: VerdictKind
    reason: str = ""

    @property
    def unexplained(self) -> bool:
        """Whether the number differs without an accepted reason."""
        return self.kind == "differs" and not self.reason


@dataclass(frozen=True)
class Tolerance:
    """Absolute differences, in the unit of the metric (0.01 = one point of a percentage).

    Attributes:
        reproduced: up to here a measured number reproduces the published one.
        close: up to here it is close; beyond, it differs.
        moved: a data-set value may move this far from the baseline before a check fails.
        cell: the value of a single sequence may.
        counted: values that count objects may, of a data set and of a sequence.
        jump: a value that moves in steps (`ValueSpec.stepwise`) may move so many times as far.
    """

    reproduced: float = 0.005
    close: float = 0.02
    moved: float = 0.005
    cell: float = 0.02
    counted: float = 0.5
    jump: float = 5.0

    def moved_by(self, metric: str) -> float:
        """Return how far a data-set value may move."""
        return self._limit(metric, self.moved)

    def cell_moved_by(self, metric: str) -> float:
        """Return how far the value of a sequence may move."""
        return self._limit(metric, self.cell)

    def _limit(self, metric: str, smooth: float) -> float:
        value = value_spec(metric)
        if value.unit == "count":
            return self.counted
        return smooth * self.jump if value.stepwise else smooth


@dataclass(frozen=True)
class Deviation:
    """An accepted difference from a published number, a remark on other conditions, or an accepted leak.

    Attributes:
        protocol: protocol id.
        dataset: data set name.
        model: method name, or the label under which it took part, as in the records.
        size: ``"full"``, ``"tiny"`` or ``""``, as in the records.
        metric: metric name, or `LEAK`; in the file also a list of them, one deviation each.
        reason: what explains the difference.
    """

    protocol: str
    dataset: str
    model: str
    size: str
    metric: str
    reason: str

    def covers(self, measured: Measured) -> bool:
        """Whether this is the reason for `measured`."""
        cell = (measured.protocol, measured.dataset, measured.model, measured.size, measured.metric)
        return cell == (self.protocol, self.dataset, self.model, self.size, self.metric)


@dataclass(frozen=True)
class Measured:
    """A measured data-set value with its method, data and protocol.

    Attributes:
        value: fraction; None where undefined.
        protocol: protocol id.
        dataset: data set name (official edition).
        split: split name.
        model: method name.
        size: size of the method.
        metric: metric name.
        sequences: number of sequences measured.
        conditions: how it was reached; None for the masks of the published method itself.
    """

    value: float | None
    protocol: str
    dataset: str
    split: str
    model: str
    size: str
    metric: str
    sequences: int
    conditions: Conditions | None = None


def load_deviations(path: Path | None = None) -> list[Deviation]:
    """Read the accepted differences.

    Args:
        path: YAML with one key, ``deviations``, a list of mappings with the fields of `Deviation`;
            None for the file vosbench ships.

    Raises:
        InputError: the file is missing or is not of that form.
    """
    source = packaged("deviations.yaml") if path is None else path
    entries = read_yaml(source).get("deviations")
    if not isinstance(entries, list):
        raise InputError(f"{source}: needs 'deviations', a list")
    names = {field.name for field in fields(Deviation)}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or entry.keys() != names:
            raise InputError(
                f"{source}: entry {number} must have exactly the keys {', '.join(sorted(names))}"
            )
        if not str(entry["reason"]).strip():
            raise InputError(f"{source}: entry {number} gives no reason")
    return [
        Deviation(**{key: str(value).strip() for key, value in (entry | {"metric": metric}).items()})
        for entry in entries
        for metric in (entry["metric"] if isinstance(entry["metric"], list) else [entry["metric"]])
    ]


def judge(
    measured: Measured,
    published: Reported,
    deviations: Sequence[Deviation] = (),
    tolerance: Tolerance | None = None,
) -> Verdict:
    """Compare a measured number of an official edition with a published one.

    A verdict of reproduced, close or differs is about numbers that measure the same thing (protocol, split,
    all sequences) of the same thing: network, training data, flow and switches are those that the paper
    states. Else the verdict is ``"other conditions"``, whatever the number, and names them.

    Args:
        measured: the measured number.
        published: a number of the same data set and metric.
        deviations: accepted differences.
        tolerance: the limits of the verdicts; the defaults of `Tolerance` when None.
    """
    limits = tolerance or Tolerance()
    if measured.value is None or math.isnan(measured.value):
        return Verdict("not comparable", "undefined here")
    obstacle = _obstacle(measured, published)
    if obstacle:
        return Verdict("not comparable", obstacle)
    if measured.conditions is not None and (others := differing(measured.conditions, published.conditions)):
        remark = _reason(measured, deviations)
        return Verdict("other conditions", "; ".join([*others, remark] if remark else others))
    # a difference of exactly the tolerance is within it, whatever binary fractions make of it
    difference = abs(measured.value - published.value) - 1e-9
    if difference <= limits.reproduced:
        return Verdict("reproduced")
    if difference <= limits.close:
        return Verdict("close")
    return Verdict("differs", _reason(measured, deviations))


def reason_of(leak: Leak, deviations: Sequence[Deviation]) -> str:
    """Return the accepted reason for numbers on videos that a model was selected on; ``""`` without one.

    Numbers on what a model was trained on never do.
    """
    if leak.kind == "trained on":
        return ""
    accepted = {(d.protocol, d.dataset, d.model, d.size, d.metric): d for d in deviations}
    cells = [(protocol, leak.dataset, leak.model, leak.size, LEAK) for protocol in sorted(leak.protocols)]
    return accepted[cells[0]].reason if all(cell in accepted for cell in cells) else ""


def _obstacle(measured: Measured, published: Reported) -> str:
    """Return why two numbers measure different things; ``""`` when they measure the same."""
    if measured.protocol != published.protocol:
        return (
            f"published under {published.protocol or 'rules of its own'}, measured under {measured.protocol}"
        )
    if measured.split != published.split:
        return f"published on {published.split}, measured on {measured.split}"
    counts = published_counts(measured.dataset, measured.split)
    complete = None if counts is None else counts.sequences
    if measured.sequences != complete:
        return f"{measured.sequences} of {complete} sequences measured"
    return ""


def _reason(measured: Measured, deviations: Sequence[Deviation]) -> str:
    return next((deviation.reason for deviation in deviations if deviation.covers(measured)), "")
