"""Comparison of methods on data sets: plan, jobs, records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Job, Outcome, fail
from vosbench.benchmark.leakage import leaks
from vosbench.benchmark.plan import Plan, make_plan
from vosbench.benchmark.run_job import run_job
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.evaluation.record_template import command_line
from vosbench.executors.local import Executor, LocalExecutor, choose_workers
from vosbench.files import check_folder
from vosbench.flow.estimators import build_estimator
from vosbench.method import Method, Size
from vosbench.models.pretrained.zoo import trainings
from vosbench.video import Video
from vosbench.waiting import Waiting, unreported

Progress = Callable[[int, int, Outcome], None]
"""Called with the number of finished cells (model, sequence, protocol), of all, and the last outcome."""

_LOST = (
    "the process that ran it was killed twice, most likely for lack of memory; run again with fewer workers"
)


@dataclass(frozen=True)
class CompareResult:
    """Outcomes of a comparison.

    Attributes:
        out: folder of records, failures and masks; a dry run leaves it untouched.
        outcomes: one per data set, sequence, model and protocol, in that order.
        videos: data set label -> its sequences, of all splits that were run.
        lengths: data set label and split -> number of sequences.
        notes: one line each on what was left out or replaced.
    """

    out: Path
    outcomes: tuple[Outcome, ...]
    videos: Mapping[str, Sequence[Video]]
    lengths: Mapping[tuple[str, str], int]
    notes: tuple[str, ...] = field(default=())

    @property
    def records(self) -> list[Record]:
        """Records of this comparison and those kept of earlier ones."""
        return [outcome.record for outcome in self.outcomes if outcome.record is not None]

    @property
    def failures(self) -> list[Outcome]:
        """Models that failed on a sequence; `Outcome.message` has the reason."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    @property
    def counts(self) -> Counter[str]:
        """Number of outcomes per state: computed, rescored, kept, planned, failed."""
        return Counter(outcome.state for outcome in self.outcomes)

    @property
    def coverage(self) -> dict[str, tuple[int, int]]:
        """Data set label -> (sequences in this comparison, sequences there are)."""
        return {
            label: (len({item.sequence for item in self.outcomes if item.dataset == label}), len(videos))
            for label, videos in self.videos.items()
        }

    @property
    def exit_status(self) -> int:
        """0 when every model ran on every sequence, else 1."""
        return 1 if self.failures else 0


