"""Running methods on data sets: plan the jobs, run what has no record yet, gather the records."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.executors import choose_workers, run_tasks
from vosbench.benchmark.job import Contestant, Job, Outcome, run_job
from vosbench.benchmark.protocols import load_protocol
from vosbench.benchmark.record import Record
from vosbench.data.catalogue import CATALOGUE, entry, open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import cache_root
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.flow.estimators import build_estimator
from vosbench.models.base import Size
from vosbench.models.zoo import METHOD_NAMES, accepts, load_method, move_to

Progress = Callable[[int, int, Outcome], None]
"""Called with the number of finished (model, sequence) pairs, of all pairs, and the last outcome."""


@dataclass(frozen=True)
class CompareResult:
    """What a comparison found.

    Attributes:
        out: folder of records and masks; a dry run leaves it untouched.
        outcomes: one per data set, sequence and model, in that order.
        videos: data set label -> the split that was run.
        notes: one line each on what was left out or replaced.
    """

    out: Path
    outcomes: tuple[Outcome, ...]
    videos: Mapping[str, Dataset]
    notes: tuple[str, ...] = field(default=())

    @property
    def records(self) -> list[Record]:
        """All records, made now or kept."""
        return [outcome.record for outcome in self.outcomes if outcome.record is not None]

    @property
    def failures(self) -> list[Outcome]:
        """Models that failed on a sequence; `Outcome.message` says why."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    @property
    def counts(self) -> Counter[str]:
        """Number of outcomes per state: computed, kept, planned, failed."""
        return Counter(outcome.state for outcome in self.outcomes)

    @property
    def coverage(self) -> dict[str, tuple[int, int]]:
        """Data set label -> (sequences in this comparison, sequences of its split)."""
        return {
            label: (len({item.sequence for item in self.outcomes if item.dataset == label}), len(dataset))
            for label, dataset in self.videos.items()
        }

    @property
    def exit_status(self) -> int:
        """0 when every model ran on every sequence, else 1."""
        return 1 if self.failures else 0


