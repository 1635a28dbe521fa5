"""Time, disk and memory of a planned comparison, from earlier records of the same methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from vosbench.benchmark.job import Outcome
from vosbench.environment.load import describe_load
from vosbench.evaluation.record import Record

_MASK = 0.025
"""Bytes of an indexed PNG per pixel: ground truth of the miniature; that of DAVIS 2016 takes 0.007."""

_FLOW = 4
"""Bytes of cached flow per pixel: two numbers of 16 bits, not compressed."""

_RECORD = 16_000
"""Bytes of a record, a hundred frames long."""


@dataclass(frozen=True)
class Estimate:
    """Time, disk and memory of the cells that are not computed yet.

    Attributes:
        seconds: of the methods whose time is known, with all workers.
        unknown: methods without a record.
        disk: bytes of masks and records.
        flow: bytes of flow, at most: what the cache has already is not subtracted.
        memory: bytes that all workers hold at once, at most; None where no record has any.
        basis: what the time is judged by, and how busy the machine was then; ``""`` when by nothing.
    """

    seconds: float
    unknown: tuple[str, ...]
    disk: float
    flow: float
    memory: float | None
    basis: str = ""


def estimate(planned: Sequence[Outcome], known: Iterable[Record], workers: int) -> Estimate:
    """Estimate time, disk and memory of cells that are planned.

    The time per frame of a method is the median of its records of the same data set or, scaled by the
    number of pixels, of others. A method whose time grows otherwise is misjudged on these.

    Args:
        planned: outcomes of a dry run.
        known: records of earlier runs, any mixture.
        workers: processes that share the work.
    """
    records = list(known)
    paces = {
        key: _pace([record for record in records if record.model == key[0]], *key[1:])
        for key in {(item.model, item.dataset, item.pixels) for item in planned}
    }
    seconds, disk = 0.0, float(_RECORD * len(planned))
    unknown: dict[str, None] = {}
    videos: dict[tuple[str, str, str], Outcome] = {}
    for item in planned:
        videos.setdefault((item.model, item.dataset, item.sequence), item)
    fields: dict[tuple[str, str], float] = {}
    for item in videos.values():
        pace = paces[item.model, item.dataset, item.pixels]
        disk += _MASK * item.frames * item.pixels
        if item.needs_flow:
            fields[item.dataset, item.sequence] = _FLOW * max(item.frames - 1, 0) * item.pixels
        if pace is None:
            unknown[item.model] = None
        else:
            seconds += pace * item.frames
    models = {item.model for item in planned}
    peaks = [
        int(record.provenance["peak_memory"])
        for record in records
        if record.model in models and record.provenance.get("peak_memory")
    ]
    memory = workers * max(peaks) if peaks and not unknown else None
    timed = [record for record in records if record.model in models]
    basis = describe_load(record.provenance.get("load") for record in timed) if timed else ""
    return Estimate(
        seconds / workers, tuple(unknown), disk, sum(fields.values()), memory, basis and f"medians, {basis}"
    )


def _pace(records: Sequence[Record], label: str, pixels: int) -> float | None:
    """Return seconds per frame; None where no record has them."""
    here = [record for record in records if record.label == label]
    if here:
        return median(_seconds(record.seconds_per_frame) for record in here)
    scaled = [
        _seconds(record.seconds_per_frame) * pixels / (size[0] * size[1])
        for record in records
        if len(size := record.provenance.get("frame_size", ())) == 2
    ]
    return median(scaled) if scaled else None


def _seconds(steps: Mapping[str, float]) -> float:
    return sum(steps.values())
