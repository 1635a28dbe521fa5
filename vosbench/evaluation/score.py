"""Scoring a folder of result masks against a data set."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vosbench import __version__
from vosbench.data.catalogue import dataset_spec, open_dataset, scoring_protocols
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.evaluation.detections import DetectionFolder
from vosbench.evaluation.results.files import few
from vosbench.evaluation.results.places import found_names, other_names_note
from vosbench.evaluation.results.reader import Missing, ResultFolder, SequenceMasks
from vosbench.evaluation.results.shift import ShiftSearch, recent, shift_words
from vosbench.evaluation.statistics import Comparison, Interval, compare, interval, interval_notes
from vosbench.executors.local import choose_workers, grouped_notes, run_tasks
from vosbench.metrics.specs import value_spec
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import (
    METRIC_VERSION,
    SequenceScore,
    aggregation,
    counted_rows,
    metric_names,
    overall,
    score_sequence,
    summary_notes,
    without_nan,
)
from vosbench.video import IdMap, LazySequence

Progress = Callable[[int, int, str], None]
"""Called with the number of finished sequences, of all sequences, and the name of the last one."""


@dataclass(frozen=True)
class Score:
    """What a result folder scored.

    Attributes:
        dataset: label of the edition, e.g. ``"davis16"`` or ``"davis16-mini"``.
        split: e.g. ``"val"``.
        protocol: protocol id.
        sequences: sequence -> its score, in the order of the split.
        overall: metric -> value of the data set, a fraction, NaN where undefined.
        intervals: metric -> where the value lies with 95 % certainty, judged by its sequences.
        notes: one line each on how the files were understood and what was left out.
        of: number of sequences of the split, of which these were scored.
        missing: what a missing frame was taken for.
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
        """Return the values, and what they were taken from, as plain data; undefined ones are None."""
        rules = load_protocol(self.protocol)
        return {
            "dataset": self.dataset,
            "split": self.split,
            "protocol": self.protocol,
            "sequences": {name: without_nan(score.values) for name, score in self.sequences.items()},
            "overall": without_nan(self.overall),
            "intervals": {
                name: list(without_nan({"low": each.low, "high": each.high}).values())
                for name, each in self.intervals.items()
            },
            "partial": len(self.sequences) < self.of,
            "coverage": {"scored": list(self.sequences), "of": self.of},
            "reading": {"missing": self.missing, "threshold": self.threshold},
            "rules": rules.definition(),
            "versions": {"vosbench": __version__, "protocol": rules.version, "metrics": METRIC_VERSION},
            "notes": list(self.notes),
        }

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
    comparisons: Mapping[str, Comparison]

    @property
    def notes(self) -> tuple[str, ...]:
        """One line each on the sequences left out of a difference, and on why one has no interval."""
        without: dict[tuple[str, ...], list[str]] = {}
        for metric, each in self.comparisons.items():
            if each.left_out:
                without.setdefault(each.left_out, []).append(metric)
        left_out = [
            f"{', '.join(metrics)}: A, B and A - B are without {', '.join(names)}, where one has no value"
            for names, metrics in without.items()
        ]
        found = {metric: each.interval for metric, each in self.comparisons.items()}
        return (*left_out, *interval_notes(found))

    def to_json(self) -> str:
        """Return both scores and the comparison as JSON text; undefined values are null."""
        comparison = {
            name: {
                **without_nan(
                    {
                        "first": each.first,
                        "second": each.second,
                        "difference": each.difference,
                        "low": each.interval.low,
                        "high": each.interval.high,
                        "win_probability": each.win_probability,
                    }
                ),
                "sequences": list(each.sequences),
                "left_out": list(each.left_out),
            }
            for name, each in self.comparisons.items()
        }
        content = {
            "first": self.first.content(),
            "second": self.second.content(),
            "comparison": comparison,
            "notes": list(self.notes),
        }
        return json.dumps(content, indent=1) + "\n"


@dataclass(frozen=True)
class _Read:
    """What was learned of one sequence; `unproven` as in `SequenceMasks`, `step` as in `ShiftSearch`."""

    score: SequenceScore
    notes: tuple[str, ...] = ()
    unproven: bool = False
    step: int | None = None


