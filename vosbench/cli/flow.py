"""Command ``flow compute``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vosbench.cli.application import Application
from vosbench.cli.options import DataRoot, Sequences, Split, names
from vosbench.cli.terminal import progress_bar
from vosbench.errors import InputError

app = Application(help="Optical flow as files.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command("compute")
def flow_compute(
    name: Annotated[str, typer.Argument(help="Data set.")],
    estimator: Annotated[str, typer.Option(help="As --flow of compare, e.g. dis or raft:WEIGHTS.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder; DATA_ROOT/flow/ESTIMATOR/NAME by default.")
    ] = None,
    split: Split = None,
    data_root: DataRoot = None,
    sequences: Sequences = None,
    file_format: Annotated[
        str, typer.Option("--format", help=".flo, or .png: 16 bits as KITTI has it.")
    ] = ".flo",
) -> None:
    """Write the flow of a data set as files with provenance; resumes after an interruption."""
    from vosbench.data.catalogue import open_dataset
    from vosbench.data.roots import cache_root
    from vosbench.data.roots import data_root as find
    from vosbench.evaluation.selection import choose_sequences
    from vosbench.flow.compute import compute
    from vosbench.flow.estimators import Precomputed, build_estimator, parse_flow

    kind, settings = parse_flow(estimator)
    built = build_estimator(kind, **settings)
    if isinstance(built, Precomputed):
        raise InputError(
            f"{estimator}: reads flow from files, there is nothing to compute; name an estimator"
        )
    dataset = open_dataset(name, find(data_root), split)
    videos = [dataset[index] for index in choose_sequences(dataset, names(sequences)).values()]
    folder = out or find(data_root) / "flow" / kind / dataset.label
    with progress_bar("computing flow") as progress:
        compute(
            videos,
            built,
            folder,
            lambda sequence, done, total: progress(done, total, sequence),
            fmt=file_format,
            cache=cache_root(),
        )
    sys.stdout.write(f"{folder}\n")
