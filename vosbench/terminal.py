"""How the command line shows things: tables on stdout, notes and progress on stderr."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Report = Callable[[int, int, str], None]
"""Called with the number of finished items, of all items, and the name of the last one."""


def print_values(
    title: str, rows: Mapping[str, Mapping[str, float | None]], overall: Mapping[str, float]
) -> None:
    """Print a row of metric values per sequence and the overall row."""
    table = make_table(title, ["sequence", *overall], numbers=True)
    for name, values in rows.items():
        table.add_row(name, *(_number(values.get(metric)) for metric in overall))
    table.add_section()
    table.add_row("overall", *(_number(value) for value in overall.values()), style="bold")
    print_table(table)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def make_table(title: str, columns: Sequence[str], *, numbers: bool = False) -> Table:
    """Return an empty table; columns of numbers, all but the first, are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
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
