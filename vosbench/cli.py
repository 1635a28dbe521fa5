"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from vosbench import __version__
from vosbench.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

Report = Callable[[int, int, str], None]

app = typer.Typer(
    help="Train, run, score and compare video object segmentation methods.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Data sets: what there is, and rendered miniatures.", no_args_is_help=True)
leaderboard_app = typer.Typer(help="Tables from records, and a check of their numbers.", no_args_is_help=True)
weights_app = typer.Typer(help="Trained weights that come with vosbench.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(weights_app, name="weights")

DataRoot = Annotated[
    Path | None, typer.Option(help="Folder that holds the data sets; else $VOSBENCH_DATA, else ./data.")
]
Workers = Annotated[int | None, typer.Option(help="Processes; one per core by default.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set; its usual one by default.")]
Metrics = Annotated[str | None, typer.Option(help="Letters out of j,f,t; all of the protocol by default.")]


def main() -> None:
    """Run the command line; an error of the user ends as one line on stderr and status 2."""
    # The base of all errors of the option parser; typer itself exports only its descendants.
    usage_error: Any = typer.BadParameter.__mro__[2]
    try:
        status = app(standalone_mode=False)
    except InputError as error:
        _stop(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) left; not even the flush at exit can reach it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except usage_error as error:
        _stop_usage(error)
    sys.exit(status or 0)


def _stop(message: str) -> NoReturn:
    sys.stderr.write(f"vosbench: {' '.join(message.split())}\n")
    sys.exit(2)


def _stop_usage(error: Any) -> NoReturn:
    """A command group without a sub-command shows its help; anything else is one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{error.format_message()}\n")
        sys.exit(2)
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    _stop(f"{error.format_message()}{hint}")


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"vosbench {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


@app.command()
def fit(
    overrides: Annotated[
        list[str], typer.Argument(help="key=value, e.g. model=mpnet size=tiny data=mini trainer.max_epochs=2")
    ],
) -> None:
    """Train a method with its paper's recipe.

    vosbench fit model=mpnet [stage=STAGE|all] [data=ft3d|mini] [size=full|tiny] [key=value ...]
    """
    from vosbench.fit import fit as run

    folder = run(overrides)
    sys.stdout.write(f"{folder}\n")


@app.command()
def score(
    results: Annotated[Path, typer.Argument(help="Folder of masks: RESULTS/SEQUENCE/FRAME.png.")],
    dataset: Annotated[str, typer.Option(help="Data set name, e.g. davis16.")],
    split: Split = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol id; the data set's own by default.")] = None,
    data_root: DataRoot = None,
    metrics: Metrics = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the values to this file.")
    ] = None,
    workers: Workers = None,
    missing: Annotated[Literal["error", "empty"], typer.Option(help="What a missing frame is.")] = "error",
    threshold: Annotated[int | None, typer.Option(help="Grey level above which is foreground.")] = None,
    sequences: Annotated[str | None, typer.Option(help="Score only these, separated by commas.")] = None,
) -> None:
    """Score a folder of result masks."""
    from vosbench.benchmark.score import score as run
    from vosbench.files import write_text

    with _progress("scoring") as progress:
        scored = run(
            results,
            dataset,
            split=split,
            protocol=protocol,
            data_root=data_root,
            metrics=_names(metrics),
            workers=workers,
            missing=missing,
            threshold=threshold,
            sequences=_names(sequences),
            progress=progress,
        )
    if json_file is not None:
        write_text(json_file, scored.to_json())
    rows = {name: item.values for name, item in scored.sequences.items()}
    _print_values(f"{scored.dataset} {scored.split}, {scored.protocol}", rows, scored.overall)
    _print_notes(scored.notes)


@data_app.command("list")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets, where they are expected and whether they are there."""
    from vosbench.data.catalogue import CATALOGUE
    from vosbench.data.roots import data_root as find

    root = find(data_root)
    table = _table(f"data sets under {root}", ["name", "title", "kind", "found", "size", "licence"])
    for name, entry in CATALOGUE.items():
        found = "yes" if (root / name).is_dir() else "no"
        table.add_row(name, entry.title, entry.kind, found, entry.size, entry.licence)
    _print(table)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _print_values(title: str, rows: Mapping[str, Mapping[str, float]], overall: Mapping[str, float]) -> None:
    table = _table(title, ["sequence", *overall])
    for name, values in rows.items():
        table.add_row(name, *(_number(values.get(metric)) for metric in overall))
    table.add_section()
    table.add_row("overall", *(_number(value) for value in overall.values()), style="bold")
    _print(table)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console()
    # Piped output has no width of its own; 80 columns would cut the numbers off.
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        sys.stderr.write(f"note: {note}\n")


@contextmanager
def _progress(title: str) -> Iterator[Report]:
    """Yield a callback (done, of all, name of the last) that draws a bar on stderr when it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)
