"""Commands under ``new``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vosbench.cli.application import Application

app = Application(help="Start something of your own: a method.", no_args_is_help=True)


@app.command("method")
def new_method(
    name: Annotated[str, typer.Argument(help="Name of the method, e.g. my_method.")],
    out: Annotated[Path, typer.Option(help="Folder that gets the folder NAME.")] = Path(),
) -> None:
    """Write a package with network, module, recipe and test of a new method, which works as it is."""
    from vosbench.models.pretrained.zoo import method_names
    from vosbench.new_method import new_method as write

    folder = write(name, out, method_names())
    kind = "".join(part.capitalize() for part in name.split("_"))
    sys.stdout.write(
        f"{folder}\n"
        f"  python -m pytest {folder}\n"
        f"  vosbench fit model={folder}/{name}/module.py:{kind} size=tiny\n"
        f"  python -m pip install -e {folder}   # after this, fit, compare and predict know {name}\n"
    )


@app.callback()
def _group() -> None: ...
