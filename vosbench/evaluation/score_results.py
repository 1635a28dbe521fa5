"""Scoring of result folders: the masks of a method against a data set."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError
from vosbench.evaluation.detections import DetectionFolder
from vosbench.evaluation.results.files import few
from vosbench.evaluation.results.layout import found_names, other_names_note
from vosbench.evaluation.results.reader import Missing, ResultFolder, SequenceMasks
from vosbench.evaluation.results.shift import ShiftSearch, recent, shift_words
from vosbench.evaluation.scores import Score, intervals_of
from vosbench.evaluation.selection import choose_protocol, choose_sequences
from vosbench.evaluation.statistics import interval_notes
from vosbench.executors.local import choose_workers, grouped_notes, run_tasks
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, overall, score_sequence, summary_notes
from vosbench.video import IdMap, LazySequence

Progress = Callable[[int, int, str], None]
"""Called with the number of finished sequences, of all sequences, and the name of the last one."""


@dataclass(frozen=True)
class _SequenceResult:
    """Score of one sequence, with `unproven` as in `SequenceMasks` and `step` as in `ShiftSearch`."""

    score: SequenceScore
    notes: tuple[str, ...] = ()
    unproven: bool = False
    step: int | None = None


@dataclass(frozen=True)
class _ScoreTask:
    """One sequence to score, for a worker process."""

    dataset: str
    root: Path
    split: str
    index: int
    results: ResultFolder | DetectionFolder
    metrics: tuple[str, ...]
    call: str


def score(
    results: Path | str,
    dataset: str,
    protocol: str | None = None,
    *,
    split: str | None = None,
    data_root: Path | str | None = None,
    metrics: Sequence[str] | None = None,
    workers: int | None = None,
    missing: Missing = "error",
    threshold: float | None = None,
    sequences: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Score:
    """Score a folder of result masks, ``<results>/<sequence>/<frame>.png``, against a data set.

    Args:
        results: folder or zip archive of masks, see `vosbench.evaluation.results.reader.ResultFolder`; of
            detections under a protocol that scores these.
        dataset: catalogue name, e.g. ``"davis16"``.
        protocol: protocol id, see `vosbench.evaluation.protocols`; the data set's default when None.
        split: that of the protocol, else the data set's usual one, when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        metrics: names out of `Protocol.metrics`, e.g. ``("j", "f")``; all of the protocol when None.
        workers: processes, one sequence each at a time; one per core when None.
        missing: a missing frame is an error, or ``"empty"``.
        threshold: value, in the unit of the file, above which a soft mask is foreground.
        sequences: names of the sequences to score; all of the split when None.
        progress: called after every sequence.

    Returns:
        values of every sequence and of the data set, fractions, with 95 % intervals; `Score.table` and
        `Score.to_json` give them as rows and as text.

    Raises:
        InputError: anything about the folder, the data or the options that cannot be used.
    """
    rules = choose_protocol(dataset, protocol)
    letters = rules.choose_metrics(None if metrics is None else tuple(metrics))
    opened = open_dataset(
        dataset,
        find_data_root(None if data_root is None else Path(data_root)),
        split or rules.split,
        **rules.reader_options(dataset),
    )
    indices = choose_sequences(opened, sequences)
    folder = _open_results(Path(results), list(indices), rules, missing, threshold)
    # files may change between two calls, not within one; forked workers find the data set opened
    call = uuid.uuid4().hex
    _remember(call, opened)
    tasks = [
        _ScoreTask(dataset, opened.root, opened.split, index, folder, letters, call)
        for index in indices.values()
    ]
    scored: dict[str, _SequenceResult] = {}

    def finished(result: tuple[str, _SequenceResult]) -> None:
        name, scored[name] = result
        if progress is not None:
            progress(len(scored), len(tasks), name)

    run_tasks(_score_one, tasks, choose_workers(workers, len(tasks)), finished)
    ordered = {name: scored[name].score for name in indices}
    notes = [(name, note) for name, result in scored.items() for note in result.notes]
    notes += _shift_notes(Path(results), scored, missing)
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
        names = found_names(folder.tree, "", detections=True)
    else:
        names = found_names(folder.tree, folder.root)
    known = [video.name for video in opened]
    note = other_names_note(names, known, f"{opened.label} {opened.split}")
    return [] if note is None else [note]


def _score_one(task: _ScoreTask) -> tuple[str, _SequenceResult]:
    video = _open_once(task)[task.index]
    if isinstance(task.results, DetectionFolder):
        return video.name, _SequenceResult(task.results.score(video))
    rules = task.results.protocol
    masks = task.results.read(video)
    search = ShiftSearch(recent(video), rules) if masks.unproven else None
    ids = masks.ids if search is None else _observed(masks, search)
    try:
        scored = score_sequence(ids, video.annotations, rules, task.metrics, partial=masks.partial)
    except InputError as error:
        raise InputError(f"{video.name}: {error}") from None
    return video.name, _SequenceResult(
        scored, masks.notes, masks.unproven, None if search is None else search.step()
    )


def _observed(masks: SequenceMasks, search: ShiftSearch) -> LazySequence[IdMap]:
    """Return the ids of `masks`; every map that is read is also given to `search`."""

    def ids(index: int) -> IdMap:
        read = masks.ids[index]
        search.add(index, read)
        return read

    return LazySequence(ids, len(masks.ids))


def _shift_notes(
    results: Path, scored: Mapping[str, _SequenceResult], missing: Missing
) -> list[tuple[str, str]]:
    """Return (sequence, note) for masks that look shifted by one frame and whose names allow that.

    Raises:
        InputError: most of the sequences look shifted; a single one may be the method's own mistake.
    """
    unproven = [name for name, result in scored.items() if result.unproven]
    shifted = {name: result.step for name, result in scored.items() if result.step is not None}
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


def _open_once(task: _ScoreTask) -> Dataset:
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
