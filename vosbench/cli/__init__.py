"""Command line: parse, call, print; every error that a user can cause ends as one line."""

from __future__ import annotations

import io
import os
import sys

from vosbench.cli.signals import signals_raise
from vosbench.errors import InputError, printable

_LONGEST = 4000
"""Characters of a message: names in it can be those of files of others."""


def main() -> None:
    """Run the command line; an error of the user ends as one line on stderr and status 2.

    SIGINT ends as one line and status 130, SIGTERM as one line and status 143, an output that nobody reads
    any longer as status 1.
    """
    _open_closed_streams()
    _print_every_letter()
    with signals_raise() as interruption:
        try:
            status = _run()
        except BaseException:
            # libraries turn the exception of a signal into errors of their own
            if interruption.number is None:
                raise
            status = _print_error(interruption.message, interruption.status)
    sys.exit(status)


def _run() -> int:
    try:
        # typer and the commands take a while: a signal may arrive meanwhile
        from vosbench.cli.commands import run_command

        status = run_command(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        return _print_error(str(error))
    except BrokenPipeError:
        # the reader (head, less) left
        _abandon_output()
        return 1
    except OSError as error:
        if error.errno is None:
            raise
        # the last resort: where an error is expected, its message says what to do
        where = f"{error.filename}: " if error.filename else ""
        return _print_error(f"{where}{error.strerror}")
    return status


def _print_error(message: str, status: int = 2) -> int:
    """Print one line and return the exit status."""
    line = printable(message)
    try:
        sys.stderr.write(f"vosbench: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]}...'}\n")
        sys.stdout.flush()
    except OSError:
        _abandon_output()
    return status


def _open_closed_streams() -> None:
    """Write to nowhere where the caller has closed an output."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _print_every_letter() -> None:
    """Escape the letters that the encoding of an output lacks, as that of LANG=C and of some terminals."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """Let nothing more go to the outputs, not even at exit, when Python flushes them."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
