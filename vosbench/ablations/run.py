"""Run of a suite: trainings, tests of every row in every column, orderings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.ablations.cells import CellResult, read_cells, rule_of
from vosbench.ablations.schema import Edition, FlowChoice, Ordering, Suite, SuiteRow
from vosbench.ablations.statistics import BySeed, SeededDifference, Verdict, seeded_difference
from vosbench.ablations.testing import open_column, plan_jobs, plan_tests, read_flows
from vosbench.ablations.training import TrainOutcome, run_trainings
from vosbench.ablations.training_plan import plan_trainings
from vosbench.benchmark.comparison import run_jobs
from vosbench.benchmark.job import Job, Outcome
from vosbench.benchmark.leakage import leaks
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.executors.local import LocalExecutor, choose_workers
from vosbench.files import check_folder
from vosbench.metrics.specs import value_spec
from vosbench.models.pretrained.zoo import trainings as zoo_trainings

Progress = Callable[[int, int, str], None]
"""Called with the number of finished trainings or sequences, of all, and the last one."""


@dataclass(frozen=True)
class SuiteOptions:
    """Options of a run.

    Attributes:
        edition: which of its editions.
        out: results go to ``<out>/<suite>-<edition>``, run folders to ``<out>/runs``.
        data_root: of the official and the lite edition; the miniatures are rendered under the cache folder.
        rows: only these; all when None.
        seeds: those of the edition when None.
        workers: processes; one per core when None.
        device: where networks are tested, see `vosbench.models.pretrained.zoo.move_to`.
        dry_run: only plan the trainings.
        cache: keeps flow between runs.
    """

    edition: Edition
    out: Path
    data_root: Path | None = None
    rows: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    workers: int | None = None
    device: str = "auto"
    dry_run: bool = False
    cache: Path | None = None


@dataclass(frozen=True)
class OrderingResult:
    """An ordering of the paper and its verdict here; None and unclear when a row is missing."""

    ordering: Ordering
    difference: SeededDifference | None
    verdict: Verdict


@dataclass(frozen=True)
class SuiteResult:
    """Result of running a suite.

    Attributes:
        suite, edition, seeds: as run.
        folder: where it is written.
        rows: those asked for, without those that the edition cannot have.
        cells: (row, column) -> result.
        orderings: verdicts on the orderings between the rows that were run.
        trainings: (training, seed) -> outcome.
        failures: one line each.
        notes: remarks for readers, one line each.
    """

    suite: Suite
    edition: Edition
    seeds: tuple[int, ...]
    folder: Path
    rows: tuple[SuiteRow, ...]
    cells: Mapping[tuple[str, str], CellResult]
    orderings: tuple[OrderingResult, ...]
    trainings: Mapping[tuple[str, int], TrainOutcome]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 when every training and test succeeded, else 1."""
        return 1 if self.failures else 0


def run_suite(suite: Suite, options: SuiteOptions, progress: Progress | None = None) -> SuiteResult:
    """Train and test the rows of a suite.

    Runs that are finished and records that are current are kept; an interrupted training goes on from
    its last checkpoint. A row that fails is reported and the others go on.

    Args:
        suite: the table.
        options: which part of it, where, how.
        progress: called after every training and every tested sequence.

    Raises:
        InputError: the suite does not have what is asked for, data are missing, a training cannot
            be composed, or the folder of results cannot be written.
    """
    edition, seeds, rows = _choose(suite, options)
    suite = suite.in_edition(edition)
    folder = options.out / f"{suite.id}-{edition}"
    if not options.dry_run:
        check_folder(folder)
    names = [name for row in rows for name in row.needs]
    root = None if edition == "mini" else find_data_root(options.data_root)
    plan = plan_trainings(suite, edition, names, seeds, (options.out / "runs").resolve(), root)
    columns = [
        column for column in suite.columns.values() if any(column in suite.columns_of(r) for r in rows)
    ]
    # unreadable data and flow fail before anything is trained
    flows = read_flows(suite, rows, edition)
    opened = {} if options.dry_run else {column.name: open_column(column, root) for column in columns}

    def trained(done: int, total: int, last: TrainOutcome) -> None:
        if progress is not None and not options.dry_run:
            progress(done, total, f"{last.task.training} seed {last.task.seed}: {last.state}")

    workers = choose_workers(options.workers, max(1, len(plan.tasks)))
    outcomes = run_trainings(plan, workers, dry_run=options.dry_run, progress=trained)
    tests = [] if options.dry_run else plan_tests(suite, edition, rows, seeds, outcomes, opened, flows)
    jobs = plan_jobs(tests, folder, options.device, options.cache)
    testing = LocalExecutor(choose_workers(options.workers, max(1, len(jobs))))
    done = run_jobs(jobs, testing, _test_progress(progress))
    tested = read_cells(tests, jobs, done, options.cache)
    return SuiteResult(
        suite=suite,
        edition=edition,
        seeds=seeds,
        folder=folder,
        rows=rows,
        cells=tested,
        orderings=() if options.dry_run else tuple(judge_orderings(suite, rows, seeds, tested)),
        trainings=outcomes,
        failures=(*_failed_trainings(outcomes), *_failed_tests(jobs, done)),
        notes=(*_notes(suite, rows, edition, seeds, options), *_leaks(done)),
    )