def compare(
    *,
    models: Sequence[str] = ("all",),
    datasets: Sequence[str] = ("all",),
    data_root: Path | None = None,
    out: Path,
    workers: int | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    flow: str = "dis",
    flow_settings: Mapping[str, Any] | None = None,
    metrics: Sequence[str] | None = None,
    size: Size | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> CompareResult:
    """Run models on data sets and write one record per model, data set and sequence.

    A record whose key (weights, settings, data, protocol) is unchanged is kept and nothing is
    computed for it, so an interrupted comparison continues where it was. A model that fails on a
    sequence is reported and the others go on.

    Args:
        models: method names; ``"all"`` takes every method that has weights or needs none.
        datasets: evaluation sets; ``"all"`` takes those found, else their miniature editions.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        out: records go to ``<out>/records``, masks to ``<out>/masks/<label>/<model>/<sequence>``.
        workers: processes, one sequence each at a time; one per core when None.
        limit: only the first sequences of each data set.
        dry_run: only find out what would be computed.
        flow: flow estimator of methods that need flow.
        flow_settings: arguments of the estimator's class.
        metrics: of each protocol those of these names; all of the protocol when None.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference, in every model that has them.
        device: where networks run, see `vosbench.models.zoo.move_to`.
        cache: keeps flow between runs; None keeps it for one sequence.
        progress: called for every model when a sequence is finished.

    Raises:
        InputError: unknown names, a data set that is not there, or options out of range.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}: give 1 or more sequences")
    build_estimator(flow, **(flow_settings or {}))
    chosen, model_notes = _choose_models(models, size, settings or {}, device)
    opened, data_notes = _choose_datasets(datasets, find_data_root(data_root), dry_run)
    opened, metric_notes = _with_metrics(opened, metrics)
    jobs = [
        job
        for dataset in opened
        for job in _jobs(
            dataset,
            limit,
            metrics,
            models=chosen,
            device=device,
            flow=flow,
            flow_settings=dict(flow_settings or {}),
            cache=cache,
            out=Path(out),
            dry_run=dry_run,
        )
    ]
    lengths = {(dataset.name, video.name): len(video) for dataset in opened for video in dataset}
    # The longest first, so that no process is left with a long sequence at the end.
    order = sorted(range(len(jobs)), key=lambda i: -lengths[jobs[i].dataset, jobs[i].sequence])
    outcomes = run_jobs(jobs, choose_workers(workers, len(jobs)), progress, order=order)
    result = CompareResult(Path(out), tuple(outcomes), {dataset.label: dataset for dataset in opened})
    notes = (*model_notes, *data_notes, *metric_notes, *_coverage_notes(result.coverage))
    return replace(result, notes=notes)


def _jobs(dataset: Dataset, limit: int | None, metrics: Sequence[str] | None, **common: Any) -> list[Job]:
    protocol = load_protocol(_protocol_of(dataset.name))
    fitting = None if metrics is None else tuple(name for name in metrics if name in protocol.metrics)
    letters = protocol.choose_metrics(fitting)
    return [
        Job(
            dataset=dataset.name,
            root=dataset.root,
            split=dataset.split,
            index=index,
            sequence=dataset[index].name,
            protocol=protocol,
            metrics=letters,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            **common,
        )
        for index in range(min(limit or len(dataset), len(dataset)))
    ]


def run_jobs(
    jobs: Sequence[Job], workers: int, progress: Progress | None, *, order: Sequence[int] | None = None
) -> list[Outcome]:
    """Run jobs in processes and return their outcomes in the order of the jobs.

    Args:
        jobs: what to run.
        workers: processes, see `vosbench.benchmark.executors.run_tasks`.
        progress: called for every model when a sequence is finished.
        order: the positions of the jobs in the order to start them; that of `jobs` when None.
    """
    total = sum(len(job.models) for job in jobs)
    done: list[tuple[int, Outcome]] = []

    def finished(result: tuple[int, list[Outcome]]) -> None:
        position, outcomes = result
        for outcome in outcomes:
            done.append((position, outcome))
            if progress is not None:
                progress(len(done), total, outcome)

    numbered = [(position, jobs[position]) for position in order or range(len(jobs))]
    run_tasks(_run_numbered, numbered, workers, finished)
    return [outcome for _, outcome in sorted(done, key=lambda item: item[0])]


def _run_numbered(task: tuple[int, Job]) -> tuple[int, list[Outcome]]:
    position, job = task
    return position, run_job(job)


def _choose_models(
    asked: Sequence[str], size: Size | None, settings: Mapping[str, Any], device: str
) -> tuple[tuple[Contestant, ...], list[str]]:
    if not asked:
        raise InputError("no model named: give names, or all")
    for name in asked:
        if name != "all" and name not in METHOD_NAMES:
            raise unknown_name("model", name, [*METHOD_NAMES, "all"])
    names = METHOD_NAMES if "all" in asked else tuple(dict.fromkeys(asked))
    for switch in settings:
        if not any(accepts(name, switch) for name in names):
            raise InputError(f"--set {switch}: none of {', '.join(names)} has this switch")
    notes = []
    chosen = []
    for name in names:
        fitting = {switch: value for switch, value in settings.items() if accepts(name, switch)}
        contestant = Contestant(name, name, size, settings=fitting)
        try:
            method, _ = load_method(name, size, settings=fitting) if fitting else load_method(name, size)
        except InputError as error:
            if name in asked:
                raise
            notes.append(f"{name} left out: {error}")
            continue
        move_to(method, device)
        chosen.append(contestant)
    if not chosen:
        raise InputError(f"no model can run: {'; '.join(notes)}")
    return tuple(chosen), notes


def _choose_datasets(asked: Sequence[str], root: Path, dry_run: bool) -> tuple[list[Dataset], list[str]]:
    if not asked:
        raise InputError("no data set named: give names, or all")
    named = [name for name in dict.fromkeys(asked) if name != "all"]
    for name in named:
        _protocol_of(name)
    if "all" not in asked:
        return [open_dataset(name, root) for name in named], []
    evaluation = [name for name, known in CATALOGUE.items() if known.kind == "evaluation"]
    found = [name for name in evaluation if (root / name).is_dir()]
    if found:
        return [open_dataset(name, root) for name in found], []
    return _mini_editions(evaluation, root, dry_run)


def _with_metrics(
    datasets: Sequence[Dataset], metrics: Sequence[str] | None
) -> tuple[list[Dataset], list[str]]:
    """Leave out the data sets whose protocol has none of the metrics, and say so; all cannot be left out."""
    if metrics is None or not datasets:
        return list(datasets), []
    protocols = {dataset.label: load_protocol(_protocol_of(dataset.name)) for dataset in datasets}
    for name in metrics:
        if not any(name in protocol.metrics for protocol in protocols.values()):
            # the message of the first protocol names what there is
            next(iter(protocols.values())).choose_metrics((name,))
    kept = [each for each in datasets if set(metrics) & set(protocols[each.label].metrics)]
    notes = [
        f"{label} left out: {protocol.id} has none of the metrics {', '.join(metrics)}"
        for label, protocol in protocols.items()
        if label not in {each.label for each in kept}
    ]
    if not kept:
        raise InputError("no metric chosen: name some, or leave the option out for all")
    return kept, notes


def _mini_editions(names: list[str], root: Path, dry_run: bool) -> tuple[list[Dataset], list[str]]:
    home = cache_root() / "mini"
    why = f"no evaluation data set found under {root}"
    missing = [name for name in names if not (home / name).is_dir()]
    if dry_run and missing:
        return [], [f"{why}: a real run would render the mini edition of {', '.join(missing)} into {home}"]
    if not dry_run:
        # Rendering needs more than reading: it is imported only where it is used.
        from vosbench.data.mini import ensure_mini

        for name in names:
            ensure_mini(name, home)
    note = f"{why}: using the mini edition of {', '.join(names)} in {home}, a test bed and no benchmark"
    return [open_dataset(name, home) for name in names], [note]


def _protocol_of(name: str) -> str:
    protocol = entry(name).protocol
    if protocol is None:
        raise InputError(f"{name} is a training set; methods are compared on evaluation sets")
    return protocol


def _coverage_notes(coverage: Mapping[str, tuple[int, int]]) -> list[str]:
    return [
        f"partial: {covered} of {all_of_them} sequences of {label}"
        for label, (covered, all_of_them) in coverage.items()
        if covered < all_of_them
    ]
