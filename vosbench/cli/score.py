"""Commands on existing results: ``score`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from vosbench.cli.completion import dataset_names
from vosbench.cli.options import (
    DataRoot,
    DatasetName,
    Metrics,
    Protocol,
    Sequences,
    Split,
    Workers,
    names,
    refuse,
)
from vosbench.cli.terminal import (
    check_json,
    print_findings,
    print_score_notes,
    print_scores,
    progress_bar,
    write_json,
)
from vosbench.errors import InputError


def score(
    results: Annotated[
        list[Path],
        typer.Argument(help="Folder, or zip, of masks: RESULTS/SEQUENCE/FRAME.png. Two are compared."),
    ],
    dataset: DatasetName,
    split: Split = None,
    protocol: Protocol = None,
    data_root: DataRoot = None,
    metrics: Metrics = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the values to this file; - for stdout, and no table."),
    ] = None,
    workers: Workers = None,
    missing: Annotated[
        Literal["error", "empty"], typer.Option(help="What a missing frame that is evaluated is.")
    ] = "error",
    threshold: Annotated[
        float | None, typer.Option(help="Value above which a soft mask is foreground, in the file's unit.")
    ] = None,
    sequences: Sequences = None,
) -> None:
    """Score a folder of result masks, or compare two."""
    from vosbench.evaluation import compare_scores
    from vosbench.evaluation import score as run

    if len(results) > 2:
        raise InputError(f"{len(results)} result folders: give one to score, or two to compare")
    check_json(json_file)
    scores = []
    for folder in results:
        with progress_bar(f"scoring {folder.name}") as progress:
            scores.append(
                run(
                    folder,
                    dataset,
                    split=split,
                    protocol=protocol,
                    data_root=data_root,
                    metrics=names(metrics),
                    workers=workers,
                    missing=missing,
                    threshold=threshold,
                    sequences=names(sequences),
                    progress=progress,
                )
            )
    shown = scores[0] if len(scores) == 1 else compare_scores(*scores)
    if write_json(json_file, shown.to_json):
        print_score_notes(shown)
    else:
        print_scores(shown, results)


def doctor(
    results: Annotated[
        Path | None, typer.Argument(help="Folder, or zip, of masks; without it, look at this machine.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Data set of the masks, e.g. davis16.", autocompletion=dataset_names),
    ] = None,
    split: Split = None,
    protocol: Protocol = None,
    data_root: DataRoot = None,
    sequences: Sequences = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Without RESULTS: write what was found to this file, - for stdout."),
    ] = None,
) -> None:
    """Check what can run on this machine, or look for usual mistakes in RESULTS. Status 1: problems."""
    if results is None:
        options = {"--dataset": dataset, "--split": split, "--protocol": protocol, "--sequences": sequences}
        refuse("doctor without RESULTS", options)
        _examine_machine(data_root, json_file)
    refuse("doctor RESULTS", {"--json": json_file})
    if dataset is None:
        raise InputError("which data set are the masks of? write --dataset NAME, e.g. --dataset davis16")
    _examine_results(results, dataset, split, protocol, data_root, names(sequences))


def _examine_machine(data_root: Path | None, json_file: Path | None) -> NoReturn:
    from vosbench.cli.machine import machine_json, print_machine
    from vosbench.environment.machine import examine

    check_json(json_file)
    with progress_bar("doctor") as progress:
        progress.wait("importing PyTorch, looking at devices, data and weights")
        machine = examine(data_root)
    if not write_json(json_file, lambda: machine_json(machine)):
        print_machine(machine)
    raise typer.Exit(1 if machine.problems else 0)


def _examine_results(
    results: Path,
    dataset: str,
    split: str | None,
    protocol: str | None,
    data_root: Path | None,
    sequences: list[str] | None,
) -> NoReturn:
    from vosbench.evaluation.doctor.diagnose import diagnose

    with progress_bar("examining") as progress:
        findings = diagnose(
            results,
            dataset,
            split=split,
            protocol=protocol,
            data_root=data_root,
            sequences=sequences,
            progress=progress,
        )
    print_findings(findings)
    raise typer.Exit(1 if any(finding.severity == "error" for finding in findings) else 0)
