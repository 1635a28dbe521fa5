"""Testing the rows of a suite: which networks see which sequences, and what their records say."""

from __future__ import annotations

import math
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vosbench.ablations.motion_frames import Motion, chosen_frames, mean_of_frames, measure_motion
from vosbench.ablations.pooled import DetectionRow, Pooled
from vosbench.ablations.schema import Column, Edition, Row, Suite
from vosbench.ablations.statistics import BySeed, Rule, SeededValue, seeded_value
from vosbench.ablations.training import TrainOutcome, TrainPlan
from vosbench.benchmark.job import GROUND_TRUTH, Contestant, Job, Outcome, Rules
from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import mini_root
from vosbench.errors import InputError
from vosbench.evaluation.detections import DetectionFolder
from vosbench.evaluation.record import Record
from vosbench.flow.estimators import build_estimator, parse_flow
from vosbench.metrics.kernels.aggregation import Aggregation
from vosbench.metrics.specs import metric_of, value_spec
from vosbench.scoring.predictions import masks_path
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import SequenceScore, aggregation, class_of, counted_rows

FRAMES = "frames"
"""Column of the number of frames that count, where not all do."""


@dataclass(frozen=True)
class SuiteTest:
    """One row in one column: the contestants, one per seed that was trained, and what they see.

    Attributes:
        row, column: which.
        dataset: the sequences.
        protocol: the rules.
        flow: what ``--flow`` would take, ``""`` for none.
        contestants: seed -> method.
        folds: sequence -> seed -> the method of the same label that tests this sequence instead.
        place: the column under whose name records and masks are; columns that differ in the metric
            only have them in common.
        words: what the protocol computes for all of these columns.
    """

    row: Row
    column: Column
    dataset: Dataset
    protocol: Protocol
    flow: str
    contestants: Mapping[int, Contestant]
    folds: Mapping[str, Mapping[int, Contestant]]
    place: str
    words: tuple[str, ...]

    @property
    def length(self) -> int:
        """Number of sequences to test."""
        return min(self.column.limit or len(self.dataset), len(self.dataset))

    @property
    def names(self) -> list[str]:
        """The sequences that count."""
        names = [self.dataset[index].name for index in range(self.length)]
        return [name for name in names if self.column.only in (None, class_of(name))]

    def jobs(self, folder: Path, device: str, cache: Path | None) -> list[Job]:
        """Return one job per sequence; records and masks go to ``<folder>/<place>``."""
        name, settings = _parse(self.flow)
        common = Job(
            dataset=self.dataset.name,
            root=self.dataset.root,
            edition=self.dataset.edition,
            sequence="",
            rules=(),
            device=device,
            flow=name,
            flow_settings=settings,
            cache=cache,
            out=folder / self.place,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            dry_run=False,
            call=uuid.uuid4().hex,
        )
        metrics = self.protocol.choose_metrics(self.words)
        jobs = []
        for index in range(self.length):
            sequence = self.dataset[index].name
            models = tuple(self.folds.get(sequence, self.contestants).values())
            rules = Rules(self.protocol, metrics, self.dataset.split, index, models)
            jobs += [replace(common, sequence=sequence, rules=(rules,))] if models else []
        return jobs


def plan_jobs(tests: Sequence[SuiteTest], folder: Path, device: str, cache: Path | None) -> list[Job]:
    """Return the jobs of all tests; of tests of one row in one place there is one set."""
    once = {(test.row.name, test.place): test for test in reversed(tests)}
    kept = [test for test in tests if once[test.row.name, test.place] is test]
    return [job for test in kept for job in test.jobs(folder, device, cache)]


@dataclass(frozen=True)
class CellResult:
    """What testing one row in one column gave.

    Attributes:
        value: over seeds; None when nothing could be measured.
        by_seed: seed -> sequence -> values.
        expected: number of sequences to test.
        flow: what ``--flow`` would take, ``""`` for none.
    """

    value: SeededValue | None
    by_seed: BySeed
    expected: int
    flow: str

    @property
    def sequences(self) -> int:
        """Number of sequences measured with every seed."""
        return self.value.interval.sequences if self.value else 0


