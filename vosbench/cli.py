"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from vosbench import __version__
from vosbench.errors import InputError
from vosbench.terminal import make_table, print_notes, print_table, print_values, progress_bar

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
SizeName = Annotated[
    Literal["full", "tiny"] | None, typer.Option(help="Network size; the largest with weights by default.")
]
Flow = Annotated[
    str | None,
    typer.Option(help="Flow estimator, or a folder of flow: FOLDER/SEQUENCE/FRAME.flo; dis by default."),
]
Device = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or cuda:N.")]
BASELINE = Path("leaderboards/records")
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
    # Further devices have processes of their own, started with this same command.
    if os.environ.get("LOCAL_RANK", "0") == "0":
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

    with progress_bar("scoring") as progress:
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
    print_values(f"{scored.dataset} {scored.split}, {scored.protocol}", rows, scored.overall)
    print_notes(scored.notes)


@app.command()
def predict(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Video file, folder of frames, or data set.")
    ],
    model: Annotated[str, typer.Option(help="Method name.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks: OUT/SEQUENCE/FRAME.png.")],
    size: SizeName = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights to use instead of those shipped.")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Ids of the first frame, for semi-supervised methods.")
    ] = None,
    overlay: Annotated[Path | None, typer.Option(help="Also draw the masks: FILE.mp4 or a folder.")] = None,
    data_root: DataRoot = None,
    split: Split = None,
    flow: Flow = None,
    device: Device = "auto",
) -> None:
    """Segment a video file, a folder of frames or a data set."""
    from vosbench.data.roots import cache_root
    from vosbench.flow.estimators import build_estimator
    from vosbench.inference.predict import predict as run
    from vosbench.models.zoo import load_method, move_to

    method, _ = load_method(model, size, checkpoint)
    method = move_to(method, device)
    name, settings = _flow(flow)
    with progress_bar("predicting") as progress:
        predictions = run(
            source,
            method,
            out,
            data_root=data_root,
            split=split,
            first_mask=mask,
            overlay=overlay,
            estimator=None if flow is None else build_estimator(name, **settings),
            cache=cache_root(),
            progress=lambda name, done, total: progress(done, total, name),
        )
    for item in predictions:
        rate = item.frames / item.seconds if item.seconds else math.inf
        sys.stdout.write(f"{item.folder}  {item.frames} masks, {rate:.1f} frames/s\n")


@app.command()
def compare(
    models: Annotated[str, typer.Option(help="Method names, separated by commas, or all.")] = "all",
    datasets: Annotated[
        str, typer.Option(help="Data sets, separated by commas, or all that are found.")
    ] = "all",
    data_root: DataRoot = None,
    out: Annotated[Path, typer.Option(help="Folder for records, masks and tables.")] = Path("results"),
    size: SizeName = None,
    flow: Flow = None,
    device: Device = "auto",
    metrics: Metrics = None,
    workers: Workers = None,
    limit: Annotated[int | None, typer.Option(help="Only the first sequences of each data set.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be computed.")] = False,
    check: Annotated[
        Literal["baseline", "reported"] | None,
        typer.Option(help="Exit with 1 when numbers moved from --baseline, or differ from published ones."),
    ] = None,
    baseline: Annotated[Path, typer.Option(help="Records that --check baseline compares with.")] = BASELINE,
    pictures: Annotated[bool, typer.Option(help="Whether the page shows frames and masks.")] = True,
) -> None:
    """Run methods on data sets, score them, and put measured beside reported numbers."""
    from vosbench.benchmark.compare import compare as run
    from vosbench.data.roots import cache_root
    from vosbench.report.leaderboard import write_report

    name, settings = _flow(flow)
    with progress_bar("comparing") as progress:
        result = run(
            models=_names(models) or [],
            datasets=_names(datasets) or [],
            data_root=data_root,
            out=out,
            workers=workers,
            limit=limit,
            dry_run=dry_run,
            flow=name,
            flow_settings=settings,
            metrics=_names(metrics),
            size=size,
            device=device,
            cache=cache_root(),
            progress=lambda done, total, last: progress(done, total, f"{last.sequence} {last.model}"),
        )
    counts = ", ".join(f"{count} {state}" for state, count in sorted(result.counts.items()))
    sys.stderr.write(f"{len(result.outcomes)} model x sequence pairs: {counts or 'none'}\n")
    print_notes(result.notes)
    if not dry_run and result.records:
        markdown, page = write_report(out, videos=result.videos, pictures=pictures)
        sys.stdout.write(markdown.read_text(encoding="utf-8"))
        sys.stderr.write(f"written: {markdown}, {page}, records and masks beside them\n")
    for failure in result.failures:
        sys.stderr.write(
            f"failed: {failure.model} on {failure.dataset}/{failure.sequence}: {failure.message}\n"
        )
    found = (
        0
        if check is None or dry_run
        else _check(out / "records", check, baseline if check == "baseline" else None, None)
    )
    raise typer.Exit(max(result.exit_status, found))


@leaderboard_app.command("build")
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


@leaderboard_app.command("check")
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
    raise typer.Exit(_check(records, "reported", baseline, tables))


@data_app.command("mini")
def data_mini(
    name: Annotated[str, typer.Argument(help="Data set, or all.")] = "all",
    data_root: DataRoot = None,
    seed: Annotated[int, typer.Option(help="Of all random choices: same seed, same bytes.")] = 0,
    scenes: Annotated[int | None, typer.Option(min=1, help="Scenes or sequences per split.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Render miniature editions in official layout, with exact ground truth."""
    from vosbench.data.mini import MINI_NAMES, write_mini
    from vosbench.data.roots import data_root as find

    for each in MINI_NAMES if name == "all" else (name,):
        sys.stdout.write(f"{write_mini(each, find(data_root), seed=seed, scenes=scenes, workers=workers)}\n")


@data_app.command("list")
def data_list(
    name: Annotated[str | None, typer.Argument(help="Tell everything about this one.")] = None,
    data_root: DataRoot = None,
) -> None:
    """List the data sets, where they are expected and whether they are there."""
    from vosbench.data.catalogue import CATALOGUE, entry
    from vosbench.data.roots import data_root as find

    root = find(data_root)
    if name is not None:
        for key, value in vars(entry(name)).items():
            sys.stdout.write(f"{key:<10}{value}\n")
        sys.stdout.write(f"{'folder':<10}{root / name}\n")
        return
    table = make_table(f"data sets under {root}", ["name", "title", "kind", "found", "size", "licence"])
    for each, known in CATALOGUE.items():
        found = "yes" if (root / each).is_dir() else "no"
        table.add_row(each, known.title, known.kind, found, known.size, known.licence)
    print_table(table)


@weights_app.command("list")
def weights_list() -> None:
    """List the weights that come with vosbench, where they come from and their hash."""
    from vosbench.models.zoo import shipped

    table = make_table("weights", ["model", "size", "trained on", "sha256"])
    for item in shipped():
        table.add_row(item["name"], item["size"], _trained_on(item["training"]["data"]), item["sha256"])
    print_table(table)


def _check(records: Path, kind: str, baseline: Path | None, tables: Path | None) -> int:
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


def _trained_on(data: Mapping[str, Any]) -> str:
    return f"{data['name']} ({data['edition']}), {data['scenes']} scenes"


def _flow(choice: str | None) -> tuple[str, dict[str, Any]]:
    """Return name and settings of the estimator that ``--flow`` means."""
    if choice is not None and Path(choice).is_dir():
        return "precomputed", {"folder": choice}
    return choice or "dis", {}


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
