"""Data-set values from the values of sequences, and how sure they are: intervals over sequences.

A data-set value is an aggregate of columns, one value per sequence. Its standard error comes from
leaving out one sequence at a time (the jackknife), which serves every aggregate alike; its interval is
that of Student's t on a scale without ends, so that the interval of a fraction stays within 0 and 1 and
is longer on the side where a fraction has more room. Resampled percentiles, the usual choice, hold the
true value too rarely with few sequences; `benchmarks/intervals` has both measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vosbench.benchmark.student import cumulative, quantile
from vosbench.errors import InputError

Kind = Literal["mean", "classes", "sum", "harmonic"]

Rows = Mapping[str, Mapping[str, float | None]]
"""Sequence -> column -> value; None, NaN or an absent column is an undefined value."""

Floats = NDArray[np.float64]
_Total = Callable[[Floats], Floats]
"""(n,) terms of the sequences -> (R,) their sums over the sequences that are counted in each of R ways."""

LEVEL = 0.95
FEWEST = 3
"""Sequences that an interval takes: from two it would be about as wide as the range of the metric."""

TIE = 1e-12
"""Differences up to this are rounding of sums in another order, not a better result."""


@dataclass(frozen=True)
class Aggregation:
    """How the value of a data set follows from those of its sequences. Undefined values are left out.

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


@dataclass(frozen=True)
class Interval:
    """Where a data-set value lies, judged by the spread between its sequences.

    Attributes:
        low, high: ends of the interval; NaN when there is none, see `note`.
        sequences: number of sequences with a value.
        error: standard error of the value; NaN with fewer than `FEWEST` sequences.
        level: share of such intervals that hold the true value.
    """

    low: float
    high: float
    sequences: int
    error: float = math.nan
    level: float = LEVEL

    @property
    def note(self) -> str | None:
        """Why there is no interval, in one line; None when there is one."""
        if not math.isnan(self.low):
            return None
        if self.sequences < FEWEST:
            return f"no interval: it takes at least {FEWEST} sequences with a value, here {self.sequences}"
        if self.error == 0:
            return f"no interval: all {self.sequences} sequences say the same, so their spread says nothing"
        return "no interval: without one of the sequences there would be no value"


@dataclass(frozen=True)
class Comparison:
    """Two result folders on the sequences on which both have a value.

    Attributes:
        first, second: their data-set values on these sequences.
        difference: first minus second, in the unit of the metric.
        interval: interval of the difference.
        win_probability: how sure it is that the first is the better one, 0.5 when nothing speaks for
            either: the level at which a one-sided interval of the difference just ends at 0. It is above
            0.975 or below 0.025 exactly when the 95 % interval leaves 0 out. NaN with fewer than `FEWEST`
            sequences.
        sequences: those compared, in the order of the first.
        left_out: sequences of either folder that lack a value in one of the two, in order.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    win_probability: float
    sequences: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def aggregate(rows: Rows, rule: Aggregation) -> float:
    """Return the data-set value; NaN when no sequence has a value (a sum over none is NaN, too).

    Args:
        rows: the sequences that count.
        rule: how they are brought together.

    Raises:
        ValueError: a sequence without a class under ``"classes"``.

    Example:
        >>> rows = {"dog": {"J_mean": 0.8, "objects": 1}, "cows": {"J_mean": 0.5, "objects": 2}}
        >>> aggregate(rows, Aggregation("mean", ("J_mean",), weights="objects"))
        0.6
    """

    def total(terms: Floats) -> Floats:
        return np.array([math.fsum(terms.tolist())])

    return float(_evaluate(rows, rule, total)[0])


def leave_one_out(rows: Rows, rule: Aggregation) -> Floats:
    """Return the data-set value without each of the n sequences in turn: (n,) float64, NaN where undefined.

    A sum is that of as many sequences: n times the mean of the others.

    Args:
        rows: the sequences that count.
        rule: how they are brought together.

    Raises:
        ValueError: a sequence without a class under ``"classes"``.
    """
    n = len(rows)
    others = 1 - np.eye(n)

    def total(terms: Floats) -> Floats:
        return others @ terms

    scale = n / (n - 1) if rule.kind == "sum" and n > 1 else 1.0
    return scale * _evaluate(rows, rule, total)


def standard_error(left_out: Floats) -> float:
    """Return the jackknife standard error of a value; NaN when one of the values is NaN.

    Args:
        left_out: (n,) the value without each of n sequences in turn.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, equation 11.5.
    """
    n = len(left_out)
    if not n or np.isnan(left_out).any():
        return math.nan
    spread = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    return spread if spread > TIE else 0.0


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error, on the way to an interval.

    Attributes:
        value: the estimate.
        error: its standard error; NaN when it is not known.
        freedom: degrees of freedom of the error, at least 1.
        within: lowest and highest possible value; infinite where there is none.
    """

    value: float
    error: float
    freedom: float
    within: tuple[float, float] = (-math.inf, math.inf)

    def interval(self, sequences: int, level: float = LEVEL) -> Interval:
        """Return the interval: that of Student's t for the log-odds of where the value is within its range.

        Of a value with one end, such as one that is never negative, it is that of the logarithm; of one
        without ends that of the value itself. The error is carried over by the slope of the scale.

        Args:
            sequences: how many the value comes from.
            level: share of such intervals that hold the true value, in (0, 1).
        """
        if not self.error > 0:
            return Interval(math.nan, math.nan, sequences, self.error, level)
        middle, half = self._scaled(self.value), quantile((1 + level) / 2, self.freedom) * self._scaled_error
        return Interval(
            self._unscaled(middle - half), self._unscaled(middle + half), sequences, self.error, level
        )

    def probability_above_zero(self) -> float:
        """Return how sure it is that the true value is above 0; the range must be even about 0."""
        if math.isnan(self.error):
            return math.nan
        if self.error == 0:
            return 0.5 + 0.5 * (self.value > TIE) - 0.5 * (self.value < -TIE)
        return cumulative(self._scaled(self.value) / self._scaled_error, self.freedom)

    def _scaled(self, value: float) -> float:
        low, high = self.within
        if math.isinf(low):
            return value
        return math.log(value - low) if math.isinf(high) else math.log((value - low) / (high - value))

    @property
    def _scaled_error(self) -> float:
        low, high = self.within
        if math.isinf(low):
            return self.error
        room = self.value - low
        return self.error / (room if math.isinf(high) else room * (high - self.value) / (high - low))

    def _unscaled(self, scaled: float) -> float:
        low, high = self.within
        if math.isinf(low):
            return scaled
        # beyond, nothing of a number would be left but its end
        scaled = min(max(scaled, -700.0), 700.0)
        return low + (math.exp(scaled) if math.isinf(high) else (high - low) / (1 + math.exp(-scaled)))