def read_flows(suite: Suite, rows: Sequence[Row], edition: Edition) -> dict[str, str]:
    """Return flow of the suite -> what ``--flow`` takes, for the tests of some rows.

    Raises:
        InputError: an environment variable is not set, or an estimator is not what it should be.
    """
    chosen = {
        flow.name: flow
        for row in rows
        for column in suite.columns_of(row)
        if (flow := suite.flow_of(row, column)) is not None
    }
    texts = {name: flow.text(edition) for name, flow in chosen.items()}
    for name, text in texts.items():
        try:
            _parse(text)
        except InputError as error:
            raise InputError(f"{suite.id}, flows.{name}: {error}") from None
    return texts


def _parse(text: str) -> tuple[str, dict[str, Any]]:
    if text in ("", GROUND_TRUTH):
        return GROUND_TRUTH, {}
    name, settings = parse_flow(text)
    build_estimator(name, **settings)
    return name, settings


def open_column(column: Column, root: Path | None) -> Dataset:
    """Open the sequences of a column: under `root`, or their miniature edition, rendered if need be."""
    options = load_protocol(column.protocol).reader_options(column.dataset)
    if root is not None:
        return open_dataset(column.dataset, root, column.split, **options)
    # Rendering needs more than reading: it is imported only where it is used.
    from vosbench.data.mini import ensure_mini

    home = mini_root()
    ensure_mini(column.dataset, home)
    return open_dataset(column.dataset, home, column.split, **options)


def plan_tests(
    suite: Suite,
    rows: Sequence[Row],
    seeds: Sequence[int],
    plan: TrainPlan,
    outcomes: Mapping[tuple[str, int], TrainOutcome],
    opened: Mapping[str, Dataset],
    flows: Mapping[str, str],
) -> list[SuiteTest]:
    """Return every row in every column it is measured in.

    Args:
        suite: the table.
        rows: of it.
        seeds: as trained.
        plan: where checkpoints are.
        outcomes: of the trainings; seeds that failed are left out.
        opened: column -> its sequences.
        flows: flow of the suite -> what ``--flow`` takes.
    """
    tests = []
    for row in rows:
        contestants = _contestants(suite, row, row.training, seeds, plan, outcomes)
        together: dict[tuple[object, ...], list[Column]] = {}
        for column in suite.columns_of(row):
            together.setdefault(_what_is_seen(suite, row, column), []).append(column)
        for columns in together.values():
            first = columns[0]
            flow = suite.flow_of(row, first)
            common = SuiteTest(
                row=row,
                column=first,
                dataset=opened[first.name],
                protocol=load_protocol(first.protocol),
                flow=flows[flow.name] if flow else "",
                contestants=contestants,
                folds=_folds(suite, row, opened[first.name], seeds, plan, outcomes),
                place=first.name,
                words=tuple(dict.fromkeys(_word(column) for column in columns)),
            )
            tests += [replace(common, column=column) for column in columns]
    return tests


def _what_is_seen(suite: Suite, row: Row, column: Column) -> tuple[object, ...]:
    flow = suite.flow_of(row, column)
    return column.dataset, column.split, column.protocol, column.limit, flow and flow.name


def _word(column: Column) -> str:
    metric = metric_of(column.value)
    if metric is None:
        raise InputError(f"column {column.name}: no metric has a value '{column.value}'")
    return metric.name


def _folds(
    suite: Suite,
    row: Row,
    dataset: Dataset,
    seeds: Sequence[int],
    plan: TrainPlan,
    outcomes: Mapping[tuple[str, int], TrainOutcome],
) -> dict[str, dict[int, Contestant]]:
    found: dict[str, dict[int, Contestant]] = {}
    for split, training in row.folds.items():
        contestants = _contestants(suite, row, training, seeds, plan, outcomes)
        found |= dict.fromkeys(
            [video.name for video in open_dataset(dataset.name, dataset.root, split)], contestants
        )
    return found


