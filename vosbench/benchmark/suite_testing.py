"""Testing the rows of a suite: which networks see which sequences, and what their records say."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.evaluate import SequenceScore, aggregation, counted_rows
from vosbench.benchmark.job import GROUND_TRUTH, Contestant, Job, Outcome
from vosbench.benchmark.protocols import Protocol, load_protocol
from vosbench.benchmark.record import Record
from vosbench.benchmark.suite import Column, Edition, Row, Suite
from vosbench.benchmark.suite_statistics import BySeed, Rule, SeededValue, seeded_value
from vosbench.benchmark.suite_train import TrainOutcome, TrainPlan
from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import cache_root
from vosbench.errors import InputError
from vosbench.flow.estimators import build_estimator, parse_flow

_WORDS = {"J": "j", "F": "f", "T": "t", "JF": "jf", "iou": "iou", "delta": "delta_obj"}
"""First word of a metric's name -> the protocol's word for what computes it; the others are FBMS's."""


@dataclass(frozen=True)
class SuiteTest:
    """One row in one column: the contestants, one per seed that was trained, and what they see."""

    row: Row
    column: Column
    dataset: Dataset
    protocol: Protocol
    flow: str
    contestants: Mapping[int, Contestant]

    @property
    def length(self) -> int:
        """Number of sequences to test."""
        return min(self.column.limit or len(self.dataset), len(self.dataset))

    def jobs(self, folder: Path, device: str, cache: Path | None) -> list[Job]:
        """Return one job per sequence; records and masks go to ``<folder>/<column>``."""
        if not self.contestants:
            return []
        name, settings = _parse(self.flow)
        word = _WORDS.get(self.column.metric.split("_")[0], "fbms")
        common = Job(
            dataset=self.dataset.name,
            root=self.dataset.root,
            split=self.dataset.split,
            index=0,
            sequence="",
            models=tuple(self.contestants.values()),
            device=device,
            protocol=self.protocol,
            metrics=self.protocol.choose_metrics((word,)),
            flow=name,
            flow_settings=settings,
            cache=cache,
            out=folder / self.column.name,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            dry_run=False,
            options=self.protocol.options,
        )
        return [
            replace(common, index=index, sequence=self.dataset[index].name) for index in range(self.length)
        ]


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
    options = load_protocol(column.protocol).options
    if root is not None:
        return open_dataset(column.dataset, root, column.split, **options)
    # Rendering needs more than reading: it is imported only where it is used.
    from vosbench.data.mini import ensure_mini

    home = cache_root() / "mini"
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
        contestants = _contestants(suite, row, seeds, plan, outcomes)
        for column in suite.columns_of(row):
            flow = suite.flow_of(row, column)
            text = flows[flow.name] if flow else ""
            rules = load_protocol(column.protocol)
            tests.append(SuiteTest(row, column, opened[column.name], rules, text, contestants))
    return tests


def _contestants(
    suite: Suite,
    row: Row,
    seeds: Sequence[int],
    plan: TrainPlan,
    outcomes: Mapping[tuple[str, int], TrainOutcome],
) -> dict[int, Contestant]:
    """Return one contestant per seed whose trainings came through; a row that learns nothing has one."""
    if row.training is None:
        assert row.model is not None
        return {seeds[0]: Contestant(row.model, row.name)}
    training = suite.trainings[row.training]
    found = {}
    for seed in seeds:
        if any(outcomes[name, seed].state == "failed" for name in row.needs):
            continue
        replaced = {switch: str(plan.tasks[name, seed].checkpoint) for switch, name in row.weights.items()}
        found[seed] = Contestant(
            training.model,
            f"{row.name}-seed{seed}",
            checkpoint=plan.tasks[row.training, seed].checkpoint,
            settings={**row.settings, **replaced},
        )
    return found


def gather(
    tests: Sequence[SuiteTest], jobs: Sequence[Job], outcomes: Sequence[Outcome]
) -> dict[tuple[str, str], CellResult]:
    """Return (row, column) -> what the records of its jobs say."""
    records: dict[tuple[str, str], list[Record]] = {}
    places = (job.out.name for job in jobs for _ in job.models)
    for place, outcome in zip(places, outcomes, strict=True):
        if outcome.record is not None:
            records.setdefault((place, outcome.model), []).append(outcome.record)
    return {(test.row.name, test.column.name): _cell_result(test, records) for test in tests}


def rule_of(column: Column) -> Rule:
    """Return how the sequences of a column are brought together."""
    protocol = load_protocol(column.protocol)
    return lambda names: aggregation(column.metric, names, protocol)


def _cell_result(test: SuiteTest, records: Mapping[tuple[str, str], Sequence[Record]]) -> CellResult:
    by_seed = {
        seed: _rows(test, records[test.column.name, contestant.label])
        for seed, contestant in test.contestants.items()
        if (test.column.name, contestant.label) in records
    }
    value = seeded_value(by_seed, rule_of(test.column)) if by_seed else None
    return CellResult(value, by_seed, test.length, test.flow)


def _rows(test: SuiteTest, records: Sequence[Record]) -> dict[str, dict[str, float | None]]:
    scores = {
        record.sequence: SequenceScore(
            values={key: math.nan if value is None else value for key, value in record.values.items()},
            objects=int(record.provenance.get("objects", 1)),
        )
        for record in records
    }
    return counted_rows(scores, test.column.metric, test.protocol)
