"""Output of the command line: tables on stdout, notes and progress on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vosbench.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.table import Table

    from vosbench.benchmark import CompareResult
    from vosbench.evaluation.doctor.findings import Finding
    from vosbench.evaluation.scores import Score, ScorePair

Report = Callable[[int, int | None, str], None]
"""Called with the number of finished items, of all items (None: not known), and the name of the last one."""


def print_scores(shown: Score | ScorePair, folders: Sequence[Path]) -> None:
    """Print the score of one result folder, or the comparison of two."""
    # a score has imported this already
    from vosbench.evaluation.scores import ScorePair

    if isinstance(shown, ScorePair):
        _print_pair(shown, folders)
    else:
        _print_score(shown)


def check_json(file: Path | None) -> None:
    """Make sure that `write_json` can write, before the work for it.

    Raises:
        InputError: it cannot.
    """
    if file is not None and str(file) != "-":
        from vosbench.files import check_file

        check_file(file)


def write_json(file: Path | None, text: Callable[[], str]) -> bool:
    """Write JSON text to a file if one is given; return whether it is stdout, written ``-``."""
    if file is None:
        return False
    if str(file) == "-":
        sys.stdout.write(text())
        return True
    from vosbench.files import write_text

    write_text(file, text())
    return False


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a line per mistake; sequences with the same one share it."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.problem, finding.fix), []).append(finding)
    for (severity, problem, fix), group in groups.items():
        sequences = ", ".join(f"{finding.sequence} ({finding.count})" for finding in group)
        sys.stdout.write(f"{severity}: {problem}\n  in {sequences}\n  fix: {fix}\n")
    sys.stderr.write(f"doctor: {len(groups) or 'no'} kinds of mistakes\n")


def _print_score(score: Score) -> None:
    """Print the values of every sequence, of the data set, and their 95 % intervals."""
    header, rows = score.table()
    table = make_table(_score_title(score), header, numbers=True)
    for name, values in rows[: len(score.sequences)]:
        table.add_row(name, *map(_number, values))
    table.add_section()
    for (name, values), style in zip(rows[len(score.sequences) :], ("bold", "dim", "dim"), strict=True):
        table.add_row(name, *map(_number, values), style=style)
    print_table(table)
    print_notes(score.notes)


def _print_pair(pair: ScorePair, folders: Sequence[Path]) -> None:
    """Print the data-set values of two result folders and how sure their difference is."""
    header, rows = pair.table()
    table = make_table(_score_title(pair.first), header, numbers=True)
    for metric, values in rows:
        table.add_row(metric, *map(_number, values))
    print_table(table)
    print_notes(pair.notes)
    for letter, folder, score in zip("AB", folders, (pair.first, pair.second), strict=True):
        sys.stdout.write(f"{letter}: {folder}\n")
        print_notes([f"{letter}: {note}" for note in score.notes])


def print_score_notes(shown: Score | ScorePair) -> None:
    """Write the notes of one or two scores to stderr."""
    # a score has imported this already
    from vosbench.evaluation.scores import ScorePair

    print_notes(shown.notes)
    if not isinstance(shown, ScorePair):
        return
    for letter, score in zip("AB", (shown.first, shown.second), strict=True):
        print_notes([f"{letter}: {note}" for note in score.notes])


def _score_title(score: Score) -> str:
    return f"{score.dataset} {score.split}, {score.protocol}, {len(score.sequences)} sequences"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def print_estimate(result: CompareResult, workers: int | None) -> None:
    """Print on stderr the estimated time, memory and disk of a planned comparison."""
    from vosbench.benchmark.estimate import estimate
    from vosbench.evaluation.store import read_records
    from vosbench.executors.local import choose_workers

    planned = [outcome for outcome in result.outcomes if outcome.state == "planned"]
    if not planned:
        return
    processes = choose_workers(workers, len({(item.dataset, item.sequence) for item in planned}))
    needed = estimate(planned, read_records(result.out / "records"), processes)
    parts = [f"time {duration(needed.seconds)} with {processes} workers"]
    if needed.unknown:
        known = needed.seconds > 0
        parts = [f"{parts[0]} without {', '.join(needed.unknown)}" if known else "time not known"]
    parts.append("memory not known" if needed.memory is None else f"memory up to {size(needed.memory)}")
    parts.append(
        f"disk {size(needed.disk)}" + (f" and up to {size(needed.flow)} of flow" if needed.flow else "")
    )
    sys.stderr.write(f"estimate: {', '.join(parts)}\n")
    if needed.basis:
        print_notes([f"time per frame of earlier records: {needed.basis}"])
    if needed.unknown:
        names = ", ".join(needed.unknown)
        print_notes([f"no record in {result.out} has the time of {names}: --limit 1 makes one"])


def make_table(title: str, columns: Sequence[str], *, numbers: bool = False) -> Table:
    """Return an empty table; columns of numbers, all but the first, are aligned to the right."""
    from rich import box
    from rich.table import Table

    class Plain(Table):
        """Table whose cells, names of others among them, are shown as they are."""

        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(
                *(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options
            )

    table = Plain(title=title, box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    return table


def print_table(table: Table) -> None:
    """Print a table, as wide as it needs where the output is no terminal."""
    from rich.console import Console

    # names are neither markup nor emoji
    console = Console(markup=False, emoji=False)
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
        sys.stderr.write(f"note: {printable(note)}\n")


class Progress(Protocol):
    """Display of the progress of a command; called as a `Report`."""

    def __call__(self, done: int, total: int | None, name: str) -> None:
        """Show the progress of the command."""

    def wait(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Show what the user waits for before that, see `vosbench.waiting.Waiting`."""


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Yield a display of progress on stderr.

    A terminal gets a bar that follows its width; a file or a pipe a line now and then.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines(title)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    # what is too long for a narrow window is cut: a line that wraps would be left behind at every step
    cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (
        TextColumn(title.replace("{", "{{").replace("}", "}}"), markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False, table_column=cut),
    )
    with Bars(*columns, console=console, transient=True, expand=True) as bars:
        yield ProgressBar(bars)


