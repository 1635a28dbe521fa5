"""The command ``export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vosbench.cli.completion import method_names
from vosbench.cli.options import Settings, SizeName
from vosbench.cli.terminal import print_notes, progress_bar
from vosbench.cli.terminal import size as file_size


def export(
    model: Annotated[
        str, typer.Argument(help="Method: fusionseg, mpnet or stcnn.", autocompletion=method_names)
    ],
    out: Annotated[Path, typer.Option(help="File to write: *.pt2 for torch, *.onnx for onnx.")],
    form: Annotated[
        Literal["torch", "onnx"],
        typer.Option("--format", help="A program of torch.export, or ONNX (pip install 'vosbench[export]')."),
    ] = "torch",
    size: SizeName = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights to use instead of those shipped.")] = None,
    switches: Settings = None,
    height: Annotated[
        int | None,
        typer.Option(
            min=32, help="Of the inputs, pixels; that of a frame of 480 x 854 as the method sees it."
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(min=32, help="The same.")] = None,
) -> None:
    """Write the network of a method, for one frame or pair of frames, as a file that runs without vosbench.

    One stream of FusionSeg: --set stream=appearance. The file holds the contract of its inputs (name, shape,
    type, unit and range, axes of any size), which is printed, too, and is kept only when it gives what the
    network gives.
    """
    from vosbench.models.pretrained.zoo import load_method, parse_settings

    with progress_bar("exporting") as progress:
        progress.wait(f"loading {model}")
        method, provenance = load_method(model, size, checkpoint, parse_settings(switches or []))
        from vosbench.export import export_network, network_of

        network = network_of(method, height, width, model)
        described: dict[str, Any] = {
            key: value
            for key, value in provenance.items()
            if key in ("name", "size", "variant", "weights", "sha256")
        }
        progress.wait(f"tracing {model}, writing, comparing")
        written = export_network(network, form, out, described)
    title = f"{described.get('name', model)} ({described.get('size', '')})"
    sys.stdout.write(f"{out}  {title}, {form}, {file_size(out.stat().st_size)}\n")
    for contract in network.inputs:
        sys.stdout.write(f"input   {contract.text()}\n")
    sys.stdout.write(f"output  {network.output.text()}\n")
    sys.stdout.write(f"largest difference to the network on random inputs: {written.difference:.1e}\n")
    print_notes(network.notes)
