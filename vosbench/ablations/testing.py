"""Tests of a suite: the methods of every row and the sequences of every column."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vosbench.ablations.schema import Column, Edition, Suite, SuiteRow
from vosbench.ablations.training import TrainOutcome
from vosbench.benchmark.job import Job, ProtocolRun
from vosbench.benchmark.method_spec import MethodSpec
from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import mini_root
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError, check_name
from vosbench.evaluation.record_template import command_line
from vosbench.flow import GROUND_TRUTH
from vosbench.flow.estimators import build_estimator, parse_flow
from vosbench.metrics.specs import metric_of
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import class_of
from vosbench.video import Video

Trainings = Mapping[tuple[str, int], TrainOutcome]
"""(training, seed) -> outcome."""


@dataclass(frozen=True)
class SuiteTest:
    """One row in one column: one method per seed that was trained, and the sequences to segment.

    Attributes:
        row, column: the cell of the table.
        dataset: the sequences.
        protocol: the rules.
        flow: value of ``--flow``, ``""`` for none.
        flow_written: the same as the suite has it, without the values of environment variables.
        methods: seed -> method.
        folds: sequence -> seed -> the method of the same label that tests this sequence instead.
        folder_name: name of the column under which records and masks are; columns that differ in the
            metric only share them.
        metrics: metrics of the protocol that all these columns need.
    """

    row: SuiteRow
    column: Column
    dataset: Dataset
    protocol: Protocol
    flow: str
    flow_written: str
    methods: Mapping[int, MethodSpec]
    folds: Mapping[str, Mapping[int, MethodSpec]]
    folder_name: str
    metrics: tuple[str, ...]

    @property
    def videos(self) -> list[Video]:
        """The sequences to test."""
        return select_videos(self.column, self.dataset)

    @property
    def names(self) -> list[str]:
        """The sequences that count."""
        names = [video.name for video in self.videos]
        return [name for name in names if self.column.only in (None, class_of(name))]

    def jobs(self, folder: Path, device: str, cache: Path | None) -> list[Job]:
        """Return one job per sequence; records and masks go to ``<folder>/<folder_name>``."""
        name, settings = parse_test_flow(self.flow)
        common = Job(
            dataset=self.dataset.name,
            root=self.dataset.root,
            edition=self.dataset.edition,
            sequence="",
            runs=(),
            device=device,
            flow=name,
            flow_settings=settings,
            cache=cache,
            out=folder / self.folder_name,
            command=command_line(),
            dry_run=False,
            call=uuid.uuid4().hex,
        )
        metrics = self.protocol.choose_metrics(self.metrics)
        jobs = []
        for sequence in [video.name for video in self.videos]:
            methods = tuple(self.folds.get(sequence, self.methods).values())
            run = ProtocolRun(self.protocol, metrics, self.dataset.split, methods)
            jobs += [replace(common, sequence=sequence, runs=(run,))] if methods else []
        return jobs


def plan_jobs(tests: Sequence[SuiteTest], folder: Path, device: str, cache: Path | None) -> list[Job]:
    """Return the jobs of all tests; tests that share a folder share their jobs."""
    first = {(test.row.name, test.folder_name): test for test in reversed(tests)}
    run = [test for test in tests if first[test.row.name, test.folder_name] is test]
    return [job for test in run for job in test.jobs(folder, device, cache)]


def read_flows(suite: Suite, rows: Sequence[SuiteRow], edition: Edition) -> dict[str, str]:
    """Return flow of the suite -> value of ``--flow``, for the tests of some rows.

    Raises:
        InputError: an environment variable is not set, or an estimator does not exist.
    """
    flows = {
        flow.name: flow
        for row in rows
        for column in suite.columns_of(row)
        if (flow := suite.flow_of(row, column)) is not None
    }
    texts = {name: flow.text(edition) for name, flow in flows.items()}
    for name, text in texts.items():
        try:
            parse_test_flow(text)
        except InputError as error:
            raise InputError(f"{suite.id}, flows.{name}: {error}") from None
    return texts


def parse_test_flow(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and settings of an estimator, as `Job` takes them; ``""`` needs none.

    Raises:
        InputError: there is no such estimator or setting.
    """
    if text in ("", GROUND_TRUTH):
        return GROUND_TRUTH, {}
    name, settings = parse_flow(text)
    build_estimator(name, **settings)
    return name, settings


