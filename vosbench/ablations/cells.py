"""Cells of a suite: values over sequences and seeds, read from the records of its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.ablations.motion_frames import Motion, mean_of_frames, measure_motion, select_frames
from vosbench.ablations.pooled import DetectionRow, Pooled
from vosbench.ablations.schema import Column
from vosbench.ablations.statistics import BySeed, Rule, SeededValue, seeded_value
from vosbench.ablations.testing import SuiteTest, parse_test_flow
from vosbench.benchmark.job import Job, Outcome
from vosbench.evaluation.detections import DetectionFolder
from vosbench.evaluation.record import Record
from vosbench.leaderboard.board import scores_of
from vosbench.metrics.kernels.aggregation import Aggregation
from vosbench.metrics.specs import value_spec
from vosbench.scoring.predictions import masks_path
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import aggregation, counted_rows

FRAMES = "frames"
"""Column of the number of frames that count, where not all do."""

_Records = Mapping[str, tuple[Job, Record]]
"""Sequence -> its record and the job that made the record."""


@dataclass(frozen=True)
class CellResult:
    """Result of one row in one column.

    Attributes:
        value: over seeds; None when nothing could be measured.
        by_seed: seed -> sequence -> values.
        expected: number of sequences to test.
        flow: value of ``--flow`` as the suite has it, ``""`` for none.
    """

    value: SeededValue | None
    by_seed: BySeed
    expected: int
    flow: str

    @property
    def sequences(self) -> int:
        """Number of sequences measured with every seed."""
        return self.value.interval.sequences if self.value else 0


def read_cells(
    tests: Sequence[SuiteTest],
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    cache: Path | None = None,
) -> dict[tuple[str, str], CellResult]:
    """Return (row, column) -> result.

    Args:
        tests: as planned.
        jobs: of `vosbench.ablations.testing.plan_jobs`.
        outcomes: of the jobs.
        cache: keeps flow between runs.

    Raises:
        InputError: written detections cannot be read, or flow cannot be computed.
    """
    records: dict[tuple[str, str], dict[str, tuple[Job, Record]]] = {}
    job_of_outcome = [job for job in jobs for _ in job.methods]
    for job, outcome in zip(job_of_outcome, outcomes, strict=True):
        if outcome.record is not None:
            of_method = records.setdefault((job.out.name, outcome.model), {})
            of_method[outcome.sequence] = (job, outcome.record)
    motions: dict[tuple[str, str], Motion] = {}
    cells = {}
    for test in tests:
        frames = None
        if test.column.motion is not None and test.methods:
            key = (test.folder_name, test.flow)
            if key not in motions:
                flow = parse_test_flow(test.flow)
                motions[key] = measure_motion(test.videos, test.protocol, flow, cache)
            frames = select_frames(motions[key], test.column.motion)
        cells[test.row.name, test.column.name] = _cell(test, records, frames)
    return cells


def rule_of(column: Column) -> Rule:
    """Return the rule that makes one value of the sequences of a column."""
    protocol = load_protocol(column.protocol)
    if protocol.average == "pooled":
        return lambda names: Pooled(column.value)
    if column.motion is not None:
        return lambda names: Aggregation("mean", (column.value,), weights=FRAMES, within=(0.0, 1.0))
    if column.only is not None:
        return lambda names: Aggregation("mean", (column.value,), within=value_spec(column.value).within)
    return lambda names: aggregation(column.value, names, protocol)


Frames = Mapping[str, Sequence[int]]
"""Sequence -> positions of the evaluated frames that count."""


def _cell(test: SuiteTest, records: Mapping[tuple[str, str], _Records], frames: Frames | None) -> CellResult:
    by_seed = {
        seed: _rows(test, records[test.folder_name, method.label], frames)
        for seed, method in test.methods.items()
        if (test.folder_name, method.label) in records
    }
    counted = [name for name in test.names if frames is None or name in frames]
    value = seeded_value(by_seed, rule_of(test.column)) if counted and any(by_seed.values()) else None
    return CellResult(value, by_seed, len(counted), test.flow_written)


def _rows(test: SuiteTest, records: _Records, frames: Frames | None) -> dict[str, Mapping[str, float | None]]:
    counted = {name: records[name] for name in test.names if name in records}
    if test.protocol.average == "pooled":
        return {name: _detections(test, *record, name) for name, record in counted.items()}
    if frames is not None:
        return {
            name: {
                test.column.value: mean_of_frames(record.per_frame["J"], frames[name]),
                FRAMES: float(len(frames[name])),
            }
            for name, (_, record) in counted.items()
            if name in frames
        }
    scores = scores_of({name: record for name, (_, record) in counted.items()})
    return dict(counted_rows(scores, test.column.value, test.protocol))


def _detections(test: SuiteTest, job: Job, record: Record, name: str) -> DetectionRow:
    """Score the file again: records do not hold what is pooled."""
    folder = masks_path(job.out, test.dataset.label, record.model, name).parent
    video = next(video for video in test.dataset if video.name == name)
    return DetectionRow(DetectionFolder.open(folder, [name], test.protocol).score(video))
