"""Command line: parse, call, print; every command imports its own heavy modules."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from vosbench import __version__
from vosbench.cli import ablate, data, flow, leaderboard, listing, new, run, train, weights
from vosbench.cli import score as scoring
from vosbench.cli.configuration import FitCommand
from vosbench.errors import InputError, printable

app = typer.Typer(
    help="Train, run, score and compare video object segmentation methods.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(cls=FitCommand)(train.fit)
for command in (run.predict, scoring.score, run.compare, ablate.ablate, scoring.doctor):
    app.command()(command)
app.command("list")(listing.list_names)
app.add_typer(data.app, name="data")
app.add_typer(flow.app, name="flow")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(weights.app, name="weights")
app.add_typer(new.app, name="new")


def main() -> None:
    """Run the command line; an error of the user ends as one line on stderr and status 2."""
    # The base of all errors of the option parser; typer itself exports only its descendants.
    usage_error: Any = typer.BadParameter.__mro__[2]
    try:
        _refuse_old_spelling(sys.argv[1:])
        status = app(prog_name="vosbench", standalone_mode=False)
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


def _refuse_old_spelling(words: Sequence[str]) -> None:
    """Name the command that ``compare --suite`` has become."""
    if words[:1] != ["compare"] or not any(word.partition("=")[0] == "--suite" for word in words):
        return
    rest = [word.removeprefix("--suite=") for word in words[1:] if word != "--suite"]
    raise InputError(f"compare --suite is now a command of its own: vosbench ablate {shlex.join(rest)}")


def _stop(message: str) -> NoReturn:
    sys.stderr.write(f"vosbench: {printable(message)}\n")
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
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...