@dataclass(frozen=True)
class _Task:
    dataset: str
    root: Path
    split: str
    index: int
    results: ResultFolder | DetectionFolder
    metrics: tuple[str, ...]
    call: str


def score(
    results: Path,
    dataset: str,
    *,
    split: str | None = None,
    protocol: str | None = None,
    data_root: Path | None = None,
    metrics: Sequence[str] | None = None,
    workers: int | None = None,
    missing: Missing = "error",
    threshold: float | None = None,
    sequences: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Score:
    """Score ``<results>/<sequence>/<frame>.png`` against a data set.

    Args:
        results: folder of masks, indexed or grey PNG.
        dataset: catalogue name.
        split: that of the protocol, else the data set's usual one, when None.
        protocol: protocol id; the data set's default when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        metrics: letters out of ``j f t``; all of the protocol when None.
        workers: processes, one sequence each at a time; one per core when None.
        missing: a missing frame is an error, or ``"empty"``.
        threshold: value, in the unit of the file, above which a soft mask is foreground.
        sequences: the sequences to score; all of the split when None.
        progress: called after every sequence.

    Raises:
        InputError: anything about the folder, the data or the options that cannot be used.
    """
    rules = choose_protocol(dataset, protocol)
    letters = rules.choose_metrics(None if metrics is None else tuple(metrics))
    opened = open_dataset(
        dataset, find_data_root(data_root), split or rules.split, **rules.reader_options(dataset)
    )
    chosen = choose_sequences(opened, sequences)
    folder = _open_results(Path(results), list(chosen), rules, missing, threshold)
    # files may change between two calls, not within one; forked workers find the data set opened
    call = uuid.uuid4().hex
    _remember(call, opened)
    tasks = [
        _Task(dataset, opened.root, opened.split, index, folder, letters, call) for index in chosen.values()
    ]
    read: dict[str, _Read] = {}

    def finished(result: tuple[str, _Read]) -> None:
        name, read[name] = result
        if progress is not None:
            progress(len(read), len(tasks), name)

    run_tasks(_score_one, tasks, choose_workers(workers, len(tasks)), finished)
    ordered = {name: read[name].score for name in chosen}
    notes = [(name, note) for name, each in read.items() for note in each.notes]
    notes += _shift_notes(Path(results), read, missing)
    intervals = intervals_of(ordered, rules)
    return Score(
        dataset=opened.label,
        split=opened.split,
        protocol=rules.id,
        sequences=ordered,
        overall=overall(ordered, rules),
        intervals=intervals,
        notes=(
            *folder.notes,
            *_other_names(folder, opened),
            *grouped_notes(notes, len(ordered)),
            *_summary_notes(opened, ordered, rules),
            *interval_notes(intervals),
        ),
        of=len(opened),
        missing=missing,
        threshold=threshold,
    )


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
    scored = [{name: each.sequences[name] for name in common} for each in (first, second)]
    comparisons = {}
    for name in metric_names(first.sequences):
        # which sequences count may depend on which there are, and must be the same for both
        ours, theirs = (counted_rows(each, name, rules) for each in scored)
        rule = aggregation(name, ours, rules)
        comparisons[name] = compare(ours, theirs, rule, lower_is_better=not value_spec(name).higher_is_better)
    return ScorePair(first, second, comparisons)


def _open_results(
    path: Path, sequences: list[str], protocol: Protocol, missing: Missing, threshold: float | None
) -> ResultFolder | DetectionFolder:
    if protocol.objects != "detections":
        return ResultFolder.open(path, sequences, protocol, missing=missing, threshold=threshold)
    if missing != "error" or threshold is not None:
        raise InputError(f"protocol {protocol.id} scores detections: leave out missing and threshold")
    return DetectionFolder.open(path, sequences, protocol)


def _other_names(folder: ResultFolder | DetectionFolder, opened: Dataset) -> list[str]:
    if isinstance(folder, DetectionFolder):
        found = found_names(folder.tree, "", detections=True)
    else:
        found = found_names(folder.tree, folder.root)
    known = [video.name for video in opened]
    note = other_names_note(found, known, f"{opened.label} {opened.split}")
    return [] if note is None else [note]


def intervals_of(scores: Mapping[str, SequenceScore], protocol: Protocol) -> dict[str, Interval]:
    """Return metric -> where its data-set value lies; nothing for protocols that pool all frames."""
    intervals: dict[str, Interval] = {}
    if protocol.average == "pooled":
        return intervals
    for name in metric_names(scores):
        rows = counted_rows(scores, name, protocol)
        intervals[name] = interval(rows, aggregation(name, rows, protocol))
    return intervals


def choose_sequences(dataset: Dataset, names: Sequence[str] | None) -> dict[str, int]:
    """Return sequence name -> index in `dataset`, of all or of those named.

    Raises:
        InputError: a name that is not in the split, or none at all.
    """
    indices = {video.name: index for index, video in enumerate(dataset)}
    if names is None:
        return indices
    if not names:
        raise InputError("no sequence to score was named")
    for name in names:
        if name not in indices:
            raise unknown_name(f"sequence of {dataset.label} {dataset.split}", name, indices)
    return {name: index for name, index in indices.items() if name in set(names)}


def choose_protocol(dataset: str, name: str | None) -> Protocol:
    """Return the protocol called `name`, or the default one of a data set.

    Raises:
        InputError: no such protocol, one made for other data sets, or none is named for a training set.
    """
    name = name or dataset_spec(dataset).protocol
    if name is None:
        raise InputError(f"{dataset} is a training set without a protocol; name one to score on it")
    protocol = load_protocol(name)
    if name not in scoring_protocols(dataset):
        raise InputError(
            f"protocol {name} is made for {', '.join(protocol.datasets)}, not for {dataset}; "
            f"choose from {', '.join(scoring_protocols(dataset)) or 'none'}"
        )
    return protocol


def _score_one(task: _Task) -> tuple[str, _Read]:
    video = _opened(task)[task.index]
    if isinstance(task.results, DetectionFolder):
        return video.name, _Read(task.results.score(video))
    rules = task.results.protocol
    masks = task.results.read(video)
    search = ShiftSearch(recent(video), rules) if masks.unproven else None
    ids = masks.ids if search is None else _observed(masks, search)
    try:
        scored = score_sequence(ids, video.annotations, rules, task.metrics, partial=masks.partial)
    except InputError as error:
        raise InputError(f"{video.name}: {error}") from None
    return video.name, _Read(scored, masks.notes, masks.unproven, None if search is None else search.step())


def _observed(masks: SequenceMasks, search: ShiftSearch) -> LazySequence[IdMap]:
    """Return the ids, which are also handed to `search` when they are read."""

    def ids(index: int) -> IdMap:
        read = masks.ids[index]
        search.add(index, read)
        return read

    return LazySequence(ids, len(masks.ids))


def _shift_notes(results: Path, read: Mapping[str, _Read], missing: Missing) -> list[tuple[str, str]]:
    """Return (sequence, note) where masks look shifted and their names do not show that they are not.

    Raises:
        InputError: most of these sequences do; one alone may be the method's own mistake.
    """
    unproven = [name for name, each in read.items() if each.unproven]
    shifted = {name: each.step for name, each in read.items() if each.step is not None}
    if missing == "error" and 2 * len(shifted) > len(unproven):
        step = min(shifted.items())[1]
        raise InputError(
            f"{results}: {shift_words(step)} in {len(shifted)} of {len(unproven)} sequences that lack their "
            f"first or last one ({few(sorted(shifted))}): add {step:+d} to the numbers of the files, or give "
            "missing=empty if the numbers are right"
        )
    return [(name, f"{shift_words(step)}: are they numbered right?") for name, step in shifted.items()]


_last_opened: dict[str, Dataset] = {}


def _remember(call: str, dataset: Dataset) -> None:
    _last_opened.clear()
    _last_opened[call] = dataset


def _opened(task: _Task) -> Dataset:
    """Open a data set once per process and call: listing its files takes longer than a short sequence."""
    if task.call not in _last_opened:
        options = task.results.protocol.reader_options(task.dataset)
        _remember(task.call, open_dataset(task.dataset, task.root, task.split, **options))
    return _last_opened[task.call]


def _summary_notes(dataset: Dataset, scores: Mapping[str, SequenceScore], protocol: Protocol) -> list[str]:
    notes = []
    if len(scores) < len(dataset):
        notes.append(f"partial: {len(scores)} of {len(dataset)} sequences of {dataset.label} {dataset.split}")
    return [*notes, *summary_notes(scores, protocol)]
