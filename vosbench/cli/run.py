"""Commands that run methods: ``predict`` and ``compare``."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from vosbench.cli.completion import dataset_names, method_names
from vosbench.cli.config_option import ConfigOption
from vosbench.cli.leaderboard import BASELINE, run_check
from vosbench.cli.options import (
    ALL,
    KEY_VALUE,
    DataRoot,
    Device,
    Flow,
    Metrics,
    PrecisionName,
    Settings,
    SizeName,
    Split,
    Workers,
    joined,
    names,
)
from vosbench.cli.terminal import print_estimate, print_notes, progress_bar
from vosbench.errors import InputError


def predict(
    model: Annotated[
        str,
        typer.Option(
            help="Method name, or FILE.py:CLASS[:WEIGHTS], a class of your own, which is run.",
            autocompletion=method_names,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks: OUT/SEQUENCE/FRAME.png.")],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT", help="Video file, folder of frames, a folder of those, or a data set."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Data set by name or path, instead of INPUT.")
    ] = None,
    size: SizeName = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights to use instead of those shipped.")] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="First mask, for semi-supervised methods; of several clips a folder of CLIP.png."),
    ] = None,
    overlay: Annotated[Path | None, typer.Option(help="Also draw the masks: FILE.mp4 or a folder.")] = None,
    inspect: Annotated[
        list[str] | None,
        typer.Option(help="Also draw maps from inside the method, e.g. gates,motion."),
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(help="Channels of the inspected maps, e.g. 3,12,40; the first three else."),
    ] = None,
    inspect_out: Annotated[
        Path | None, typer.Option(help="Folder for the inspected maps; OUT-inspect by default.")
    ] = None,
    data_root: DataRoot = None,
    split: Split = None,
    flow: Flow = None,
    switches: Settings = None,
    device: Device = "auto",
    precision: PrecisionName = "32",
) -> None:
    """Segment a video file, a folder of frames, a folder of such clips, or a data set.

    Of several videos one that fails does not stop the others (status 1 in the end), and a second call goes on
    with those that have no masks yet.
    """
    from vosbench.data.roots import cache_root
    from vosbench.flow.estimators import build_estimator, parse_flow
    from vosbench.inference.inspection import parse_request
    from vosbench.inference.prediction import predict as run
    from vosbench.inference.targets import plan_prediction
    from vosbench.models.pretrained.zoo import load_method, move_to, parse_settings

    if (source is None) == (dataset is None):
        raise InputError("predict: give INPUT or --dataset, one of the two")
    place = source or str(dataset)
    request = parse_request(joined(inspect), joined(channels), inspect_out, out)
    name, settings = parse_flow(flow or "dis")
    estimator = None if flow is None else build_estimator(name, **settings)
    switched = parse_settings(switches or [])
    # what is wrong with input and output is known before seconds go into a network
    plan_prediction(place, out, overlay=overlay, inspect=request, data_root=data_root, split=split)
    with progress_bar("predicting") as progress:
        progress.wait(f"loading {model}")
        model, checkpoint = own_method(model, checkpoint)
        method, identity = load_method(model, size, checkpoint, switched)
        method = move_to(method, device, precision)
        if precision != "32":
            identity = identity | {"precision": precision}
        predictions = run(
            place,
            method,
            out,
            data_root=data_root,
            split=split,
            first_mask=mask,
            overlay=overlay,
            inspect=request,
            estimator=estimator,
            cache=cache_root(),
            identity={key: value for key, value in identity.items() if key != "training"} | {"model": model},
            progress=lambda name, done, total: progress(done, total, name),
        )
    for item in predictions:
        if item.failure:
            sys.stderr.write(f"failed: {item.sequence}: {item.failure}\n")
            continue
        if item.kept:
            sys.stdout.write(f"{item.folder}  {item.frames} masks, kept\n")
            continue
        rate = item.frames / item.seconds if item.seconds else math.inf
        sys.stdout.write(f"{item.folder}  {item.frames} masks, {rate:.1f} frames/s\n")
        if item.panels is not None:
            sys.stdout.write(f"{item.panels}  {item.frames} panels of {joined(inspect)}\n")
    raise typer.Exit(1 if any(item.failure for item in predictions) else 0)


def own_method(model: str, checkpoint: Path | None) -> tuple[str, Path | None]:
    """Return the name and the weights of a method, imported first if it is ``FILE.py:CLASS[:WEIGHTS]``."""
    from vosbench.files import expanded
    from vosbench.method_files import split_reference
    from vosbench.models import use_file

    reference = split_reference(model)
    if reference is None:
        return model, checkpoint
    weights = expanded(reference[1]) if reference[1] else checkpoint
    return use_file(reference[0]).name, weights


def compare(
    config: ConfigOption = None,
    models: Annotated[
        list[str],
        typer.Option(
            help="Methods, separated by commas, or all: NAME, NAME:CHECKPOINT for weights of your own, "
            "FILE.py:CLASS[:WEIGHTS] for a class of your own, which is run, and LABEL= before each to have "
            "several of one method.",
            autocompletion=method_names,
        ),
    ] = ALL,
    datasets: Annotated[
        list[str],
        typer.Option(
            "--datasets",
            "--dataset",
            help="Data sets, separated by commas, or all that are found; your own by path: FOLDER with "
            "JPEGImages/SEQ and Annotations/SEQ, or FRAMES:MASKS.",
            autocompletion=dataset_names,
        ),
    ] = ALL,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Protocol ids, separated by commas; those of each data set by default."),
    ] = None,
    data_root: DataRoot = None,
    out: Annotated[Path, typer.Option(help="Folder for records, masks and tables.")] = Path("results"),
    size: SizeName = None,
    flow: Flow = None,
    switches: Settings = None,
    device: Device = "auto",
    precision: PrecisionName = "32",
    metrics: Metrics = None,
    workers: Workers = None,
    executor: Annotated[
        Literal["local", "ray", "slurm"],
        typer.Option(help="Processes of this machine, a Ray cluster, or Slurm jobs."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="With --executor ray: the cluster; else $RAY_ADDRESS, else Ray is started here."),
    ] = None,
    executor_options: Annotated[
        list[str] | None,
        typer.Option(
            metavar=KEY_VALUE,
            help="Options of Ray tasks (num_gpus=1) or Slurm jobs (partition=gpu); repeatable.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first sequences of each data set.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only print the plan and an estimate of time, memory and disk."),
    ] = False,
    check: Annotated[
        Literal["baseline", "reported"] | None,
        typer.Option(help="Exit with 1 when numbers moved from --baseline, or differ from published ones."),
    ] = None,
    baseline: Annotated[Path, typer.Option(help="Records that --check baseline compares with.")] = BASELINE,
    pictures: Annotated[bool, typer.Option(help="Whether the page shows frames and masks.")] = True,
    logger: Annotated[
        Literal["csv", "tensorboard", "wandb"] | None,
        typer.Option(
            help="Also log tables, curves and masks under OUT/logs: csv, tensorboard or wandb (offline "
            "unless WANDB_MODE says otherwise)."
        ),
    ] = None,
) -> None:
    """Run methods on data sets, score them, and set measured beside published numbers."""
    from vosbench.benchmark import compare as run
    from vosbench.data.catalogue import catalogue, evaluation_sets
    from vosbench.data.places import link_hints
    from vosbench.data.roots import cache_root
    from vosbench.data.roots import data_root as find_data_root
    from vosbench.executors.clusters import make_executor
    from vosbench.flow.estimators import parse_flow
    from vosbench.leaderboard.build import write_report
    from vosbench.models.pretrained.zoo import parse_settings

    name, settings = parse_flow(flow or "dis")
    options = parse_settings(executor_options or [], "--executor-options")
    runner = make_executor(executor, workers=workers, address=address, options=options, folder=out / "jobs")
    everything = "all" in (names(datasets) or [])
    hints = link_hints(find_data_root(data_root), evaluation_sets(catalogue())) if everything else []
    # before minutes go into miniatures
    print_notes(hints)
    with progress_bar("comparing") as progress:
        result = run(
            models=names(models) or [],
            datasets=names(datasets) or [],
            protocols=names(protocol),
            data_root=data_root,
            out=out,
            workers=workers,
            executor=None if executor == "local" or dry_run else runner,
            limit=limit,
            dry_run=dry_run,
            flow=name,
            flow_settings=settings,
            metrics=names(metrics),
            size=size,
            settings=parse_settings(switches or []),
            device=device,
            precision=precision,
            cache=cache_root(),
            progress=lambda done, total, last: progress(done, total, f"{last.sequence} {last.model}"),
            waiting=progress.wait,
        )
    counts = ", ".join(f"{count} {state}" for state, count in sorted(result.counts.items()))
    sys.stderr.write(f"{len(result.outcomes)} cells (model, sequence, protocol): {counts or 'none'}\n")
    print_notes([note for note in result.notes if note not in hints])
    for failure in result.failures:
        sys.stderr.write(
            f"failed: {failure.model} on {failure.dataset}/{failure.sequence} under {failure.protocol}: "
            f"{failure.message}\n"
        )
    if dry_run:
        print_estimate(result, workers)
    if not dry_run and result.records:
        markdown, page, *_ = write_report(
            out, videos=result.videos, lengths=result.lengths, pictures=pictures
        )
        sys.stdout.write(markdown.read_text(encoding="utf-8"))
        sys.stderr.write(f"written: {markdown}, {page}, records and masks beside them\n")
        if logger is not None:
            from vosbench.leaderboard.comparison_log import log_comparison

            logged = log_comparison(out, logger, result.records, result.videos, result.lengths)
            sys.stderr.write(f"logged: {logged}\n")
    status = result.exit_status
    if check is not None and not dry_run:
        against = baseline if check == "baseline" else None
        status = max(status, run_check(out / "records", check, against, None))
    raise typer.Exit(status)
