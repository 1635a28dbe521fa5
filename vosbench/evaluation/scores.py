"""Scores of result folders, with intervals, and comparisons of two scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vosbench import __version__
from vosbench.errors import InputError
from vosbench.evaluation.results.reader import Missing
from vosbench.evaluation.statistics import Interval, PairedComparison, compare, interval, interval_notes
from vosbench.metrics.specs import value_spec
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import (
    METRIC_VERSION,
    SequenceScore,
    aggregation,
    counted_rows,
    metric_names,
    without_nan,
)

Table = tuple[list[str], list[tuple[str, list[float | None]]]]
"""Column titles, and rows: name and values, None where there is none."""


@dataclass(frozen=True)
class Score:
    """Values of a result folder under a protocol.

    Attributes:
        dataset: label of the edition, e.g. ``"davis16"`` or ``"davis16-mini"``.
        split: e.g. ``"val"``.
        protocol: protocol id.
        sequences: sequence -> its score, in the order of the split.
        overall: metric -> value of the data set, a fraction, NaN where undefined.
        intervals: metric -> 95 % interval of the value, from the spread between sequences.
        notes: one line each on how the files were understood and what was left out.
        of: number of sequences of the split, of which these were scored.
        missing: treatment of missing frames.
        threshold: value above which a soft mask was foreground; None without one.
    """

    dataset: str
    split: str
    protocol: str
    sequences: Mapping[str, SequenceScore]
    overall: Mapping[str, float]
    intervals: Mapping[str, Interval]
    notes: tuple[str, ...] = ()
    of: int = 0
    missing: Missing = "error"
    threshold: float | None = None

    def content(self) -> dict[str, Any]:
        """Return values and provenance as plain data; undefined values are None."""
        rules = load_protocol(self.protocol)
        return {
            "dataset": self.dataset,
            "split": self.split,
            "protocol": self.protocol,
            "sequences": {name: without_nan(score.values) for name, score in self.sequences.items()},
            "overall": without_nan(self.overall),
            "intervals": {
                name: list(without_nan({"low": ends.low, "high": ends.high}).values())
                for name, ends in self.intervals.items()
            },
            "partial": len(self.sequences) < self.of,
            "coverage": {"scored": list(self.sequences), "of": self.of},
            "reading": {"missing": self.missing, "threshold": self.threshold},
            "rules": rules.definition(),
            "versions": {"vosbench": __version__, "protocol": rules.version, "metrics": METRIC_VERSION},
            "notes": list(self.notes),
        }

    def table(self) -> Table:
        """Return a row per sequence, the data-set values and the two ends of their intervals."""
        names = list(self.overall)
        low = {name: interval.low for name, interval in self.intervals.items()}
        high = {name: interval.high for name, interval in self.intervals.items()}
        lines = [(name, score.values) for name, score in self.sequences.items()]
        lines += [("overall", self.overall), ("95 % from", low), ("95 % to", high)]
        rows = [(title, [values.get(name) for name in names]) for title, values in lines]
        return ["sequence", *names], rows

    def to_json(self) -> str:
        """Return the values as JSON text."""
        return json.dumps(self.content(), indent=1) + "\n"


@dataclass(frozen=True)
class ScorePair:
    """Two result folders on the sequences of one data set.

    Attributes:
        first, second: their scores.
        comparisons: metric -> both values, their difference and its interval, on the sequences where both
            have a value, and the probability that the first is better.
    """

    first: Score
    second: Score
    comparisons: Mapping[str, PairedComparison]

    @property
    def notes(self) -> tuple[str, ...]:
        """One line each on the sequences left out of a difference, and on why one has no interval."""
        without: dict[tuple[str, ...], list[str]] = {}
        for metric, comparison in self.comparisons.items():
            if comparison.left_out:
                without.setdefault(comparison.left_out, []).append(metric)
        left_out = [
            f"{', '.join(metrics)}: A, B and A - B are without {', '.join(names)}, where one has no value"
            for names, metrics in without.items()
        ]
        intervals = {metric: comparison.interval for metric, comparison in self.comparisons.items()}
        return (*left_out, *interval_notes(intervals))

    def table(self) -> Table:
        """Return a row per metric: both values, their difference, its interval, and how sure the first is."""
        header = ["metric", "A", "B", "A - B", "95 % from", "95 % to", "P(A is better)"]
        return header, [
            (
                metric,
                [
                    *(item.first, item.second, item.difference),
                    *(item.interval.low, item.interval.high, item.win_probability),
                ],
            )
            for metric, item in self.comparisons.items()
        ]

    def to_json(self) -> str:
        """Return both scores and the comparison as JSON text; undefined values are null."""
        comparisons = {
            name: {
                **without_nan(
                    {
                        "first": comparison.first,
                        "second": comparison.second,
                        "difference": comparison.difference,
                        "low": comparison.interval.low,
                        "high": comparison.interval.high,
                        "win_probability": comparison.win_probability,
                    }
                ),
                "sequences": list(comparison.sequences),
                "left_out": list(comparison.left_out),
            }
            for name, comparison in self.comparisons.items()
        }
        content = {
            "first": self.first.content(),
            "second": self.second.content(),
            "comparison": comparisons,
            "notes": list(self.notes),
        }
        return json.dumps(content, indent=1) + "\n"


def compare_scores(first: Score, second: Score) -> ScorePair:
    """Compare two scores of the same data set and protocol, sequence by sequence.

    A sequence on which one of the two has no value of a metric (T of an empty mask) is left out of that
    metric for both, see `ScorePair.notes`.

    Raises:
        InputError: another data set, split or protocol, or no sequence in common.
    """
    for key in ("dataset", "split", "protocol"):
        if getattr(first, key) != getattr(second, key):
            raise InputError(
                f"the scores differ in {key}: {getattr(first, key)} and {getattr(second, key)}; "
                "only scores of the same data and protocol can be compared"
            )
    rules = load_protocol(first.protocol)
    if rules.average == "pooled":
        raise InputError(
            f"protocol {rules.id} pools the frames of all sequences, so two folders cannot be compared "
            "sequence by sequence; score them one by one"
        )
    common = [name for name in first.sequences if name in second.sequences]
    scored = [{name: score.sequences[name] for name in common} for score in (first, second)]
    comparisons = {}
    for name in metric_names(first.sequences):
        # which sequences count may depend on which there are, and must be the same for both
        ours, theirs = (counted_rows(scores, name, rules) for scores in scored)
        rule = aggregation(name, ours, rules)
        comparisons[name] = compare(ours, theirs, rule, lower_is_better=not value_spec(name).higher_is_better)
    return ScorePair(first, second, comparisons)


def intervals_of(scores: Mapping[str, SequenceScore], protocol: Protocol) -> dict[str, Interval]:
    """Return metric -> interval of its data-set value; none for protocols that pool all frames."""
    intervals: dict[str, Interval] = {}
    if protocol.average == "pooled":
        return intervals
    for name in metric_names(scores):
        rows = counted_rows(scores, name, protocol)
        intervals[name] = interval(rows, aggregation(name, rows, protocol))
    return intervals
