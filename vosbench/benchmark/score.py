"""Scoring a folder of result masks against a data set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.benchmark.evaluate import SequenceScore, overall, score_sequence, stability_note, without_nan
from vosbench.benchmark.executors import choose_workers, grouped_notes, run_tasks
from vosbench.benchmark.protocols import Protocol, load_protocol
from vosbench.benchmark.results import Missing, ResultFolder
from vosbench.data.catalogue import entry, open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError, unknown_name

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
        notes: one line each on how the files were understood and what was left out.
    """

    dataset: str
    split: str
    protocol: str
    sequences: Mapping[str, SequenceScore]
    overall: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the values as JSON text; undefined ones are null."""
        content = {
            "dataset": self.dataset,
            "split": self.split,
            "protocol": self.protocol,
            "sequences": {name: without_nan(score.values) for name, score in self.sequences.items()},
            "overall": without_nan(self.overall),
        }
        return json.dumps(content, indent=1) + "\n"


@dataclass(frozen=True)
class _Task:
    dataset: str
    root: Path
    split: str
    index: int
    results: ResultFolder
    metrics: tuple[str, ...]


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
    threshold: int | None = None,
    sequences: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Score:
    """Score ``<results>/<sequence>/<frame>.png`` against a data set.

    Args:
        results: folder of masks, indexed or grey PNG.
        dataset: catalogue name.
        split: the data set's default when None.
        protocol: protocol id; the data set's default when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        metrics: letters out of ``j f t``; all of the protocol when None.
        workers: processes, one sequence each at a time; one per core when None.
        missing: a missing frame is an error, or ``"empty"``.
        threshold: grey level above which a soft mask is foreground.
        sequences: the sequences to score; all of the split when None.
        progress: called after every sequence.

    Raises:
        InputError: anything about the folder, the data or the options that cannot be used.
    """
    rules = load_protocol(protocol or _default_protocol(dataset))
    letters = rules.choose_metrics(None if metrics is None else tuple(metrics))
    opened = open_dataset(dataset, find_data_root(data_root), split)
    chosen = choose_sequences(opened, sequences)
    folder = ResultFolder.open(Path(results), list(chosen), rules, missing=missing, threshold=threshold)
    tasks = [_Task(dataset, opened.root, opened.split, index, folder, letters) for index in chosen.values()]
    scores: dict[str, SequenceScore] = {}
    notes: list[tuple[str, str]] = []

    def finished(result: tuple[str, SequenceScore, tuple[str, ...]]) -> None:
        name, scores[name], remarks = result
        notes.extend((name, remark) for remark in remarks)
        if progress is not None:
            progress(len(scores), len(tasks), name)

    run_tasks(_score_one, tasks, choose_workers(workers, len(tasks)), finished)
    ordered = {name: scores[name] for name in chosen}
    return Score(
        dataset=opened.label,
        split=opened.split,
        protocol=rules.id,
        sequences=ordered,
        overall=overall(ordered, rules),
        notes=(*folder.notes, *grouped_notes(notes, len(ordered)), *_summary_notes(opened, ordered, rules)),
    )


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


def _default_protocol(dataset: str) -> str:
    protocol = entry(dataset).protocol
    if protocol is None:
        raise InputError(f"{dataset} is a training set without a protocol; name one to score on it")
    return protocol


def _score_one(task: _Task) -> tuple[str, SequenceScore, tuple[str, ...]]:
    video = open_dataset(task.dataset, task.root, task.split)[task.index]
    masks = task.results.read(video)
    try:
        scored = score_sequence(masks.ids, video.annotations, task.results.protocol, task.metrics)
    except InputError as error:
        raise InputError(f"{video.name}: {error}") from None
    return video.name, scored, masks.notes


def _summary_notes(dataset: Dataset, scores: Mapping[str, SequenceScore], protocol: Protocol) -> list[str]:
    notes = []
    if len(scores) < len(dataset):
        notes.append(f"partial: {len(scores)} of {len(dataset)} sequences of {dataset.label} {dataset.split}")
    stability = stability_note(scores, protocol)
    if stability is not None:
        notes.append(stability)
    return notes
