"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vosbench.cli.completion import dataset_names, protocol_names
from vosbench.errors import InputError

KEY_VALUE = "KEY=VALUE"
"""What options with settings take; a file of options may have a mapping there."""

DataRoot = Annotated[
    Path | None, typer.Option(help="Folder that holds the data sets; else $VOSBENCH_DATA, else ./data.")
]
Workers = Annotated[int | None, typer.Option(help="Processes; one per core by default.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set; its usual one by default.")]
SizeName = Annotated[
    Literal["full", "lite", "tiny"] | None,
    typer.Option(help="Network size; the largest with weights by default."),
]
Flow = Annotated[
    str | None,
    typer.Option(
        help="Flow: dis (default), farneback, deepflow, tvl1, raft:WEIGHTS, or a folder of flow files "
        "FOLDER/SEQUENCE/FRAME.flo; settings follow, e.g. dis:fast or raft:WEIGHTS,iterations=24."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar=KEY_VALUE,
        help="A switch of the method at inference, e.g. threshold=0.4; in compare LABEL.KEY=VALUE "
        "is for one of several; repeatable.",
    ),
]
Device = Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or cuda:N.")]
PrecisionName = Annotated[
    Literal["32", "bf16", "16"],
    typer.Option(
        "--precision",
        help="What networks compute in: float32, or autocast to bfloat16 or, on CUDA, float16. Masks are "
        "nearly the same; those made in float32 are not taken for them.",
    ),
]
Metrics = Annotated[
    list[str] | None, typer.Option(help="Some of the protocol's metrics, e.g. j,f; all of them by default.")
]
DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="Data set name, e.g. davis16, or a path to your own: FOLDER with JPEGImages/SEQ and "
        "Annotations/SEQ, or FRAMES:MASKS.",
        autocompletion=dataset_names,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(help="Protocol id; the data set's own by default.", autocompletion=protocol_names),
]
Sequences = Annotated[list[str] | None, typer.Option(help="Only these, separated by commas.")]


ALL = ["all"]
"""Default of lists of methods and data sets."""


def names(texts: Sequence[str] | None) -> list[str] | None:
    """Return the names of lists separated by commas, in one list; None where none is given."""
    if not texts:
        return None
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def joined(texts: Sequence[str] | None) -> str | None:
    """Return lists separated by commas as one; None where none is given."""
    return ",".join(texts) if texts else None


def refuse(command: str, given: Mapping[str, Any]) -> None:
    """Refuse options that have no meaning in this use of a command.

    Raises:
        InputError: one of the options has a value.
    """
    for option, value in given.items():
        if value:
            raise InputError(f"{command} does not take {option}")
