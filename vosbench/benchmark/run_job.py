"""Execution of a job: every method predicts the sequence once and is scored under its protocols."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Job, Outcome, ProtocolRun, State, fail, outcome
from vosbench.benchmark.method_spec import MethodSpec
from vosbench.benchmark.miniatures import Rendered, RenderJob
from vosbench.benchmark.sequence import given_in, open_videos
from vosbench.environment.load import LoadMeter
from vosbench.errors import error_line
from vosbench.evaluation.record_template import RecordTemplate, prediction_provenance
from vosbench.evaluation.store import VideoHashes, current_record, hash_videos
from vosbench.locks import claimed
from vosbench.method import Method
from vosbench.method_files import place_of
from vosbench.scoring.evaluate import Evaluation, ProtocolVideo, evaluate_sequence
from vosbench.scoring.predictions import PredictionStore

_LOADED = 16
"""Methods that a process keeps; a suite of full-size networks would not fit into memory as a whole."""

Cell = tuple[MethodSpec, ProtocolRun]

Outcomes = dict[tuple[str, str], Outcome]
"""Label of the method and protocol id -> outcome."""

Templates = list[tuple[ProtocolRun, RecordTemplate]]


def run_job(job: Job | RenderJob) -> Iterator[Outcome | Rendered]:
    """Evaluate every method of a job that has no equal record yet; one failing does not stop the others.

    Yields:
        The outcomes of a method as soon as they are there, or the one result of rendering a miniature.
    """
    if isinstance(job, RenderJob):
        yield job.render()
        return
    outcomes: Outcomes = {}
    with _isolated(job, job.cells, outcomes):
        videos = open_videos(job)
        hashes = dict(zip(videos, hash_videos([item.video for item in videos.values()]), strict=True))
    if outcomes:
        yield from outcomes.values()
        return
    for (spec, path), runs in job.predictions.items():
        with _isolated(job, [(spec, run) for run in runs], outcomes), _claimed(job, path):
            method, templates = _prepare(job, spec, runs, videos, hashes)
            first = templates[0][1]
            store = PredictionStore(path, first.item.video.frame_names)
            content = store.content()
            note, inputs = store.note(first.inputs, content), first.inputs
            pending = _without_record(job, spec, templates, content, outcomes)
            if job.dry_run or not pending:
                _report_planned(job, spec, pending, method, outcomes)
            else:
                # a prediction that is made again is scored under every protocol
                pending = pending if note else templates
                for run, _ in pending:
                    # a record of other settings must not stay in the table if the method fails now
                    job.path("records", spec, run).unlink(missing_ok=True)
                    outcomes.pop((spec.label, run.protocol.id), None)
                evaluation = evaluate_sequence(
                    method,
                    [template.item for _, template in pending],
                    store,
                    note=note,
                    inputs=inputs,
                    provenance=partial(prediction_provenance, method, LoadMeter()),
                )
                _write_records(job, spec, pending, evaluation, outcomes)
        yield from (outcomes[spec.label, run.protocol.id] for run in runs)


def _claimed(job: Job, prediction: Path) -> AbstractContextManager[None]:
    """Let other comparisons in the same folder wait, and find the records of this one."""
    if job.dry_run:
        return nullcontext()
    return claimed(job.out, str(prediction.relative_to(job.out)), wait=math.inf)


@contextmanager
def _isolated(job: Job, cells: Iterable[Cell], outcomes: Outcomes) -> Iterator[None]:
    """Turn whatever a method or damaged data raise into failures of the cells without an outcome."""
    try:
        yield
    except Exception as error:
        line = f"{error_line(error)}{place_of(error)}"
        for spec, run in cells:
            if (spec.label, run.protocol.id) not in outcomes:
                outcomes[spec.label, run.protocol.id] = fail(job, spec, run, line)


@lru_cache(_LOADED)
def _load(spec: MethodSpec, device: str, call: str) -> tuple[Method, dict[str, Any], dict[str, Any]]:
    """Load a method once per process and call: files of weights and code may change between two calls."""
    return spec.load(device)


def _prepare(
    job: Job,
    spec: MethodSpec,
    runs: list[ProtocolRun],
    videos: Mapping[str, ProtocolVideo],
    hashes: Mapping[str, VideoHashes],
) -> tuple[Method, Templates]:
    """Return the method, and the record of every run without its scores."""
    method, weights, training = _load(spec, job.device, job.call)
    first = videos[runs[0].protocol.id]
    given = given_in(job, runs[0], first.video)
    flow = first.flow.describe() if method.needs_flow and first.flow else None
    return method, [
        (
            run,
            RecordTemplate(
                item=replace(videos[run.protocol.id], given=given),
                hashes=hashes[run.protocol.id],
                model=spec.label,
                method=spec.name,
                weights=weights,
                training=training,
                flow=flow,
                dataset=job.dataset_name,
                edition=job.edition,
                split=run.split,
                command=job.command,
            ),
        )
        for run in runs
    ]


def _without_record(
    job: Job, spec: MethodSpec, templates: Templates, content: str | None, outcomes: Outcomes
) -> Templates:
    """Return the runs without a current record of the prediction; the others keep theirs."""
    pending = []
    for run, template in templates:
        record = current_record(job.path("records", spec, run), template.key, content)
        if record is None:
            pending.append((run, template))
            continue
        _remove_failure(job, spec, run)
        outcomes[spec.label, run.protocol.id] = outcome(job, spec, run, "kept", record=record)
    return pending


def _report_planned(
    job: Job, spec: MethodSpec, pending: Templates, method: Method, outcomes: Outcomes
) -> None:
    for run, template in pending:
        video = template.item.video
        outcomes[spec.label, run.protocol.id] = outcome(
            job,
            spec,
            run,
            "planned",
            frames=len(video),
            pixels=math.prod(video.frames[0].shape[:2]),
            needs_flow=method.needs_flow,
        )


def _write_records(
    job: Job, spec: MethodSpec, pending: Templates, evaluation: Evaluation, outcomes: Outcomes
) -> None:
    for run, template in pending:
        # a protocol that cannot score the prediction leaves the others their records
        with _isolated(job, [(spec, run)], outcomes):
            record = template.fill(evaluation)
            record.write(job.path("records", spec, run))
            _remove_failure(job, spec, run)
            state: State = "computed" if evaluation.computed else "rescored"
            outcomes[spec.label, run.protocol.id] = outcome(job, spec, run, state, record=record)


def _remove_failure(job: Job, spec: MethodSpec, run: ProtocolRun) -> None:
    """Remove the failure of an earlier run, also if a process was killed after it wrote the record."""
    if not job.dry_run:
        with suppress(FileNotFoundError, NotADirectoryError):
            job.path("failures", spec, run).unlink()
