"""The part of ``compare`` that runs a suite: a table of a paper, trained and tested."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from vosbench.cli.terminal import print_notes, progress_bar
from vosbench.errors import InputError

if TYPE_CHECKING:
    from vosbench.ablations.run import SuiteResult
    from vosbench.ablations.schema import Edition


def run_suite(
    file: Path,
    edition: Edition,
    data_root: Path | None,
    out: Path,
    rows: Sequence[str] | None,
    seeds: str | None,
    workers: int | None,
    device: str,
    dry_run: bool,
    results: Path | None,
) -> NoReturn:
    """Train and test the rows of a suite, print its table and end with the status of the command."""
    from vosbench.ablations.load import load_suite
    from vosbench.ablations.report import markdown, published_values, write_suite
    from vosbench.ablations.run import SuiteOptions
    from vosbench.ablations.run import run_suite as run
    from vosbench.data.roots import cache_root

    suite = load_suite(file)
    published = published_values(suite)
    options = SuiteOptions(
        edition=edition,
        out=out,
        data_root=data_root,
        rows=rows,
        seeds=None if seeds is None else _numbers(seeds),
        workers=workers,
        device=device,
        dry_run=dry_run,
        cache=cache_root(),
    )
    with progress_bar(suite.id) as progress:
        result = run(suite, options, _also_in_lines(progress))
    if dry_run:
        _print_plan(result)
    else:
        files = write_suite(result, published, results)
        sys.stdout.write(markdown(result, published))
        sys.stderr.write(f"written: {', '.join(map(str, files))}\n")
    for failure in result.failures:
        sys.stderr.write(f"failed: {failure}\n")
    raise typer.Exit(result.exit_status)


def refuse(what: str, given: Mapping[str, Any]) -> None:
    """Refuse options that say nothing here.

    Raises:
        InputError: one of them was given.
    """
    for option, value in given.items():
        if value:
            raise InputError(f"{what} does not take {option}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"--seeds {text}: write whole numbers separated by commas") from None


def _also_in_lines(bar: Callable[[int, int, str], None]) -> Callable[[int, int, str], None]:
    """Where there is no terminal, tell of every training: hours may pass between two of them."""

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
