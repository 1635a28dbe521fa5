"""Coverage of 95 % intervals by number of sequences.

    OMP_NUM_THREADS=1 python benchmarks/intervals/coverage.py        # writes results/coverage.md, minutes

Sequences are drawn from a population whose value is known, an interval is made from each draw, and the
intervals that hold the value are counted. Populations are the per-sequence values that others published for
DAVIS 2016 val (`leaderboards/third_party`), the pairs of these methods, and beta distributions. "vosbench" is
the interval of `vosbench.evaluation.statistics`; the others are textbook intervals of the same draws.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.ablations.statistics import seeded_difference, seeded_value
from vosbench.evaluation.statistics import Interval, compare, interval
from vosbench.evaluation.student import quantile
from vosbench.leaderboard.published import load_published
from vosbench.leaderboard.tables import markdown_table
from vosbench.metrics.kernels.aggregation import Aggregation

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Values]
"""Random numbers, n -> values of n sequences."""

SIZES = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
RESULTS = Path(__file__).parent / "results"
FRACTION = (0.0, 1.0)
RESAMPLES = 1000


def published(metric: str) -> dict[str, Values]:
    """Method -> its values of the sequences of DAVIS 2016 val."""
    methods: dict[str, dict[str, float]] = {}
    for record in load_published():
        value = record.values.get(metric)
        if record.dataset == "davis16" and value is not None:
            methods.setdefault(record.model, {})[record.sequence] = value
    return {name: np.array([rows[sequence] for sequence in sorted(rows)]) for name, rows in methods.items()}


def drawn_from(values: Values) -> Draw:
    return lambda random, n: values[random.integers(len(values), size=n)]


def rows(values: Sequence[float] | Values, column: str = "J") -> dict[str, dict[str, float | None]]:
    return {f"s{index}": {column: float(value)} for index, value in enumerate(values)}


def textbook(values: Values, within: tuple[float, float], random: np.random.Generator) -> dict[str, Interval]:
    """Intervals of a mean by other methods, cut at the ends of the range."""
    n, mean = len(values), values.mean()
    error = values.std(ddof=1) / math.sqrt(n)
    drawn = values[random.integers(n, size=(RESAMPLES, n))]
    means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / math.sqrt(n)
    half = quantile(0.975, n - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = np.nan_to_num((means - mean) / errors, nan=0.0, posinf=1e9, neginf=-1e9)
    low, high = np.quantile(studentised, [0.025, 0.975])
    ends = {
        "percentile": tuple(np.quantile(means, [0.025, 0.975])),
        "BCa": bca(values, means),
        "bootstrap-t": (mean - high * error, mean - low * error),
        "t": (mean - half, mean + half),
    }
    return {
        name: Interval(max(float(a), within[0]), min(float(b), within[1]), n) for name, (a, b) in ends.items()
    }


def bca(values: Values, means: Values) -> tuple[float, float]:
    """Bias-corrected and accelerated percentiles (Efron, 1987)."""
    from scipy.special import ndtr, ndtri

    mean, spread = values.mean(), values - values.mean()
    if not spread.any():
        return float(mean), float(mean)
    below = (means < mean - 1e-12).mean() + (abs(means - mean) <= 1e-12).mean() / 2
    bias = ndtri(min(max(below, 1e-4), 1 - 1e-4))
    acceleration = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    z = bias + ndtri(np.array([0.025, 0.975]))
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


class Tally:
    """Counts of intervals by method."""

    def __init__(self) -> None:
        self._held: dict[str, list[bool]] = {}
        self._widths: dict[str, list[float]] = {}

    def add(self, name: str, bounds: Interval, truth: float) -> None:
        """Count an interval; one that was refused is not counted."""
        if math.isnan(bounds.low):
            return
        self._held.setdefault(name, []).append(bounds.low - 1e-9 <= truth <= bounds.high + 1e-9)
        self._widths.setdefault(name, []).append(bounds.high - bounds.low)

    def cell(self, name: str) -> str:
        """Share of intervals that held the truth, and the median width."""
        if name not in self._held:
            return "-"
        return f"{np.mean(self._held[name]):.3f} ({np.median(self._widths[name]):.2f})"

    def share(self, name: str) -> float:
        return float(np.mean(self._held[name]))


def of_means(draws: Mapping[str, tuple[Draw, float]], n: int, trials: int, seed: int = 0) -> Tally:
    """Intervals of means of fractions; `draws` are name -> (draw, true mean)."""
    tally, rule = Tally(), Aggregation("mean", ("J",), within=FRACTION)
    random = np.random.default_rng([seed, n])
    for draw, truth in draws.values():
        for _ in range(trials):
            values = draw(random, n)
            if not np.ptp(values):
                continue
            tally.add("vosbench", interval(rows(values), rule), truth)
            for name, other in textbook(values, FRACTION, random).items():
                tally.add(name, other, truth)
    return tally


def of_differences(pairs: Sequence[tuple[Values, Values]], n: int, trials: int, seed: int = 0) -> Tally:
    """Intervals of paired differences of two methods."""
    tally, rule = Tally(), Aggregation("mean", ("J",), within=FRACTION)
    random = np.random.default_rng([seed, n])
    for first, second in pairs:
        truth = float((first - second).mean())
        for _ in range(trials):
            drawn = random.integers(len(first), size=n)
            one, other = first[drawn], second[drawn]
            if not np.ptp(one - other):
                continue
            tally.add("vosbench", compare(rows(one), rows(other), rule).interval, truth)
            for name, textbook_interval in textbook(one - other, (-1.0, 1.0), random).items():
                tally.add(name, textbook_interval, truth)
    return tally


def of_kinds(n: int, trials: int, seed: int = 0) -> Tally:
    """Intervals of the other aggregates, of beta-distributed sequences; T of log-normal ones."""
    tally, random = Tally(), np.random.default_rng([seed, n])
    weighted = Aggregation("mean", ("J",), weights="objects", within=FRACTION)
    harmonic = Aggregation("harmonic", ("P", "R"), within=FRACTION)
    of = {f"s{index}": f"class {index % 5}" for index in range(n)}
    classes = Aggregation("classes", ("J",), classes=of, within=FRACTION)
    for _ in range(trials):
        objects = random.integers(1, 6, size=n)
        # the more objects, the harder: the mean over objects is that of beta(5 / objects, 2)
        values = random.beta(5 / objects, 2)
        table = {
            f"s{index}": {"J": float(value), "objects": float(weight)}
            for index, (value, weight) in enumerate(zip(values, objects, strict=True))
        }
        truth = sum(k * (5 / k) / (5 / k + 2) for k in range(1, 6)) / 15
        tally.add("mean over objects", interval(table, weighted), truth)

        hard = random.beta(2, 2, size=n)
        both = {
            f"s{index}": {"P": float(p), "R": float(r)}
            for index, (p, r) in enumerate(zip(np.sqrt(hard), hard, strict=True))
        }
        p, r = math.gamma(2.5) * math.gamma(4) / (math.gamma(2) * math.gamma(4.5)), 0.5
        tally.add("F of means", interval(both, harmonic), 2 * p * r / (p + r))

        levels = np.arange(n) % 5
        tally.add("mean over 5 classes", interval(rows(random.beta(2 + levels, 2)), classes), _of_classes())

        counts = rows(random.poisson(2.0, size=n).astype(np.float64))
        positive = (0.0, math.inf)
        tally.add(
            "sum",
            interval(counts, Aggregation("sum", ("J",), within=positive)),
            2.0 * n,
        )

        jumps = np.exp(random.normal(-1.0, 0.6, size=n))
        rule = Aggregation("mean", ("J",), within=positive)
        tally.add("T (log-normal)", interval(rows(jumps), rule), math.exp(-1.0 + 0.18))
    return tally


def _of_classes() -> float:
    return sum((2 + level) / (4 + level) for level in range(5)) / 5


def of_seeds(seeds: int, n: int, trials: int, *, of_seed: float, of_both: float, seed: int = 0) -> Tally:
    """Intervals over seeds and sequences: a normal effect of either and of both together."""
    tally, random = Tally(), np.random.default_rng([seed, seeds, n])

    def rule(_: Sequence[str]) -> Aggregation:
        return Aggregation("mean", ("J",), within=(-math.inf, math.inf))

    def one(sequences: Values) -> dict[int, dict[str, dict[str, float | None]]]:
        return {
            number: rows(sequences + random.normal(0, of_seed) + random.normal(0, of_both, n))
            for number in range(seeds)
        }

    for _ in range(trials):
        sequences = random.normal(0.5, 0.2, n)
        first, second = one(sequences), one(sequences + random.normal(0, 0.1, n))
        tally.add("value", seeded_value(first, rule).interval, 0.5)
        tally.add("difference", seeded_difference(first, second, rule).interval, 0.0)
    return tally


def populations(metric: str) -> dict[str, tuple[Draw, float]]:
    return {name: (drawn_from(values), float(values.mean())) for name, values in published(metric).items()}


def beta(a: float, b: float) -> dict[str, tuple[Draw, float]]:
    return {"beta": (lambda random, n: random.beta(a, b, n), a / (a + b))}


def pairs_of(metric: str, number: int = 60) -> list[tuple[Values, Values]]:
    methods = list(published(metric).values())
    random = np.random.default_rng(0)
    drawn = [random.choice(len(methods), 2, replace=False) for _ in range(number)]
    return [(methods[a], methods[b]) for a, b in drawn]


def table(title: str, columns: Sequence[str], tallies: Mapping[str, Tally]) -> str:
    body = [[n, *(tally.cell(name) for name in columns)] for n, tally in tallies.items()]
    return f"## {title}\n\n{markdown_table(['sequences', *columns], body, 'r' * (1 + len(columns)))}"


def report(trials: int) -> str:
    """Return all tables as Markdown; `trials` draws per number of sequences and table."""
    methods = ("vosbench", "t", "bootstrap-t", "BCa", "percentile")
    groups = {
        f"J, {len(published('J_mean'))} published methods": populations("J_mean"),
        f"F, {len(published('F_mean'))} published methods": populations("F_mean"),
        "J, beta(5, 2)": beta(5, 2),
        "J near 1, beta(9, 1)": beta(9, 1),
        "J of hit or miss, beta(0.6, 0.6)": beta(0.6, 0.6),
        "recall of J, published methods": populations("J_recall"),
    }
    parts = [_header(trials)]
    for title, draws in groups.items():
        draws_each = max(trials // len(draws), 1)
        parts.append(table(title, methods, {str(n): of_means(draws, n, draws_each) for n in SIZES}))
    pairs = pairs_of("J_mean")
    draws_each = max(trials // len(pairs), 1)
    differences = {str(n): of_differences(pairs, n, draws_each) for n in SIZES}
    parts.append(table(f"difference of J, {len(pairs)} pairs of published methods", methods, differences))
    kinds = ("mean over objects", "F of means", "mean over 5 classes", "sum", "T (log-normal)")
    parts.append(table("other aggregates, vosbench", kinds, {str(n): of_kinds(n, trials) for n in SIZES[1:]}))
    for title, of_seed, of_both in (
        ("seeds matter little", 0.01, 0.02),
        ("seeds matter as much as sequences", 0.05, 0.02),
        ("each seed has its own lucky sequences", 0.0, 0.15),
    ):
        tallies = {
            f"{n}, {seeds} seeds": of_seeds(seeds, n, trials // 4, of_seed=of_seed, of_both=of_both)
            for seeds in (2, 3, 5)
            for n in (3, 5, 10, 20)
        }
        parts.append(table(f"suites, {title}", ("value", "difference"), tallies))
    return "\n\n".join(parts) + "\n"


HEADER = """\
# How often 95 % intervals hold the true value

`python benchmarks/intervals/coverage.py --trials {trials}`: share of the intervals that hold the true value,
in brackets their median width. About {trials} draws for each number; by chance 0.95 moves by {chance:.3f}.

Published populations have 20 sequences each, so that few draws are of few different values; a method whose
one failure was not drawn looks better than it is to every interval. Draws of equal values are left out:
vosbench gives no interval for them, the others give a point. For 2 sequences vosbench gives none either:
Student's t on one degree of freedom takes most of the range. Bootstraps have {resamples} resamples;
bootstrap-t and t are cut at the ends of the range."""


def _header(trials: int) -> str:
    chance = math.sqrt(0.95 * 0.05 / trials)
    return HEADER.format(trials=trials, resamples=RESAMPLES, chance=chance)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=RESULTS / "coverage.md")
    arguments = parser.parse_args()
    text = report(arguments.trials)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
