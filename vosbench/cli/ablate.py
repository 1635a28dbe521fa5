"""Command ``ablate``: a table of a paper, trained and tested."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vosbench.cli.options import DataRoot, Device, Workers, names
from vosbench.cli.terminal import make_table, print_notes, print_table, progress_bar
from vosbench.errors import InputError

if TYPE_CHECKING:
    from vosbench.ablations.run import SuiteResult

SUITES = Path("benchmarks/ablations")


def ablate(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="SUITE", help=f"Suite file, or the name of one in {SUITES}, e.g. mpnet_table1."
        ),
    ] = None,
    list_suites: Annotated[
        bool, typer.Option("--list", help=f"List the suites in the folder SUITE, by default {SUITES}.")
    ] = False,
    edition: Annotated[
        Literal["mini", "lite", "official"],
        typer.Option(
            help="Rendered test bed, small networks on real video, or the paper's data and networks."
        ),
    ] = "mini",
    data_root: DataRoot = None,
    out: Annotated[Path, typer.Option(help="Folder for runs, records, masks and tables.")] = Path("results"),
    rows: Annotated[list[str] | None, typer.Option(help="Only these rows, separated by commas.")] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(help="Seeds, e.g. 0,1,2; those of the suite by default.")
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the trainings and tests.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Also write the table to this folder of kept results.")
    ] = None,
) -> None:
    """Train and test the rows of a paper's table and put them beside the published values."""
    if list_suites:
        _print_suites(SUITES if suite is None else Path(suite))
        return
    if suite is None:
        raise InputError("name a suite, e.g. vosbench ablate mpnet_table1; vosbench ablate --list shows all")
    from vosbench.ablations.load import load_suite
    from vosbench.ablations.published import published_values
    from vosbench.ablations.report import markdown, write_suite
    from vosbench.ablations.run import SuiteOptions, run_suite
    from vosbench.data.roots import cache_root
    from vosbench.files import check_folder

    table = load_suite(_suite_file(suite))
    published = published_values(table)
    options = SuiteOptions(
        edition=edition,
        out=out,
        data_root=data_root,
        rows=names(rows),
        seeds=_numbers(seeds) if seeds else None,
        workers=workers,
        device=device,
        dry_run=dry_run,
        cache=cache_root(),
    )
    if results is not None and not dry_run:
        check_folder(results)
    with progress_bar(table.id) as progress:
        progress.wait("planning trainings and tests")
        result = run_suite(table, options, _also_in_lines(progress))
    if dry_run:
        _print_plan(result)
    else:
        files = write_suite(result, published, results)
        sys.stdout.write(markdown(result, published))
        sys.stderr.write(f"written: {', '.join(map(str, files))}\n")
    for failure in result.failures:
        sys.stderr.write(f"failed: {failure}\n")
    raise typer.Exit(result.exit_status)


def _suite_file(suite: str) -> Path:
    """Return the file of a suite that is given as a path or as a name."""
    named = SUITES / f"{suite}.yaml"
    return named if named.is_file() and not Path(suite).is_file() else Path(suite)


def _print_suites(folder: Path) -> None:
    from vosbench.ablations.load import load_suite

    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InputError(f"{folder}: no suites; give the folder, e.g. vosbench ablate --list {SUITES}")
    table = make_table(f"suites in {folder}", ["suite", "table", "title", "rows", "orderings"])
    for file in files:
        suite = load_suite(file)
        table.add_row(suite.id, suite.source, suite.title, str(len(suite.rows)), str(len(suite.orderings)))
    print_table(table)


def _numbers(texts: list[str]) -> list[int]:
    try:
        return [int(part) for part in names(texts) or []]
    except ValueError:
        raise InputError(f"--seeds {','.join(texts)}: write whole numbers separated by commas") from None


def _also_in_lines(bar: Callable[[int, int, str], None]) -> Callable[[int, int, str], None]:
    """Without a terminal, also print one line per training: hours may pass between two of them."""

    def report(done: int, total: int, name: str) -> None:
        bar(done, total, name)
        if " seed " in name and not sys.stderr.isatty():
            sys.stderr.write(f"{done}/{total} {name}\n")

    return report


def _print_plan(result: SuiteResult) -> None:
    for (name, seed), outcome in result.trainings.items():
        command = shlex.join(["vosbench", "fit", *outcome.task.overrides])
        sys.stdout.write(f"{name} seed {seed}: {outcome.state}\n  {command}\n")
    for row in result.rows:
        columns = ", ".join(column.name for column in result.suite.columns_of(row))
        sys.stdout.write(f"{row.title}: tested in {columns}\n")
    print_notes(result.notes)
