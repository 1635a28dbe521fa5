"""Comparison of methods on data sets: plan, jobs, records."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Job, Outcome
from vosbench.benchmark.job_queue import JobQueue, Progress
from vosbench.benchmark.leakage import leaks
from vosbench.benchmark.miniatures import Rendered, RenderJob
from vosbench.benchmark.plan import make_plan
from vosbench.benchmark.run_job import run_job
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.evaluation.record_template import command_line
from vosbench.executors.local import Executor, LocalExecutor, choose_workers
from vosbench.files import check_folder
from vosbench.flow.estimators import build_estimator
from vosbench.method import Method, Precision, Size
from vosbench.models.pretrained.zoo import trainings
from vosbench.video import Video
from vosbench.waiting import Waiting, unreported

_RENDERING = "rendering miniatures"


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
    precision: Precision = "32",
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
        precision: that networks compute in, see there; part of the key of records where it is not ``"32"``.
        cache: keeps flow between runs; None keeps it for one sequence.
        progress: called for every model and protocol on a sequence when the model is finished.
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
    most = 1 if executor or dry_run else choose_workers(workers, _most_sequences(datasets, limit))
    plan = make_plan(
        models,
        datasets,
        find_data_root(data_root),
        protocols=protocols,
        metrics=metrics,
        size=size,
        settings=settings or {},
        device=device,
        precision=precision,
        dry_run=dry_run,
        workers=most,
        waiting=waiting,
    )
    if not dry_run:
        for kind in ("records", "masks"):
            check_folder(Path(out) / kind)
    common = {
        "device": device,
        "flow": flow,
        "flow_settings": dict(flow_settings or {}),
        "cache": cache,
        # a method may change the working directory
        "out": Path(out).resolve(),
        "command": command_line(),
        "dry_run": dry_run,
        "call": uuid.uuid4().hex,
    }
    missing = len(plan.missing)
    if missing:
        waiting(_RENDERING, 0, missing)
    # where jobs may run on other machines, this one renders
    for done, miniature in enumerate(() if executor is None else plan.missing, 1):
        plan = plan.with_miniature(miniature.render())
        waiting(_RENDERING, done, missing)
    jobs = plan.jobs(limit, **common)
    executor = executor or LocalExecutor(most if plan.missing else choose_workers(most, len(jobs)))
    if not plan.missing:
        waiting("starting with the longest sequences", 0, sum(len(job.cells) for job in jobs))

    def rendered(miniature: Rendered) -> list[Job]:
        nonlocal plan
        known = plan.splits
        plan = plan.with_miniature(miniature)
        if not known:
            waiting(_RENDERING, missing - len(plan.missing), missing)
        return [job for job in plan.jobs(limit, **common) if job.label not in known]

    outcomes = run_jobs([*plan.missing, *jobs], executor, progress, rendered=rendered)
    # miniatures are ready in another order than that of the data sets
    labels = list(plan.splits)
    outcomes.sort(key=lambda outcome: labels.index(outcome.dataset))
    result = CompareResult(Path(out), tuple(outcomes), plan.videos, plan.lengths)
    leak_lines = map(str, leaks(result.records, trainings()))
    return replace(result, notes=(*plan.notes, *_coverage_notes(result.coverage), *leak_lines))


def _most_sequences(datasets: Sequence[str], limit: int | None) -> int:
    """Return how many sequences may have to be run, as far as that is known before data sets are opened."""
    if limit is None or "all" in datasets:
        return sys.maxsize
    return limit * len(set(datasets))


def _no_miniatures(miniature: Rendered) -> Sequence[Job]:
    raise AssertionError(f"{miniature.job.dataset} was not to be rendered")


def run_jobs(
    jobs: Sequence[Job | RenderJob],
    executor: Executor,
    progress: Progress | None,
    *,
    rendered: Callable[[Rendered], Sequence[Job]] = _no_miniatures,
) -> list[Outcome]:
    """Run jobs in the order of `JobQueue`; return their outcomes in the order in which jobs became known.

    The methods of a job whose process is killed are tried again one by one; a method whose process is
    killed again has failed.

    Args:
        jobs: to run.
        executor: where; only that of this machine takes miniatures to render.
        progress: called for every outcome when it is there.
        rendered: called with every miniature; returns the jobs on its sequences.
    """
    queue = JobQueue(jobs, rendered, progress)
    executor.run(run_job, queue.tasks, queue.finished, queue.lost)
    return queue.outcomes


def _coverage_notes(coverage: Mapping[str, tuple[int, int]]) -> list[str]:
    return [
        f"partial: {covered} of {existing} sequences of {label}"
        for label, (covered, existing) in coverage.items()
        if covered < existing
    ]
