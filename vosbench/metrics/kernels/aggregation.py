"""Data-set values from the values of sequences: means, sums, F of mean precision and recall."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["mean", "classes", "sum", "harmonic"]


Rows = Mapping[str, Mapping[str, float | None]]
"""Sequence -> column -> value; None, NaN or an absent column is an undefined value."""


Floats = NDArray[np.float64]


Total = Callable[[Floats], Floats]
"""(n,) terms of the sequences -> (R,) their sums over the sequences that are counted in each of R ways."""


@dataclass(frozen=True)
class Aggregation:
    """Rule for the value of a data set from those of its sequences. Undefined values are left out.

    Attributes:
        kind: ``"mean"`` over sequences, or over what `weights` counts; ``"classes"``: mean over the
            sequences of each class, then over classes; ``"sum"``; ``"harmonic"``: 2PR / (P + R) of
            the means of two columns (0 when both are 0), as F of precision and recall.
        columns: the column; two for ``"harmonic"``.
        weights: column with the weight of each sequence, e.g. its number of objects; for ``"mean"``.
        classes: sequence -> its class; for ``"classes"``.
        within: lowest and highest possible value of the data set; infinite where there is none.

    Raises:
        ValueError: the number of columns, the weights or the classes do not fit the kind.
    """

    kind: Kind
    columns: tuple[str, ...]
    weights: str | None = None
    classes: Mapping[str, str] | None = None
    within: tuple[float, float] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        wanted = 2 if self.kind == "harmonic" else 1
        if len(self.columns) != wanted:
            raise ValueError(f"aggregation '{self.kind}' takes {wanted} columns, got {len(self.columns)}")
        if self.weights is not None and self.kind != "mean":
            raise ValueError(f"aggregation '{self.kind}' takes no weights")
        if (self.classes is not None) != (self.kind == "classes"):
            raise ValueError("classes go with aggregation 'classes', and with no other")


def aggregate(rows: Rows, rule: Aggregation) -> float:
    """Return the data-set value; NaN when no sequence has a value (a sum over none is NaN, too).

    Args:
        rows: the sequences that count.
        rule: aggregation of the sequences.

    Raises:
        ValueError: a sequence without a class under ``"classes"``.

    Example:
        >>> rows = {"dog": {"J_mean": 0.8, "objects": 1}, "cows": {"J_mean": 0.5, "objects": 2}}
        >>> aggregate(rows, Aggregation("mean", ("J_mean",), weights="objects"))
        0.6
    """

    def total(terms: Floats) -> Floats:
        return np.array([math.fsum(terms.tolist())])

    return float(evaluate(rows, rule, total)[0])


def evaluate(rows: Rows, rule: Aggregation, total: Total) -> Floats:
    """Return the data-set value for every way in which `total` counts the sequences: (R,) float64."""
    if not rows:
        return np.full_like(total(np.empty(0)), math.nan)
    first = _column(rows, rule.columns[0])
    if rule.kind == "sum":
        defined = ~np.isnan(first)
        return np.where(total(defined.astype(np.float64)) > 0, total(np.where(defined, first, 0.0)), math.nan)
    if rule.kind == "harmonic":
        return _harmonic(_mean(first, total), _mean(_column(rows, rule.columns[1]), total))
    if rule.kind == "classes":
        return _mean_over_classes(first, _class_of(rows, rule), total)
    return _mean(first, total, None if rule.weights is None else _column(rows, rule.weights))


def _mean(values: Floats, total: Total, weights: Floats | None = None) -> Floats:
    defined = ~np.isnan(values)
    weight = np.where(defined, 1.0 if weights is None else np.nan_to_num(weights), 0.0)
    terms = np.where(defined, values, 0.0) * weight
    return _divide(total(terms), total(weight))


def _mean_over_classes(values: Floats, labels: Sequence[str], total: Total) -> Floats:
    of = np.array(labels)
    means = np.stack([_mean(np.where(of == label, values, math.nan), total) for label in sorted({*labels})])
    defined = ~np.isnan(means)
    return _divide(np.where(defined, means, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))


def _harmonic(p: Floats, r: Floats) -> Floats:
    value = _divide(2 * p * r, p + r)
    return np.where((p == 0) & (r == 0), 0.0, value)


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN without a warning where the denominator is 0 or NaN."""
    out = np.full_like(denominator, math.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def _column(rows: Rows, name: str) -> Floats:
    values = [row.get(name) for row in rows.values()]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _class_of(rows: Rows, rule: Aggregation) -> list[str]:
    assert rule.classes is not None
    absent = [name for name in rows if name not in rule.classes]
    if absent:
        raise ValueError(f"no class is given for sequence '{absent[0]}'")
    return [rule.classes[name] for name in rows]
