"""How the command line shows things: tables on stdout, notes and progress on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from vosbench.benchmark.doctor import Finding
    from vosbench.benchmark.score import Score, ScorePair

Report = Callable[[int, int | None, str], None]
"""Called with the number of finished items, of all items (None: not known), and the name of the last one."""


def print_scores(shown: Score | ScorePair, folders: Sequence[Path]) -> None:
    """Print what one result folder scored, or how two compare."""
    # whoever has a score has imported this
    from vosbench.benchmark.score import ScorePair

    if isinstance(shown, ScorePair):
        _print_pair(shown, folders)
    else:
        _print_score(shown)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a line per mistake; sequences with the same one share it."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.problem, finding.fix), []).append(finding)
    for (severity, problem, fix), found in groups.items():
        places = ", ".join(f"{each.sequence} ({each.count})" for each in found)
        sys.stdout.write(f"{severity}: {problem}\n  in {places}\n  fix: {fix}\n")
    sys.stderr.write(f"doctor: {len(groups) or 'no'} kinds of mistakes\n")


def _print_score(score: Score) -> None:
    """Print the values of every sequence, of the data set, and their 95 % intervals."""
    table = make_table(_score_title(score), ["sequence", *score.overall], numbers=True)
    for name, item in score.sequences.items():
        table.add_row(name, *(_number(item.values.get(metric)) for metric in score.overall))
    table.add_section()
    table.add_row("overall", *(_number(value) for value in score.overall.values()), style="bold")
    for title, end in (("95 % from", "low"), ("95 % to", "high")):
        ends = {name: getattr(each, end) for name, each in score.intervals.items()}
        table.add_row(title, *(_number(ends.get(name)) for name in score.overall), style="dim")
    print_table(table)
    print_notes(score.notes)


def _print_pair(pair: ScorePair, folders: Sequence[Path]) -> None:
    """Print the data-set values of two result folders and how sure their difference is."""
    columns = ["metric", "A", "B", "A - B", "95 % from", "95 % to", "P(A is better)"]
    table = make_table(_score_title(pair.first), columns, numbers=True)
    for metric, each in pair.comparisons.items():
        values = (each.first, each.second, each.difference, each.interval.low, each.interval.high)
        table.add_row(metric, *(_number(value) for value in values), _number(each.win_probability))
    print_table(table)
    for letter, folder, score in zip("AB", folders, (pair.first, pair.second), strict=True):
        sys.stdout.write(f"{letter}: {folder}\n")
        print_notes([f"{letter}: {note}" for note in score.notes])


def _score_title(score: Score) -> str:
    return f"{score.dataset} {score.split}, {score.protocol}, {len(score.sequences)} sequences"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def make_table(title: str, columns: Sequence[str], *, numbers: bool = False) -> Table:
    """Return an empty table; columns of numbers, all but the first, are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    return table


def print_table(table: Table) -> None:
    """Print a table, as wide as it needs where the output is no terminal."""
    from rich.console import Console

    console = Console()
    # Piped output has no width of its own; 80 columns would cut the numbers off.
    if not console.is_terminal:
        console.width = 200
    # a title of its own is not folded into the width of a narrow table
    console.print(table.title, style="italic")
    table.title = None
    console.print(table)


def print_notes(notes: Sequence[str]) -> None:
    """Write one line per note to stderr."""
    for note in notes:
        sys.stderr.write(f"note: {note}\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Yield a callback (done, of all, name of the last) that draws a bar on stderr when it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total, name: None
        return
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)
