"""Descriptions of all metrics: values, direction, range, order in tables, torchmetrics class."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vosbench.metrics.kernels import detection, fbms

Unit = Literal["fraction", "count"]

_DAVIS = "vosbench.metrics.davis:"
_POSITIVE = (0.0, math.inf)


@dataclass(frozen=True)
class ValueSpec:
    """One value of a metric: an entry of records and a column of tables.

    Attributes:
        name: e.g. ``"J_mean"``.
        statistic: of the values of the frames of a sequence, where the metric has a `MetricSpec.measure`.
        higher_is_better: direction.
        within: lowest and highest possible value.
        unit: ``"fraction"``, shown as a percentage, or ``"count"``, shown as it is; one decimal each.
        interval: tables show its 95 % interval.
        per_sequence: the page has a table of its values per sequence.
        stepwise: a single frame moves the value in steps: past 0.5, into another quarter, by a new contour.
        summed: the data-set value is the sum over sequences, not a mean.
        harmonic_of: names of precision and recall, where the data-set value is the F of their means under
            the rule ``"harmonic"`` of `vosbench.metrics.kernels.fbms.FRule`; empty for others.
    """

    name: str
    statistic: str = ""
    higher_is_better: bool = True
    within: tuple[float, float] = (0.0, 1.0)
    unit: Unit = "fraction"
    interval: bool = False
    per_sequence: bool = False
    stepwise: bool = False
    summed: bool = False
    harmonic_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricSpec:
    """A metric that protocols may have.

    Attributes:
        implementation: ``module:name`` of its torchmetrics class, not imported here: torch is slow to start.
        values: in the order of tables; boards rank by the first that they have.
        measure: per-frame measure of `vosbench.metrics.kernels.overlap.MEASURES` whose statistics the
            values are; ``""`` for a metric with a computation of its own.
        mean_of: metrics of whose first values it is the mean.
        stable_sequences: the data-set value runs over ``stability_sequences`` of a protocol.
        pooled: computed from all frames of a data set at once: a sequence has no value and there is no
            interval.
    """

    implementation: str
    values: tuple[ValueSpec, ...]
    measure: str = ""
    mean_of: tuple[str, ...] = ()
    stable_sequences: bool = False
    pooled: bool = False

    @property
    def higher_is_better(self) -> bool:
        """Direction of the first value."""
        return self.values[0].higher_is_better

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of the values."""
        return tuple(value.name for value in self.values)


def _statistics(measure: str) -> tuple[ValueSpec, ...]:
    """Return mean, recall and decay of a per-frame measure."""
    return (
        ValueSpec(f"{measure}_mean", "mean", interval=True, per_sequence=True),
        ValueSpec(f"{measure}_recall", "recall", stepwise=True),
        ValueSpec(f"{measure}_decay", "decay", higher_is_better=False, within=(-1.0, 1.0), stepwise=True),
    )


_INSTABILITY = ValueSpec(
    "T_mean", higher_is_better=False, within=_POSITIVE, interval=True, per_sequence=True, stepwise=True
)
_FBMS = (
    ValueSpec("f_measure", interval=True, per_sequence=True, harmonic_of=("precision", "recall")),
    ValueSpec("precision"),
    ValueSpec("recall"),
    ValueSpec("n_objects", within=_POSITIVE, unit="count", summed=True),
)
_COUNT_ERROR = ValueSpec("delta_obj", higher_is_better=False, within=_POSITIVE, unit="count")
_IOU = ValueSpec("iou_mean", "mean", interval=True, per_sequence=True)
_PRECISIONS = tuple(ValueSpec(name) for name in detection.NAMES)

METRICS = {
    "jf": MetricSpec(_DAVIS + "JFMeasure", (ValueSpec("JF_mean", interval=True),), mean_of=("j", "f")),
    "j": MetricSpec(_DAVIS + "RegionSimilarity", _statistics("J"), measure="J"),
    "f": MetricSpec(_DAVIS + "ContourAccuracy", _statistics("F"), measure="F"),
    "t": MetricSpec(_DAVIS + "TemporalStability", (_INSTABILITY,), stable_sequences=True),
    "fbms": MetricSpec("vosbench.metrics.fbms:FBMSMeasure", _FBMS),
    "delta_obj": MetricSpec("vosbench.metrics.fbms:ObjectCountError", (_COUNT_ERROR,)),
    "iou": MetricSpec("vosbench.metrics.iou:MeanFrameIoU", (_IOU,), measure="J"),
    "map50": MetricSpec("vosbench.metrics.detection:MaskAveragePrecision", _PRECISIONS, pooled=True),
}
"""Name in protocols and on the command line -> metric, in the order of tables."""


def metric_of(value: str) -> str | None:
    """Return the name of the metric of a value, e.g. of ``"iou_mean/dog"``; None for other names."""
    plain = value.partition("/")[0]
    return next((name for name, metric in METRICS.items() if plain in metric.value_names), None)


def value_spec(name: str) -> ValueSpec:
    """Return the description of a value, e.g. of ``"J_recall"``; ``"iou_mean/dog"`` is one of ``iou_mean``.

    A value that no metric has (records of a later version) is a fraction of which more is better.
    """
    plain = name.partition("/")[0]
    values = (value for metric in METRICS.values() for value in metric.values)
    return next((value for value in values if value.name == plain), ValueSpec(name))


def values_in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names that are values of metrics, in the order of tables."""
    known = set(names)
    return tuple(value.name for metric in METRICS.values() for value in metric.values if value.name in known)


def frame_measures() -> tuple[str, ...]:
    """Return the measures with a value for every frame, ``"J"`` and ``"F"``, in the order of tables."""
    return tuple(dict.fromkeys(metric.measure for metric in METRICS.values() if metric.measure))


def value_names(metrics: Iterable[str], variant: fbms.Variant | None = None) -> tuple[str, ...]:
    """Return the names of the values of metrics, e.g. ``J_mean``, ``J_recall`` and ``J_decay`` of ``j``.

    Args:
        metrics: names of metrics.
        variant: which FBMS measure it is: the values of ``fbms``.
    """
    return tuple(
        name
        for metric in metrics
        for name in METRICS[metric].value_names
        if metric != "fbms" or (variant is not None and name in fbms.NAMES[variant])
    )
