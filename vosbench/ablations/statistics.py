"""Statistics over seeds: a value with its interval, and the difference of two rows.

A number could have come out otherwise in two ways, with other sequences and with other seeds. The
variances of both are added, each estimated from its own spread; what belongs to neither alone, a seed
that is lucky on one sequence, is in both, so that intervals are rather too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vosbench.ablations.pooled import Pooled
from vosbench.evaluation.statistics import (
    FEWEST,
    TIE,
    Interval,
    JackknifeEstimate,
    difference_within,
    has_value,
    leave_one_out,
    paired,
    standard_error,
)
from vosbench.metrics.kernels.aggregation import Aggregation, Floats, Rows, aggregate

Verdict = Literal["yes", "no", "unclear"]

Rule = Callable[[Sequence[str]], Aggregation | Pooled]
"""Names of the sequences -> rule that makes one value of theirs."""

BySeed = Mapping[int, Rows]
"""Seed -> sequence -> column -> value."""


@dataclass(frozen=True)
class SeededValue:
    """A data-set value over seeds.

    Attributes:
        mean: over seeds, on the sequences that all seeds have.
        by_seed: value of each seed.
        interval: of the mean.
    """

    mean: float
    by_seed: Mapping[int, float]
    interval: Interval


@dataclass(frozen=True)
class SeededDifference:
    """Difference of two rows, first minus second; above 0 the first is better.

    Attributes:
        mean: over seeds.
        by_seed: of each seed.
        interval: of the mean.
        share: probability that the first is ahead, see `vosbench.evaluation.statistics.PairedComparison`.
        left_out: sequences that lack a value in one of the rows with one of the seeds.
    """

    mean: float
    by_seed: Mapping[int, float]
    interval: Interval
    share: float
    left_out: tuple[str, ...] = ()

    def holds(self, *, strict: bool) -> Verdict:
        """Judge ``first >= second``, or with `strict` ``first > second``.

        ``yes`` and ``no`` when the whole interval is on one side, or when all seeds and sequences agree.
        A single seed allows no verdict: ``unclear``.
        """
        if len(self.by_seed) < 2 or math.isnan(self.share):
            return "unclear"
        if self.interval.error == 0:
            return "yes" if self.mean > TIE or (self.mean >= -TIE and not strict) else "no"
        if self.interval.low > 0:
            return "yes"
        return "no" if self.interval.high < 0 else "unclear"


def seeded_value(rows: BySeed, rule: Rule) -> SeededValue:
    """Return the value of a row, its interval over seeds and sequences.

    Args:
        rows: the sequences of every seed; those that a seed lacks are left out.
        rule: makes one value of the sequences.
    """
    names = _common([rows])
    kept, combined = _only(rows, names), rule(names)
    by_seed = {seed: _value(sequences, combined) for seed, sequences in kept.items()}
    estimate = _estimate(by_seed, list(kept.values()), combined)
    return SeededValue(estimate.value, by_seed, estimate.interval(len(names)))


def seeded_difference(
    first: BySeed, second: BySeed, rule: Rule, *, lower_is_better: bool = False
) -> SeededDifference:
    """Compare two rows on the seeds that both have and the sequences on which all of these have a value.

    Args:
        first: the sequences of every seed of one row.
        second: those of the other.
        rule: makes one value of the sequences.
        lower_is_better: direction of the metric.

    Raises:
        ValueError: no seed in common.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError("the two rows have no seed in common")
    pair = [{seed: row[seed] for seed in seeds} for row in (first, second)]
    names = _common(pair)
    left_out: tuple[str, ...] = ()
    combined = rule(names)
    if isinstance(combined, Aggregation):
        everything = [rows for by_seed in pair for rows in by_seed.values()]
        names, left_out = paired(everything, combined.columns)
        combined = rule(names)
    one, other = (_only(row, names) for row in pair)
    sign = -1.0 if lower_is_better else 1.0
    by_seed = {seed: sign * (_value(one[seed], combined) - _value(other[seed], combined)) for seed in seeds}
    estimate = _estimate(by_seed, [one[seed] for seed in seeds], combined, [other[seed] for seed in seeds])
    return SeededDifference(
        estimate.value,
        by_seed,
        estimate.interval(len(names)),
        estimate.probability_above_zero(),
        left_out,
    )