class ProgressBar:
    """Progress as a bar of a terminal.

    Args:
        bars: of rich, without a task.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None)
        self._what: str | None = None

    def __call__(self, done: int, total: int | None, name: str) -> None:
        """Move the bar of the command."""
        self._show(None, done, total, name)

    def wait(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Move a bar of what is waited for."""
        self._show(what, done, total, what)

    def _show(self, what: str | None, done: int, total: int | None, text: str) -> None:
        new = what != self._what
        if new:
            # the time left is estimated afresh where another thing is counted
            self._what = what
            self._bars.reset(self._task)
        # an import may keep the thread that draws from drawing
        shown = printable(text)
        self._bars.update(self._task, completed=done, total=total, description=shown, refresh=new)


class ProgressLines:
    """Progress as lines: what is waited for, and its end, at once; the rest at most every half minute.

    Args:
        title: what is done.
        clock: seconds, ascending.
    """

    interval = 30.0

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._title = title
        self._clock = clock
        self._start = self._printed = clock()
        self._what: str | None = None

    def __call__(self, done: int, total: int | None, name: str) -> None:
        """Print the progress, at most once per `interval`."""
        waited = self._what is not None
        now = self._begin(None)
        if done == 0:
            self._start = now
        if waited or now - self._printed >= self.interval:
            self._print(f"{self._counts(now, done, total)}; {name}", now)

    def wait(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Print what is waited for when it is new, then its progress, at most once per `interval`."""
        new = what != self._what
        now = self._begin(what)
        if new:
            self._print(what if total is None else f"{what}: {done} of {total}", now)
        elif now - self._printed >= self.interval:
            self._print(f"{what}: {self._counts(now, done, total)}", now)

    def _begin(self, what: str | None) -> float:
        """Return the time, from which on another thing is waited for where there is one."""
        now = self._clock()
        if what not in (None, self._what):
            self._start = self._printed = now
        self._what = what
        return now

    def _counts(self, now: float, done: int, total: int | None) -> str:
        left = ""
        # the first ones include the start of the workers
        if total is not None and total <= 8 * done < 8 * total:
            left = f", {duration((now - self._start) * (total - done) / done)} left"
        everything = "" if total is None else f" of {total}"
        return f"{done}{everything} after {duration(now - self._start)}{left}"

    def _print(self, text: str, now: float) -> None:
        self._printed = now
        sys.stderr.write(f"{self._title}: {printable(text)}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return a time in its two largest units, e.g. ``"2 h 5 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(count: float) -> str:
    """Return a number of bytes in a suitable unit, e.g. ``"1.5 GB"``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