def compare(
    *,
    models: Sequence[str | Method] = ("all",),
    datasets: Sequence[str] = ("all",),
    protocols: Sequence[str] | None = None,
    data_root: Path | None = None,
    out: Path,
    workers: int | None = None,
    executor: Executor | None = None,
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
    waiting: Waiting = unreported,
) -> CompareResult:
    """Run models on data sets and write one record per model, data set, sequence and protocol.

    A model segments a sequence once and is scored under every protocol of the data set that is made
    for its task. A record whose key (weights, settings, data, protocol) and masks are unchanged is kept
    and nothing is computed for it, so an interrupted comparison continues where it was; masks that were
    made from the same inputs are scored again without segmenting. A model that fails on a sequence
    leaves a failure in the place of its record and the others go on; the next run tries again.
    Several comparisons may run in one folder: each waits for a prediction that another is making.

    Args:
        models: ``"all"``, every method that has weights or needs none, ``[LABEL=]NAME[:CHECKPOINT]``, where
            NAME may be ``FILE.py:CLASS``, or methods themselves; see `vosbench.benchmark.method_spec`.
        datasets: evaluation sets by name, or data of one's own by path, see
            `vosbench.data.own_data.own_spec`; ``"all"`` takes those found, else their miniature editions.
        protocols: ids, of every data set those that are made for it; its usual ones when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        out: records go to ``<out>/records``, failures to ``<out>/failures``, masks to
            ``<out>/masks/<label>/<model>/<sequence>``.
        workers: processes, one sequence each at a time; one per core when None, and this process alone where
            a method itself is given.
        executor: runs the jobs, instead of `workers` processes of this machine.
        limit: only the first sequences of each data set.
        dry_run: only find out what would be computed.
        flow: flow estimator of methods that need flow.
        flow_settings: arguments of the estimator's class.
        metrics: of each protocol those of these names; all of the protocol when None.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference: ``KEY`` in every model that has it, ``LABEL.KEY`` in one.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        cache: keeps flow between runs; None keeps it for one sequence.
        progress: called for every model and protocol when a sequence is finished.
        waiting: called with what is done before the first sequence.

    Raises:
        InputError: unknown names, a data set that is not there, options out of range, or `out` cannot be
            written.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}: give 1 or more sequences")
    if workers is None and any(not isinstance(model, str) for model in models):
        workers = 1
    # wrong options are refused before anything is loaded
    choose_workers(workers, 1)
    build_estimator(flow, **(flow_settings or {}))
    here = executor is None and not dry_run
    plan = make_plan(
        models,
        datasets,
        find_data_root(data_root),
        protocols=protocols,
        metrics=metrics,
        size=size,
        settings=settings or {},
        device=device,
        dry_run=dry_run,
        workers=choose_workers(workers, _most_sequences(datasets, limit)) if here else 1,
        waiting=waiting,
    )
    if not dry_run:
        for kind in ("records", "masks"):
            check_folder(Path(out) / kind)
    jobs = plan.jobs(
        limit,
        device=device,
        flow=flow,
        flow_settings=dict(flow_settings or {}),
        cache=cache,
        # workers of another machine have another working directory
        out=Path(out).resolve(),
        command=command_line(),
        dry_run=dry_run,
    )
    executor = executor or LocalExecutor(1 if dry_run else choose_workers(workers, len(jobs)))
    waiting("starting with the longest sequences", 0, sum(len(job.cells) for job in jobs))
    outcomes = run_jobs(jobs, executor, progress, order=_longest_first(jobs, plan))
    result = CompareResult(Path(out), tuple(outcomes), plan.videos, plan.lengths)
    leak_lines = map(str, leaks(result.records, trainings()))
    return replace(result, notes=(*plan.notes, *_coverage_notes(result.coverage), *leak_lines))


def _most_sequences(datasets: Sequence[str], limit: int | None) -> int:
    """Return how many sequences may have to be run, as far as that is known before data sets are opened."""
    if limit is None or "all" in datasets:
        return sys.maxsize
    return limit * len(set(datasets))


def _longest_first(jobs: Sequence[Job], plan: Plan) -> list[int]:
    """Return the order to start jobs in, so that no process is left with a long sequence at the end."""
    lengths = {(label, video.name): len(video) for label, videos in plan.videos.items() for video in videos}
    return sorted(range(len(jobs)), key=lambda i: -lengths[jobs[i].label, jobs[i].sequence])


def run_jobs(
    jobs: Sequence[Job], executor: Executor, progress: Progress | None, *, order: Sequence[int] | None = None
) -> list[Outcome]:
    """Run jobs and return their outcomes in the order of the jobs.

    The methods of a job whose process is killed are tried again one by one; a method whose process is
    killed again has failed.

    Args:
        jobs: to run.
        executor: where.
        progress: called for every outcome when it is there.
        order: the positions of the jobs in the order to start them; that of `jobs` when None.
    """
    total = sum(len(job.cells) for job in jobs)
    outcomes: dict[Path, Outcome] = {}

    def finished(results: list[Outcome]) -> None:
        for result in results:
            outcomes[result.path] = result
            if progress is not None:
                progress(len(outcomes), total, result)

    def lost(job: Job) -> list[Job]:
        if not job.retried:
            return [job.only(spec) for spec in job.methods]
        finished([fail(job, spec, run, _LOST) for spec, run in job.cells])
        return []

    executor.run(run_job, [jobs[position] for position in order or range(len(jobs))], finished, lost)
    return [outcomes[job.path("records", spec, run)] for job in jobs for spec, run in job.cells]


def _coverage_notes(coverage: Mapping[str, tuple[int, int]]) -> list[str]:
    return [
        f"partial: {covered} of {existing} sequences of {label}"
        for label, (covered, existing) in coverage.items()
        if covered < existing
    ]