def _contestants(
    suite: Suite,
    row: Row,
    name: str | None,
    seeds: Sequence[int],
    plan: TrainPlan,
    outcomes: Mapping[tuple[str, int], TrainOutcome],
) -> dict[int, Contestant]:
    """Return one contestant per seed whose trainings came through; a row that learns nothing has one."""
    if name is None:
        assert row.model is not None
        return {seeds[0]: Contestant(row.model, row.name)}
    training = suite.trainings[name]
    found = {}
    for seed in seeds:
        if any(outcomes[needed, seed].state == "failed" for needed in row.needs):
            continue
        replaced = {switch: str(plan.tasks[each, seed].checkpoint) for switch, each in row.weights.items()}
        found[seed] = Contestant(
            training.model,
            f"{row.name}-seed{seed}",
            checkpoint=plan.tasks[name, seed].checkpoint,
            settings={**row.settings, **replaced},
        )
    return found


def gather(
    tests: Sequence[SuiteTest],
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    cache: Path | None = None,
) -> dict[tuple[str, str], CellResult]:
    """Return (row, column) -> what the records of its jobs say.

    Args:
        tests: what was planned.
        jobs: of `plan_jobs`.
        outcomes: of the jobs.
        cache: keeps flow between runs.

    Raises:
        InputError: detections that were written cannot be read, or flow cannot be computed.
    """
    records: dict[tuple[str, str], dict[str, tuple[Job, Record]]] = {}
    pairs = [(job, model) for job in jobs for model in job.models]
    for (job, _), outcome in zip(pairs, outcomes, strict=True):
        if outcome.record is not None:
            place = records.setdefault((job.out.name, outcome.model), {})
            place[outcome.sequence] = (job, outcome.record)
    measured: dict[tuple[str, str], Motion] = {}
    cells = {}
    for test in tests:
        frames = None
        if test.column.motion is not None and test.contestants:
            key = (test.place, test.flow)
            if key not in measured:
                flow = _parse(test.flow)
                measured[key] = measure_motion(test.dataset, test.length, test.protocol, flow, cache)
            frames = chosen_frames(measured[key], test.column.motion)
        cells[test.row.name, test.column.name] = _cell_result(test, records, frames)
    return cells


def rule_of(column: Column) -> Rule:
    """Return how the sequences of a column are brought together."""
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

_Records = Mapping[tuple[str, str], Mapping[str, tuple[Job, Record]]]


def _cell_result(test: SuiteTest, records: _Records, frames: Frames | None) -> CellResult:
    by_seed = {
        seed: _rows(test, records[test.place, contestant.label], frames)
        for seed, contestant in test.contestants.items()
        if (test.place, contestant.label) in records
    }
    wanted = [name for name in test.names if frames is None or name in frames]
    value = seeded_value(by_seed, rule_of(test.column)) if wanted and any(by_seed.values()) else None
    return CellResult(value, by_seed, len(wanted), test.flow)


def _rows(
    test: SuiteTest, records: Mapping[str, tuple[Job, Record]], frames: Frames | None
) -> dict[str, Mapping[str, float | None]]:
    wanted = {name: records[name] for name in test.names if name in records}
    if test.protocol.average == "pooled":
        return {name: _detections(test, *record, name) for name, record in wanted.items()}
    if frames is not None:
        return {
            name: {
                test.column.value: mean_of_frames(record.per_frame["J"], frames[name]),
                FRAMES: float(len(frames[name])),
            }
            for name, (_, record) in wanted.items()
            if name in frames
        }
    scores = {
        name: SequenceScore(
            values={key: math.nan if value is None else value for key, value in record.values.items()},
            objects=int(record.provenance.get("objects", 1)),
        )
        for name, (_, record) in wanted.items()
    }
    return dict(counted_rows(scores, test.column.value, test.protocol))


def _detections(test: SuiteTest, job: Job, record: Record, name: str) -> DetectionRow:
    """Score the file again: what is pooled is not in the record."""
    folder = masks_path(job.out, test.dataset.label, record.model, name).parent
    return DetectionRow(
        DetectionFolder.open(folder, [name], test.protocol).score(test.dataset[job.rules[0].index])
    )