def interval(rows: Rows, rule: Aggregation, *, level: float = LEVEL) -> Interval:
    """Return the interval of a data-set value, judged by the spread between its sequences.

    Sequences are what could have been others, never frames: the frames of one video are far from
    independent. Student's t with the jackknife's standard error, see `Estimate.interval`. Of 95 % intervals
    of J about 93 in 100 hold the true value with 3 to 10 sequences, about 94 with 20
    (`benchmarks/intervals/results/coverage.md`).

    Args:
        rows: the sequences that count; those without a value are left out.
        rule: how they are brought together.
        level: share of such intervals that hold the true value, in (0, 1).

    Raises:
        ValueError: `level` outside (0, 1), or a sequence without a class.
    """
    _check(level)
    valued = {name: row for name, row in rows.items() if has_value(row, rule)}
    error = standard_error(leave_one_out(valued, rule)) if len(valued) >= FEWEST else math.nan
    estimate = Estimate(aggregate(valued, rule), error, max(len(valued) - 1, 1), rule.within)
    return estimate.interval(len(valued), level)


def compare(
    first: Rows,
    second: Rows,
    rule: Aggregation,
    *,
    lower_is_better: bool = False,
    level: float = LEVEL,
) -> Comparison:
    """Compare two result folders in pairs: on the sequences on which both have a value.

    Hard sequences are hard for both, so the difference is known far better than either value. A sequence
    on which one of them has no value (T of empty masks) says nothing about the difference and is left out
    of both, which the tables of one folder do not do.

    Args:
        first: the sequences that count, of one folder.
        second: those of the other folder.
        rule: how they are brought together.
        lower_is_better: direction of the metric: True for T_mean, J_decay, F_decay, delta_obj.
        level: share of such intervals of a difference that hold the true one, in (0, 1).

    Raises:
        InputError: no sequence is in both.
        ValueError: as for `interval`.
    """
    _check(level)
    if not any(name in second for name in first):
        raise InputError("the two results have no sequence in common: nothing to compare")
    names, left_out = paired([first, second], rule.columns)
    pair = [{name: rows[name] for name in names} for rows in (first, second)]
    values = [aggregate(rows, rule) for rows in pair]
    errors = [leave_one_out(rows, rule) for rows in pair]
    found = Estimate(
        values[0] - values[1],
        standard_error(errors[0] - errors[1]) if len(names) >= FEWEST else math.nan,
        max(len(names) - 1, 1),
        difference_within(rule.within),
    )
    above = found.probability_above_zero()
    return Comparison(
        first=values[0],
        second=values[1],
        difference=found.value,
        interval=found.interval(len(names), level),
        win_probability=1 - above if lower_is_better else above,
        sequences=names,
        left_out=left_out,
    )


def paired(everything: Sequence[Rows], columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sequences that have a value in all of `columns` everywhere, and the others, in order."""
    names = dict.fromkeys(name for rows in everything for name in rows)
    kept = tuple(
        name
        for name in names
        if all(name in rows and all(_known(rows[name].get(each)) for each in columns) for rows in everything)
    )
    return kept, tuple(name for name in names if name not in set(kept))


def has_value(row: Mapping[str, float | None], rule: Aggregation) -> bool:
    """Whether a sequence has a value to be brought together with others."""
    return any(_known(row.get(name)) for name in rule.columns)


def interval_notes(intervals: Mapping[str, Interval]) -> list[str]:
    """Say in one line each why metrics have no interval; those with the same reason share a line.

    Args:
        intervals: metric -> interval.
    """
    reasons: dict[str, list[str]] = {}
    for metric, each in intervals.items():
        if each.note is not None:
            reasons.setdefault(each.note, []).append(metric)
    return [f"{', '.join(metrics)}: {reason}" for reason, metrics in reasons.items()]


def difference_within(within: tuple[float, float]) -> tuple[float, float]:
    """Return lowest and highest possible difference of two values that lie within a range."""
    low, high = within
    return low - high, high - low


def _evaluate(rows: Rows, rule: Aggregation, total: _Total) -> Floats:
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


def _mean(values: Floats, total: _Total, weights: Floats | None = None) -> Floats:
    defined = ~np.isnan(values)
    weight = np.where(defined, 1.0 if weights is None else np.nan_to_num(weights), 0.0)
    terms = np.where(defined, values, 0.0) * weight
    return _divide(total(terms), total(weight))


def _mean_over_classes(values: Floats, labels: Sequence[str], total: _Total) -> Floats:
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


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
