"""Confidence intervals of data-set values and of differences, from the values of sequences.

A data-set value is an aggregate of columns, one value per sequence. Its standard error comes from
leaving out one sequence at a time (the jackknife), which serves every aggregate alike; its interval is
that of Student's t on a scale without ends, so that the interval of a fraction stays within 0 and 1 and
is longer on the side where a fraction has more room. Resampled percentiles, the usual choice, hold the
true value too rarely with few sequences; `benchmarks/intervals` has both measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.student import cumulative, quantile
from vosbench.metrics.kernels.aggregation import Aggregation, Floats, Rows, aggregate, evaluate

LEVEL = 0.95
FEWEST = 3
"""Sequences that an interval takes: from two it would be about as wide as the range of the metric."""

TIE = 1e-12
"""Differences up to this are rounding of sums in another order, not a better result."""


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a data-set value, from the spread between its sequences.

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
        """Reason why there is no interval, in one line; None when there is one."""
        if not math.isnan(self.low):
            return None
        if self.sequences < FEWEST:
            return f"no interval: it takes at least {FEWEST} sequences with a value, here {self.sequences}"
        if self.error == 0:
            return f"no interval: all {self.sequences} sequences have the same value, so there is no spread"
        return "no interval: without one of the sequences there would be no value"


@dataclass(frozen=True)
class PairedComparison:
    """Two result folders on the sequences on which both have a value.

    Attributes:
        first, second: their data-set values on these sequences.
        difference: first minus second, in the unit of the metric.
        interval: interval of the difference.
        win_probability: probability that the first is better, 0.5 without evidence for either: the level at
            which a one-sided interval of the difference just ends at 0. It is above 0.975 or below 0.025
            exactly when the 95 % interval leaves 0 out. NaN with fewer than `FEWEST` sequences.
        sequences: names of the sequences compared, in the order of the first.
        left_out: sequences of either folder that lack a value in one of the two, in order.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    win_probability: float
    sequences: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def leave_one_out(rows: Rows, rule: Aggregation) -> Floats:
    """Return the data-set value without each of the n sequences in turn: (n,) float64, NaN where undefined.

    A sum is that of as many sequences: n times the mean of the others.

    Args:
        rows: the sequences that count.
        rule: aggregation of the sequences.

    Raises:
        ValueError: a sequence without a class under ``"classes"``.
    """
    n = len(rows)
    others = 1 - np.eye(n)

    def total(terms: Floats) -> Floats:
        return others @ terms

    scale = n / (n - 1) if rule.kind == "sum" and n > 1 else 1.0
    return scale * evaluate(rows, rule, total)


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
class JackknifeEstimate:
    """A value with its jackknife standard error, from which an interval follows.

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
        """Return the probability that the true value is above 0; the range must be even about 0."""
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
    independent. Student's t with the jackknife's standard error, see `JackknifeEstimate.interval`. Of 95 %
    intervals of J about 93 in 100 hold the true value with 3 to 10 sequences, about 94 with 20
    (`benchmarks/intervals/results/coverage.md`).

    Args:
        rows: the sequences that count; those without a value are left out.
        rule: aggregation of the sequences.
        level: share of such intervals that hold the true value, in (0, 1).

    Raises:
        ValueError: `level` outside (0, 1), or a sequence without a class.
    """
    _check(level)
    valued = {name: row for name, row in rows.items() if has_value(row, rule)}
    error = standard_error(leave_one_out(valued, rule)) if len(valued) >= FEWEST else math.nan
    estimate = JackknifeEstimate(aggregate(valued, rule), error, max(len(valued) - 1, 1), rule.within)
    return estimate.interval(len(valued), level)


def compare(
    first: Rows,
    second: Rows,
    rule: Aggregation,
    *,
    lower_is_better: bool = False,
    level: float = LEVEL,
) -> PairedComparison:
    """Compare two result folders in pairs: on the sequences on which both have a value.

    Hard sequences are hard for both, so the difference is known far better than either value. A sequence
    on which one of them has no value (T of empty masks) has no difference and is left out
    of both, which the tables of one folder do not do.

    Args:
        first: the sequences that count, of one folder.
        second: those of the other folder.
        rule: aggregation of the sequences.
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
    estimate = JackknifeEstimate(
        values[0] - values[1],
        standard_error(errors[0] - errors[1]) if len(names) >= FEWEST else math.nan,
        max(len(names) - 1, 1),
        difference_within(rule.within),
    )
    above = estimate.probability_above_zero()
    return PairedComparison(
        first=values[0],
        second=values[1],
        difference=estimate.value,
        interval=estimate.interval(len(names), level),
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
        if all(
            name in rows and all(_known(rows[name].get(column)) for column in columns) for rows in everything
        )
    )
    return kept, tuple(name for name in names if name not in set(kept))


def has_value(row: Mapping[str, float | None], rule: Aggregation) -> bool:
    """Return whether a sequence has a value that an aggregation takes."""
    return any(_known(row.get(name)) for name in rule.columns)


def interval_notes(intervals: Mapping[str, Interval]) -> list[str]:
    """Return one line per reason why metrics have no interval.

    Args:
        intervals: metric -> interval.
    """
    reasons: dict[str, list[str]] = {}
    for metric, note in ((metric, item.note) for metric, item in intervals.items()):
        if note is not None:
            reasons.setdefault(note, []).append(metric)
    return [f"{', '.join(metrics)}: {reason}" for reason, metrics in reasons.items()]


def difference_within(within: tuple[float, float]) -> tuple[float, float]:
    """Return lowest and highest possible difference of two values that lie within a range."""
    low, high = within
    return low - high, high - low


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
