"""Commands of the command line; every command imports its own heavy modules."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from vosbench import __version__
from vosbench.cli import ablate, data, export, flow, leaderboard, listing, new, run, train, weights
from vosbench.cli import score as scoring
from vosbench.cli.application import Application
from vosbench.cli.configuration import FitCommand
from vosbench.errors import InputError

app = Application(
    help="Train, run, score and compare video object segmentation methods.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(cls=FitCommand)(train.fit)
for command in (run.predict, scoring.score, run.compare, ablate.ablate, scoring.doctor, export.export):
    app.command()(command)
app.command("list")(listing.list_names)
app.add_typer(data.app, name="data")
app.add_typer(flow.app, name="flow")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(weights.app, name="weights")
app.add_typer(new.app, name="new")

_USAGE_ERROR: Any = typer.BadParameter.__mro__[2]
"""The base of all errors of the option parser; typer itself exports only its descendants."""


def run_command(words: Sequence[str]) -> int:
    """Run a command and return its exit status.

    Args:
        words: of the command line, as in `sys.argv`, without the name of the program.

    Raises:
        InputError: options that cannot be used, or an error of the command.
    """
    _refuse_old_spelling(words)
    try:
        status: int | None = app(words, prog_name="vosbench", standalone_mode=False)
    except typer.Abort:
        return 130
    except _USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            # a command group without a sub-command shows its help
            sys.stdout.write(f"{error.format_message()}\n")
            return 2
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        raise InputError(f"{error.format_message()}{hint}") from None
    return status or 0


def _refuse_old_spelling(words: Sequence[str]) -> None:
    """Name the command that ``compare --suite`` has become."""
    if list(words[:1]) != ["compare"] or not any(word.partition("=")[0] == "--suite" for word in words):
        return
    rest = [word.removeprefix("--suite=") for word in words[1:] if word != "--suite"]
    raise InputError(f"compare --suite is now a command of its own: vosbench ablate {shlex.join(rest)}")


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"vosbench {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...
