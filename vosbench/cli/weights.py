"""Commands under ``weights``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vosbench.cli.application import Application
from vosbench.cli.options import Settings
from vosbench.cli.terminal import make_table, print_table

app = Application(help="Packaged and published weights.", no_args_is_help=True)


@app.command("list")
def weights_list() -> None:
    """List the packaged weights, their training data and hashes."""
    from vosbench.models.pretrained.weight_files import describe_data
    from vosbench.models.pretrained.zoo import shipped

    table = make_table("weights", ["model", "size", "trained on", "sha256"])
    for item in shipped():
        table.add_row(item["name"], item["size"], describe_data(item["training"]["data"]), item["sha256"])
    print_table(table)


@app.command("import")
def weights_import(
    name: Annotated[str, typer.Argument(help="Method, e.g. fusionseg.")],
    files: Annotated[list[Path], typer.Argument(help="Published files: .caffemodel, .pkl, .pth.")],
    out: Annotated[Path | None, typer.Option(help="File to write; NAME-released.safetensors.")] = None,
    switches: Settings = None,
) -> None:
    """Turn published weights of the authors into a checkpoint, every tensor accounted for."""
    from vosbench.errors import InputError
    from vosbench.models.pretrained.import_weights import complaint, import_weights
    from vosbench.models.pretrained.zoo import parse_settings

    target = out or Path(f"{name}-released.safetensors")
    imported = import_weights(name, files, target, parse_settings(switches or []))
    for account in imported.accounts:
        sys.stdout.write("".join(f"{line}\n" for line in account.lines()))
    if imported.path is None:
        raise InputError(complaint(imported))
    switches_text = ", ".join(f"{key}={value}" for key, value in imported.switches.items())
    sys.stdout.write(
        f"{target}  {name} with {switches_text or 'its usual switches'}; use it with --checkpoint\n"
    )


@app.callback()
def _group() -> None: ...
