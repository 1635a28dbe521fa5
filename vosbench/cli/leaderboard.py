"""The commands ``leaderboard build`` and ``leaderboard check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Tables from records, and a check of their numbers.", no_args_is_help=True)

BASELINE = Path("leaderboards/records")


@app.command("build")
def leaderboard_build(
    records: Annotated[Path, typer.Option(help="Folder of records.")] = BASELINE,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md and leaderboard.html.")] = Path(
        "leaderboards"
    ),
) -> None:
    """Write the tables of the records: Markdown and one HTML page, without pictures."""
    from vosbench.report.leaderboard import build
    from vosbench.report.reported import load_reported
    from vosbench.report.verdicts import load_deviations

    for path in build(records, load_reported(), load_deviations(), out):
        sys.stdout.write(f"{path}\n")


@app.command("check")
def leaderboard_check(
    records: Annotated[Path, typer.Option(help="Folder of records to check.")] = BASELINE,
    baseline: Annotated[
        Path | None, typer.Option(help="Records to compare with, e.g. of the last release.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the tables that must fit the records.")
    ] = None,
) -> None:
    """Exit with 1 when a number moved, differs from the published one unexplained, or a table is outdated."""
    raise typer.Exit(run_check(records, "reported", baseline, tables))


def run_check(records: Path, kind: str, baseline: Path | None, tables: Path | None) -> int:
    """Print what a check does not accept; return the exit status."""
    from vosbench.report.leaderboard import check
    from vosbench.report.reported import load_reported
    from vosbench.report.verdicts import load_deviations

    published = load_reported() if kind == "reported" else []
    findings = check(records, baseline, published, load_deviations(), tables=tables)
    for finding in findings:
        sys.stdout.write(f"{finding.kind}: {finding.message}\n")
    sys.stderr.write(f"check: {len(findings) or 'no'} findings\n")
    return 1 if findings else 0
