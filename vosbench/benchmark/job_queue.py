"""Jobs of a comparison that wait, in the order to start them, and the outcomes of those that have run."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vosbench.benchmark.job import Job, Outcome, fail
from vosbench.benchmark.miniatures import Rendered, RenderJob

Progress = Callable[[int, int, Outcome], None]
"""Called with the number of finished cells (model, sequence, protocol), of all that are known, and the last
outcome."""

_LOST = (
    "the process that ran it was killed twice, most likely for lack of memory; run again with fewer workers"
)


class JobQueue:
    """Queue of miniatures to render and sequences to run methods on.

    Miniatures come first, so that all sequences are soon known, then the longest sequences, so that no
    process is left with one at the end. One short sequence of the first miniature goes before the other
    miniatures: its results are there early.

    Args:
        jobs: to run.
        rendered: called with every miniature; returns the jobs on its sequences.
        progress: called for every outcome when it is there.

    Attributes:
        tasks: what waits, see `vosbench.executors.local.Executor`.
    """

    def __init__(
        self,
        jobs: Iterable[Job | RenderJob],
        rendered: Callable[[Rendered], Sequence[Job]],
        progress: Progress | None,
    ) -> None:
        self.tasks = deque(sorted(jobs, key=_rank))
        self._jobs = [job for job in jobs if isinstance(job, Job)]
        self._rendered = rendered
        self._progress = progress
        self._outcomes: dict[Path, Outcome] = {}

    @property
    def outcomes(self) -> list[Outcome]:
        """Outcomes of all jobs, in the order in which the jobs became known."""
        return [self._outcomes[job.path("records", *cell)] for job in self._jobs for cell in job.cells]

    def finished(self, result: Outcome | Rendered) -> None:
        """Keep an outcome, or add the jobs on a miniature that is there now."""
        if isinstance(result, Rendered):
            self._add(self._rendered(result))
            return
        self._outcomes[result.path] = result
        if self._progress is not None:
            total = sum(len(job.cells) for job in self._jobs)
            self._progress(len(self._outcomes), total, result)

    def lost(self, job: Job | RenderJob) -> Sequence[Job | RenderJob]:
        """Return what to run instead of a job whose process was killed: its methods one by one, each once."""
        if isinstance(job, RenderJob):
            if not job.retried:
                return [replace(job, retried=True)]
            self.finished(Rendered(job, _LOST))
            return []
        open_cells = [cell for cell in job.cells if job.path("records", *cell) not in self._outcomes]
        if not job.retried:
            return [job.only(spec) for spec in {spec.label: spec for spec, _ in open_cells}.values()]
        for spec, run in open_cells:
            self.finished(fail(job, spec, run, _LOST))
        return []

    def _add(self, jobs: Sequence[Job]) -> None:
        waiting = sorted([*self.tasks, *jobs], key=_rank)
        if jobs and not self._jobs:
            waiting.insert(0, waiting.pop())
        self._jobs.extend(jobs)
        self.tasks.clear()
        self.tasks.extend(waiting)


def _rank(job: Job | RenderJob) -> int:
    return -sys.maxsize if isinstance(job, RenderJob) else -job.frames
