"""Commands ``leaderboard build``, ``check``, ``baseline`` and ``add``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from vosbench.cli.application import Application
from vosbench.cli.options import DataRoot, Split, Workers
from vosbench.cli.terminal import print_scores, progress_bar
from vosbench.errors import InputError

app = Application(help="Tables from records, and a check of their numbers.", no_args_is_help=True)

BASELINE = Path("leaderboards/records")

_MOST_BIBTEX = 1 << 20

Records = Annotated[Path, typer.Option(help="Folder of records.")]


@app.command("build")
def leaderboard_build(
    records: Records = BASELINE,
    out: Annotated[
        Path, typer.Option(help="Folder for leaderboard.md, .html and .tex, and references.bib.")
    ] = Path("leaderboards"),
) -> None:
    """Write the tables of the records: Markdown, LaTeX with BibTeX, and one HTML page without pictures."""
    from vosbench.leaderboard.build import build
    from vosbench.leaderboard.reported import load_reported
    from vosbench.leaderboard.verdicts import load_deviations

    for path in build(records, load_reported(), load_deviations(), out):
        sys.stdout.write(f"{path}\n")


@app.command("check")
def leaderboard_check(
    records: Annotated[Path, typer.Option(help="Folder of records to check.")] = BASELINE,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Numbers to compare with: a file of leaderboard baseline, or a folder of records."),
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the tables that must fit the records.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="A data-set value may move this far, as a fraction; a sequence four times as far."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Every method and metric of the baseline must be present.")
    ] = False,
) -> None:
    """Check numbers and tables; status 1: a number moved or differs unexplained, or a table is outdated."""
    raise typer.Exit(run_check(records, "reported", baseline, tables, tolerance, whole))


@app.command("baseline")
def leaderboard_baseline(
    records: Annotated[Path, typer.Argument(help="Folder of records, e.g. results/records.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Write the values of records and their identity as one small file for later checks."""
    from vosbench.files import write_text
    from vosbench.leaderboard.baseline import baseline_text
    from vosbench.leaderboard.build import records_of

    measured = records_of(records)
    write_text(out, baseline_text(measured))
    sys.stdout.write(f"{out}  {len(measured)} records\n")


@app.command("add")
def leaderboard_add(
    results: Annotated[Path, typer.Argument(help="Folder, or zip, of masks: RESULTS/SEQUENCE/FRAME.png.")],
    method: Annotated[str, typer.Option(help="Name of the row.")],
    dataset: Annotated[str, typer.Option(help="Data set name.")] = "davis16",
    split: Split = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol id; the data set's own by default.")] = None,
    data_root: DataRoot = None,
    records: Records = BASELINE,
    paper: Annotated[str | None, typer.Option(help="Title of the paper.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the paper or the masks.")] = None,
    year: Annotated[int | None, typer.Option(help="Year of the paper.")] = None,
    bibtex: Annotated[Path | None, typer.Option(help="File with the BibTeX entry of the paper.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the masks, as stated there.")] = None,
    published_as: Annotated[
        str | None,
        typer.Option(
            help="Published method, e.g. lvo17 of leaderboards/third_party, whose numbers come from these "
            "masks; J and F of every frame must agree."
        ),
    ] = None,
    missing: Annotated[Literal["error", "empty"], typer.Option(help="Meaning of a missing frame.")] = "error",
    threshold: Annotated[
        float | None, typer.Option(help="Value above which a soft mask is foreground, in the file's unit.")
    ] = None,
    workers: Workers = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the records of this method.")] = False,
) -> None:
    """Score the masks of a method that others ran and add it to the records, with provenance."""
    from vosbench.evaluation.record_template import command_line
    from vosbench.leaderboard.add import Paper, add

    text = None if bibtex is None else _bibtex(bibtex)
    with progress_bar(f"scoring {method}") as progress:
        scored = add(
            results,
            method,
            dataset,
            records,
            split=split,
            protocol=protocol,
            data_root=data_root,
            paper=Paper(paper, url, year, text, licence),
            published_as=published_as,
            missing=missing,
            threshold=threshold,
            workers=workers,
            replace=replace,
            command=command_line(),
            progress=progress,
        )
    print_scores(scored, [results])
    sys.stderr.write(f"{len(scored.sequences)} records under {records}; now run vosbench leaderboard build\n")


def _bibtex(file: Path) -> str:
    from vosbench.files import read_bytes

    try:
        return read_bytes(file, _MOST_BIBTEX).decode("utf-8")
    except InputError as error:
        raise InputError(f"--bibtex {error}") from None
    except UnicodeDecodeError:
        raise InputError(f"--bibtex {file}: no text in UTF-8") from None


def run_check(
    records: Path,
    kind: str,
    baseline: Path | None,
    tables: Path | None,
    tolerance: float | None = None,
    whole: bool = False,
) -> int:
    """Print the findings of a check; return the exit status."""
    from vosbench.leaderboard.check import check
    from vosbench.leaderboard.reported import load_reported
    from vosbench.leaderboard.verdicts import Tolerance, load_deviations

    published = load_reported() if kind == "reported" else []
    limits = Tolerance() if tolerance is None else Tolerance(moved=tolerance, cell=4 * tolerance)
    findings = check(
        records, baseline, published, load_deviations(), tables=tables, tolerance=limits, whole=whole
    )
    for finding in findings:
        sys.stdout.write(f"{finding.kind}: {finding.message}\n")
    sys.stderr.write(f"check: {len(findings) or 'no'} findings\n")
    return 1 if findings else 0