def _common(rows: Sequence[BySeed]) -> tuple[str, ...]:
    """Return the sequences that every seed of every row has."""
    everything = [sequences for by_seed in rows for sequences in by_seed.values()]
    return tuple(name for name in everything[0] if all(name in sequences for sequences in everything))


def _only(by_seed: BySeed, names: Sequence[str]) -> BySeed:
    return {seed: {name: rows[name] for name in names} for seed, rows in by_seed.items()}


def _value(rows: Rows, rule: Aggregation | Pooled) -> float:
    return rule.value(rows) if isinstance(rule, Pooled) else aggregate(rows, rule)


def _estimate(
    by_seed: Mapping[int, float],
    rows: Sequence[Rows],
    rule: Aggregation | Pooled,
    others: Sequence[Rows] | None = None,
) -> JackknifeEstimate:
    """Return the mean over seeds with the error of both seeds and sequences.

    Args:
        by_seed: values, or differences.
        rows: of every seed.
        rule: makes one value of the sequences.
        others: of every seed, when `by_seed` are differences from these.
    """
    value = math.fsum(by_seed.values()) / len(by_seed)
    within = rule.within if others is None else difference_within(rule.within)
    of_seeds = _error_of_seeds(list(by_seed.values()))
    of_sequences, sequences = _error_of_sequences(rows, rule, others)
    parts = [(of_seeds, len(by_seed) - 1), (of_sequences, sequences - 1)]
    known = [(error, freedom) for error, freedom in parts if error is not None]
    unknown = not known or any(math.isnan(part) for part, _ in known)
    error = math.nan if unknown else math.hypot(*(part for part, _ in known))
    return JackknifeEstimate(value, error, _freedom(error, known), within)


def _error_of_seeds(values: Sequence[float]) -> float | None:
    """Return the standard error that seeds leave in a mean over seeds; None for one, which has no spread."""
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return 0.0 if error <= TIE else error


def _error_of_sequences(
    rows: Sequence[Rows], rule: Aggregation | Pooled, others: Sequence[Rows] | None
) -> tuple[float | None, int]:
    """Return the standard error that sequences leave in a mean over seeds, and how many they are.

    None when there are too many frames to pool them again without each sequence; NaN for too few sequences.
    """
    if isinstance(rule, Aggregation):
        valued = [name for name in rows[0] if any(has_value(row[name], rule) for row in rows)]
        rows = [{name: row[name] for name in valued} for row in rows]
    sequences = len(rows[0])
    if sequences < FEWEST:
        return math.nan, sequences
    if isinstance(rule, Pooled) and not all(map(rule.leaves_out, [*rows, *(others or ())])):
        return None, sequences
    without = _left_out(rows, rule) if others is None else _left_out(rows, rule) - _left_out(others, rule)
    return standard_error(without), sequences


def _left_out(rows: Sequence[Rows], rule: Aggregation | Pooled) -> Floats:
    """Return the mean over seeds without each sequence in turn, (n,)."""
    values = [
        rule.leave_one_out(row) if isinstance(rule, Pooled) else leave_one_out(row, rule) for row in rows
    ]
    return np.asarray(np.mean(values, axis=0))


def _freedom(error: float, parts: Sequence[tuple[float, int]]) -> float:
    """Return the degrees of freedom of a sum of variances, after Satterthwaite (1946); at least 1."""
    below = sum(part**4 / freedom for part, freedom in parts if part > 0)
    return max(error**4 / below, 1.0) if below > 0 else 1.0