def select_videos(column: Column, dataset: Sequence[Video]) -> list[Video]:
    """Return the sequences of a column that are tested.

    Raises:
        InputError: the data set lacks one that the column names.
    """
    names = None if column.sequences is None else shipped_split(column.sequences)
    videos = [video for video in dataset if names is None or video.name in names]
    for name in names or ():
        check_name(f"sequence of {column.dataset} {column.split}", name, [video.name for video in videos])
    return videos[: column.limit]


def open_column(column: Column, root: Path | None) -> Dataset:
    """Open the data set of a column: under `root`, or its miniature edition, rendered if need be.

    Raises:
        InputError: the data set is not there, or lacks a sequence that the column names.
    """
    options = load_protocol(column.protocol).reader_options(column.dataset)
    if root is not None:
        dataset = open_dataset(column.dataset, root, column.split, **options)
        select_videos(column, dataset)
        return dataset
    # Rendering needs more than reading: it is imported only where it is used.
    from vosbench.data.mini import ensure_mini

    rendered = mini_root()
    ensure_mini(column.dataset, rendered)
    return open_dataset(column.dataset, rendered, column.split, **options)


def plan_tests(
    suite: Suite,
    edition: Edition,
    rows: Sequence[SuiteRow],
    seeds: Sequence[int],
    trainings: Trainings,
    opened: Mapping[str, Dataset],
    flows: Mapping[str, str],
) -> list[SuiteTest]:
    """Return every row in every column it is measured in.

    Args:
        suite: the table, of the edition.
        edition: which.
        rows: of it.
        seeds: as trained.
        trainings: outcomes with their checkpoints; seeds that failed are left out.
        opened: column -> its sequences.
        flows: flow of the suite -> value of ``--flow``.
    """
    tests = []
    for row in rows:
        same_input: dict[tuple[object, ...], list[Column]] = {}
        for column in suite.columns_of(row):
            same_input.setdefault(_input_of(suite, row, column), []).append(column)
        for columns in same_input.values():
            first = columns[0]
            flow = suite.flow_of(row, first)
            shared = SuiteTest(
                row=row,
                column=first,
                dataset=opened[first.name],
                protocol=load_protocol(first.protocol),
                flow=flows[flow.name] if flow else "",
                flow_written=flow.written(edition) if flow else "",
                methods=_methods(suite, row, row.training, seeds, trainings),
                folds=_folds(suite, row, opened[first.name], seeds, trainings),
                folder_name=first.name,
                metrics=tuple(dict.fromkeys(_metric(column) for column in columns)),
            )
            tests += [replace(shared, column=column) for column in columns]
    return tests


def _input_of(suite: Suite, row: SuiteRow, column: Column) -> tuple[object, ...]:
    """Return what decides the masks of a row in a column."""
    flow = suite.flow_of(row, column)
    selected = (column.dataset, column.split, column.sequences, column.limit)
    return *selected, column.protocol, flow and flow.name


def _metric(column: Column) -> str:
    metric = metric_of(column.value)
    if metric is None:
        raise InputError(f"column {column.name}: no metric has a value '{column.value}'")
    return metric


def _folds(
    suite: Suite, row: SuiteRow, dataset: Dataset, seeds: Sequence[int], trainings: Trainings
) -> dict[str, dict[int, MethodSpec]]:
    return {
        video.name: methods
        for split, training in row.folds.items()
        for methods in [_methods(suite, row, training, seeds, trainings)]
        for video in open_dataset(dataset.name, dataset.root, split)
    }


def _methods(
    suite: Suite, row: SuiteRow, name: str | None, seeds: Sequence[int], trainings: Trainings
) -> dict[int, MethodSpec]:
    """Return one method per seed whose trainings succeeded; a row that learns nothing has one."""
    if name is None:
        assert row.model is not None
        return {seeds[0]: MethodSpec(row.model, row.name, settings=row.settings)}
    methods = {}
    for seed in seeds:
        if any(trainings[needed, seed].state == "failed" for needed in row.needs):
            continue
        replaced = {
            switch: str(trainings[other, seed].task.checkpoint) for switch, other in row.weights.items()
        }
        methods[seed] = MethodSpec(
            suite.trainings[name].model,
            f"{row.name}-seed{seed}",
            checkpoint=trainings[name, seed].task.checkpoint,
            settings={**row.settings, **replaced},
        )
    return methods
