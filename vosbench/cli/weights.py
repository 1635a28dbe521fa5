"""The command ``weights list``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from vosbench.cli.terminal import make_table, print_table

app = typer.Typer(help="Trained weights that come with vosbench.", no_args_is_help=True)


@app.command("list")
def weights_list() -> None:
    """List the weights that come with vosbench, where they come from and their hash."""
    from vosbench.models.zoo import shipped

    table = make_table("weights", ["model", "size", "trained on", "sha256"])
    for item in shipped():
        table.add_row(item["name"], item["size"], _trained_on(item["training"]["data"]), item["sha256"])
    print_table(table)


@app.callback()
def _group() -> None: ...


def _trained_on(data: Mapping[str, Any]) -> str:
    return f"{data['name']} ({data['edition']}), {data['scenes']} scenes"