def judge_orderings(
    suite: Suite,
    rows: Sequence[SuiteRow],
    seeds: Sequence[int],
    tested: Mapping[tuple[str, str], CellResult],
) -> list[OrderingResult]:
    """Judge the orderings of a table between rows that were run.

    Args:
        suite: the table, of the edition.
        rows: those that were run.
        seeds: of the run.
        tested: (row, column) -> result.
    """
    here = {row.name for row in rows}
    return [
        _judge_one(suite, ordering, seeds, tested)
        for ordering in suite.orderings
        if {ordering.first, ordering.second} <= here
    ]


def _choose(suite: Suite, options: SuiteOptions) -> tuple[Edition, tuple[int, ...], tuple[SuiteRow, ...]]:
    edition = options.edition
    if edition not in suite.editions:
        raise unknown_name(f"edition of {suite.id}", edition, suite.editions)
    if edition == "mini" and options.data_root is not None:
        raise InputError(
            "--data-root goes with --edition official or lite: the miniatures are rendered under the cache "
            "folder ($VOSBENCH_CACHE)"
        )
    for name in options.rows or ():
        if name not in suite.rows:
            raise unknown_name(f"row of {suite.id}", name, suite.rows)
        if edition in suite.rows[name].without:
            raise InputError(f"row {name} has no {edition} edition: {suite.rows[name].without[edition]}")
    seeds = tuple(dict.fromkeys(options.seeds or suite.editions[edition].seeds))
    rows = [
        row
        for name, row in suite.in_edition(edition).rows.items()
        if options.rows is None or name in options.rows
    ]
    return edition, seeds, tuple(row for row in rows if edition not in row.without)


def _test_progress(progress: Progress | None) -> Callable[[int, int, Outcome], None] | None:
    if progress is None:
        return None
    return lambda done, total, last: progress(done, total, f"{last.sequence} {last.model}: {last.state}")


def _judge_one(
    suite: Suite, ordering: Ordering, seeds: Sequence[int], tested: Mapping[tuple[str, str], CellResult]
) -> OrderingResult:
    column = suite.columns[ordering.column]
    first, second = (
        _seeds_of(suite, name, seeds, tested[name, column.name].by_seed)
        for name in (ordering.first, ordering.second)
    )
    if not first.keys() & second.keys():
        return OrderingResult(ordering, None, "unclear")
    difference = seeded_difference(
        first, second, rule_of(column), lower_is_better=not value_spec(column.metric).higher_is_better
    )
    return OrderingResult(ordering, difference, difference.holds(strict=ordering.strict))


def _seeds_of(suite: Suite, row: str, seeds: Sequence[int], own: BySeed) -> BySeed:
    """Return the seeds of a row; a row that learns nothing is the same with every seed of the run."""
    if suite.rows[row].training is None and own:
        return dict.fromkeys(seeds, next(iter(own.values())))
    return own


def _failed_trainings(outcomes: Mapping[tuple[str, int], TrainOutcome]) -> list[str]:
    return [
        f"training {name}, seed {seed}: {outcome.message}"
        for (name, seed), outcome in outcomes.items()
        if outcome.state == "failed"
    ]


def _failed_tests(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> list[str]:
    """Return one line per method, column and reason: a failure usually affects every sequence."""
    columns = (job.out.name for job in jobs for _ in job.methods)
    sequences: dict[tuple[str, str, str], list[str]] = {}
    for column, outcome in zip(columns, outcomes, strict=True):
        if outcome.state == "failed":
            reason = (outcome.model, column, outcome.message)
            sequences.setdefault(reason, []).append(outcome.sequence)
    return [
        f"{model} in column {column}, {_listed(names)}: {message}"
        for (model, column, message), names in sequences.items()
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _notes(
    suite: Suite, rows: Sequence[SuiteRow], edition: Edition, seeds: Sequence[int], options: SuiteOptions
) -> list[str]:
    notes = [f"{row.title}: {row.note}" for row in rows if row.note]
    settings = suite.editions[edition]
    notes += [settings.note] if settings.note else []
    if edition != "official":
        notes += [f"{title} is replaced by {text}" for title, text in _replaced(suite, rows, edition)]
    wanted = [row for row in suite.rows.values() if options.rows is None or row.name in options.rows]
    notes += [f"{row.title}: left out, {row.without[edition]}" for row in wanted if edition in row.without]
    if len(seeds) < 2:
        notes.append("one seed: intervals are over the sequences alone, and no ordering is judged")
    return notes


def _leaks(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one line per method that was trained on what it is scored on.

    That settings were chosen there is not repeated for every row: the note of the edition has it.
    """
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    return [str(leak) for leak in leaks(records, zoo_trainings()) if leak.kind == "trained on"]


def _replaced(suite: Suite, rows: Sequence[SuiteRow], edition: Edition) -> list[tuple[str, str]]:
    """Return (title, replacement) of the flows, in training and test, that the edition lacks."""
    used: dict[str, FlowChoice] = {}
    for row in rows:
        for column in suite.columns_of(row):
            flow = suite.flow_of(row, column)
            used |= {flow.name: flow} if flow else {}
    for name in [name for row in rows for name in row.needs]:
        used |= {f: suite.flows[f] for flows in suite.trainings[name].flow.values() for f in flows}
    return list(
        dict.fromkeys(
            (flow.title, flow.written(edition))
            for flow in used.values()
            if flow.written(edition) != flow.official
        )
    )
