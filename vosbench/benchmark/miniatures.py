"""Miniatures that methods are compared on where there is no data set, rendered in the workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vosbench.data.roots import mini_root
from vosbench.data.spec import DatasetSpec
from vosbench.errors import InputError


@dataclass(frozen=True)
class RenderJob:
    """One miniature to render; plain data, so that it can be sent to a process.

    Attributes:
        dataset: name of the data set.
        root: data root of the miniature.
        settings: of the miniature, see `vosbench.data.mini.ensure_mini`.
        retried: whether the process of an earlier attempt was killed.
    """

    dataset: str
    root: Path
    settings: Mapping[str, Any]
    retried: bool = False

    def render(self) -> Rendered:
        """Render the miniature unless it is there."""
        # Rendering needs more than reading: it is imported only where it is used.
        from vosbench.data.mini import ensure_mini

        try:
            ensure_mini(self.dataset, self.root, **self.settings)
        except InputError as error:
            return Rendered(self, str(error))
        return Rendered(self)


@dataclass(frozen=True)
class Rendered:
    """Result of rendering a miniature.

    Attributes:
        job: what was to be rendered.
        error: why it is not there; empty when it is.
    """

    job: RenderJob
    error: str = ""


def render_jobs(specs: Iterable[DatasetSpec]) -> tuple[RenderJob, ...]:
    """Return the miniatures of those data sets that have one, the smallest first."""
    from vosbench.data.mini import count_scenes

    jobs = []
    for spec in specs:
        if spec.mini is None:
            continue
        chosen = {} if spec.mini_scenes is None else {"scenes": spec.mini_scenes, "splits": (spec.split,)}
        root = mini_root(spec.mini_scenes, None if spec.mini_scenes is None else spec.split)
        jobs.append(RenderJob(spec.name, root, chosen))
    return tuple(sorted(jobs, key=lambda job: count_scenes(job.dataset, **job.settings)))
