"""What several seeds say: a value with its interval, and whether one row is better than another.

Both ways in which a number could have come out otherwise are redrawn at once: other sequences, and
other seeds. Sequences are drawn in common for all seeds and both rows, seeds in common for both rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vosbench.benchmark.statistics import (
    LEVEL,
    RESAMPLES,
    Aggregation,
    Floats,
    Interval,
    Rows,
    aggregate,
    draw_counts,
    resample,
)
from vosbench.benchmark.suite_pooled import RESAMPLES as POOLED_RESAMPLES
from vosbench.benchmark.suite_pooled import Pooled

Verdict = Literal["yes", "no", "unclear"]

Rule = Callable[[Sequence[str]], Aggregation | Pooled]
"""Names of the sequences -> how their values are brought together."""

BySeed = Mapping[int, Rows]
"""Seed -> sequence -> column -> value."""

# The draw of the seeds must not be that of the sequences.
_SEEDS_DRAW = 1


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
    """First minus second, so that above 0 means that the first is the better one.

    Attributes:
        mean: over seeds.
        by_seed: of each seed.
        interval: of the mean.
        share: of the resamples in which the first is ahead, ties counting half.
    """

    mean: float
    by_seed: Mapping[int, float]
    interval: Interval
    share: float

    def holds(self, *, strict: bool) -> Verdict:
        """Judge ``first >= second``, or with `strict` ``first > second``.

        ``yes`` and ``no`` when the whole interval says so. A single seed says nothing about others:
        ``unclear``.
        """
        low, high = self.interval.low, self.interval.high
        if len(self.by_seed) < 2 or math.isnan(low):
            return "unclear"
        if low > 0 or (low == 0 and not strict):
            return "yes"
        if high < 0 or (high == 0 and strict):
            return "no"
        return "unclear"


def seeded_value(rows: BySeed, rule: Rule) -> SeededValue:
    """Return the value of a row, its interval by a bootstrap over seeds and sequences.

    Args:
        rows: the sequences of every seed; those that a seed lacks are left out.
        rule: how sequences are brought together.
    """
    common, chosen = _common([rows], rule)
    by_seed = {seed: _value(each, chosen) for seed, each in common[0].items()}
    drawn = _draw(common[0], chosen)
    return SeededValue(_mean(by_seed), by_seed, _interval(drawn, _sequences(common)))


def seeded_difference(
    first: BySeed, second: BySeed, rule: Rule, *, lower_is_better: bool = False
) -> SeededDifference:
    """Compare two rows on the seeds and sequences that both have.

    Args:
        first: the sequences of every seed of one row.
        second: those of the other.
        rule: how sequences are brought together.
        lower_is_better: direction of the metric.

    Raises:
        ValueError: no seed in common.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise ValueError("the two rows have no seed in common")
    (one, other), chosen = _common([{seed: row[seed] for seed in seeds} for row in (first, second)], rule)
    sign = -1.0 if lower_is_better else 1.0
    by_seed = {seed: sign * (_value(one[seed], chosen) - _value(other[seed], chosen)) for seed in one}
    drawn = sign * (_draw(one, chosen) - _draw(other, chosen))
    defined = drawn[~np.isnan(drawn)]
    share = float(((defined > 0) + 0.5 * (defined == 0)).mean()) if len(defined) else math.nan
    interval = _interval(drawn, _sequences([one]))
    return SeededDifference(_mean(by_seed), by_seed, interval, share)


def _common(given: Sequence[BySeed], rule: Rule) -> tuple[list[BySeed], Aggregation | Pooled]:
    """Keep the sequences that every seed of every row has."""
    everything = [rows for by_seed in given for rows in by_seed.values()]
    names = [name for name in everything[0] if all(name in rows for rows in everything)]
    kept: list[BySeed] = [
        {seed: {name: rows[name] for name in names} for seed, rows in by_seed.items()} for by_seed in given
    ]
    return kept, rule(names)


def _value(rows: Rows, rule: Aggregation | Pooled) -> float:
    return rule.value(rows) if isinstance(rule, Pooled) else aggregate(rows, rule)


def _draw(by_seed: BySeed, rule: Aggregation | Pooled) -> Floats:
    """Return the mean over seeds of every resample, (R,)."""
    if not _sequences([by_seed]):
        return np.full(RESAMPLES, math.nan)
    values = np.stack(_redrawn(by_seed, rule), axis=1)
    seeds = draw_counts(len(by_seed), len(values), _SEEDS_DRAW)
    return np.asarray((values * seeds).sum(axis=1) / len(by_seed))


def _redrawn(by_seed: BySeed, rule: Aggregation | Pooled) -> list[Floats]:
    """Return every seed's value of every resample of the sequences, (R,) each."""
    number = _sequences([by_seed])
    if not isinstance(rule, Pooled):
        sequences = draw_counts(number, RESAMPLES)
        return [resample(rows, rule, sequences) for rows in by_seed.values()]
    if not all(rule.draws_sequences(rows) for rows in by_seed.values()):
        # too many frames: the seeds alone are redrawn, and one of them says nothing
        only = [rule.value(rows) if len(by_seed) > 1 else math.nan for rows in by_seed.values()]
        return [np.full(POOLED_RESAMPLES, value) for value in only]
    sequences = draw_counts(number, POOLED_RESAMPLES)
    return [rule.resample(rows, sequences) for rows in by_seed.values()]


def _sequences(given: Sequence[BySeed]) -> int:
    return len(next(iter(given[0].values()), {}))


def _interval(drawn: Floats, sequences: int) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if sequences < 2 or not len(defined):
        return Interval(math.nan, math.nan, sequences)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), sequences)


def _mean(by_seed: Mapping[int, float]) -> float:
    return math.fsum(by_seed.values()) / len(by_seed) if by_seed else math.nan
