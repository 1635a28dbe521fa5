"""Commands of data sets: ``data list``, ``download``, ``verify``, ``mini``, ``prepare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vosbench.cli.application import Application
from vosbench.cli.options import DataRoot, Device, Flow, Settings, Split
from vosbench.cli.terminal import make_table, print_notes, print_table, progress_bar
from vosbench.errors import InputError

if TYPE_CHECKING:
    from vosbench.models.fusionseg.pseudo_labels import Segmenter

app = Application(help="Data sets: list, download, verify, prepare, render miniatures.", no_args_is_help=True)


@app.command("mini")
def data_mini(
    name: Annotated[str, typer.Argument(help="Data set, or all.")] = "all",
    data_root: DataRoot = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices: same seed, same bytes.")] = 0,
    scenes: Annotated[int | None, typer.Option(min=1, help="Scenes or sequences per split.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="Render every data set.")] = False,
) -> None:
    """Render miniature editions in official layout, with exact ground truth."""
    from vosbench.data.catalogue import catalogue
    from vosbench.data.mini import write_mini
    from vosbench.data.roots import data_root as find

    every = [spec.name for spec in catalogue().values() if spec.mini is not None]
    for dataset in every if everything or name == "all" else (name,):
        with progress_bar("data mini") as progress:
            folder = write_mini(
                dataset,
                find(data_root),
                seed=seed,
                scenes=scenes,
                workers=workers,
                waiting=progress.wait,
            )
        sys.stdout.write(f"{folder}\n")


@app.command("list")
def data_list(
    name: Annotated[str | None, typer.Argument(help="Print the whole description of this data set.")] = None,
    data_root: DataRoot = None,
) -> None:
    """List the data sets, where they are expected and whether they are there."""
    from vosbench.data.catalogue import catalogue, dataset_spec, scoring_protocols
    from vosbench.data.places import find_folder, link_hints
    from vosbench.data.roots import data_root as find

    root = find(data_root)
    if name is not None:
        spec = dataset_spec(name)
        for key in ("title", "kind", "split", "protocol", "size", "layout", "licence", "citation", "url"):
            sys.stdout.write(f"{key:<10}{getattr(spec, key)}\n")
        sys.stdout.write(f"{'folder':<10}{find_folder(root, name)}\n")
        sys.stdout.write(f"{'protocols':<10}{', '.join(scoring_protocols(name)) or 'none'}\n")
        for archive in spec.archives:
            sys.stdout.write(f"{'archive':<10}{archive}\n")
        return
    table = make_table(f"data sets under {root}", ["name", "title", "kind", "found", "size", "licence"])
    for spec in catalogue().values():
        folder = find_folder(root, spec.name)
        present = folder.name if folder.is_dir() else "no"
        table.add_row(spec.name, spec.title, spec.kind, present, spec.size, spec.licence)
    print_table(table)
    print_notes(link_hints(root))


@app.command("download")
def data_download(
    name: Annotated[list[str], typer.Argument(help="Data sets, one or several.")],
    data_root: DataRoot = None,
    keep_archives: Annotated[bool, typer.Option(help="Keep the archives after unpacking.")] = False,
) -> None:
    """Download data sets from their authors, check and unpack them; resumes after an interruption."""
    from vosbench.data.catalogue import dataset_spec
    from vosbench.data.download.fetch import fetch
    from vosbench.data.roots import data_root as find

    for dataset in name:
        # a slip in the last name is found before the first is downloaded
        dataset_spec(dataset)
    for dataset in name:
        with progress_bar(f"fetching {dataset}") as progress:
            folder = fetch(
                dataset,
                find(data_root),
                progress,
                keep_archives=keep_archives,
            )
        sys.stdout.write(f"{folder}\n")


@app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="Data set.")],
    split: Split = None,
    data_root: DataRoot = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; one per core by default.")] = None,
) -> None:
    """Decode every file of a data set; list missing and damaged files, with exit status 1."""
    from vosbench.data.catalogue import dataset_spec
    from vosbench.data.roots import data_root as find
    from vosbench.data.verify import verify

    split = split or dataset_spec(name).split
    with progress_bar(f"verifying {name}") as progress:
        damage = verify(name, find(data_root), split, progress, workers=workers)
    for item in damage:
        sys.stdout.write(f"{item}\n")
    sys.stderr.write(f"verify: {name} {split}: {len(damage) or 'no'} damaged or missing files\n")
    raise typer.Exit(1 if damage else 0)


@app.command("prepare")
def data_prepare(
    name: Annotated[Literal["fusionseg_vid"], typer.Argument(help="Data set that is made from another.")],
    appearance: Annotated[
        str,
        typer.Option(
            help="Source of the guessed masks: a method that needs no flow, or a folder of its masks."
        ),
    ],
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of that method.")] = None,
    switches: Settings = None,
    split: Annotated[str, typer.Option(help="Split of ilsvrc_vid.")] = "train",
    data_root: DataRoot = None,
    flow: Flow = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first videos.")] = None,
    device: Device = "auto",
) -> None:
    """Make FusionSeg's pseudo masks of ImageNet-VID: boxes, guessed masks, flow; prints what is dropped."""
    from vosbench.data.catalogue import open_dataset
    from vosbench.data.roots import cache_root
    from vosbench.data.roots import data_root as find
    from vosbench.flow.estimators import Precomputed, build_estimator, parse_flow
    from vosbench.models.fusionseg.pseudo_labels import fingerprint, flow_source, prepare

    kind, settings = parse_flow(flow or "dis")
    estimator = build_estimator(kind, **settings)
    flow_identity = {"estimator": kind, **estimator.settings}
    if isinstance(estimator, Precomputed):
        flow_identity["files"] = fingerprint(Path(estimator.settings["folder"]))
    root = find(data_root)
    with progress_bar(f"preparing {name}") as progress:
        progress.wait(f"loading {appearance}")
        segmenter, identity = _appearance(appearance, checkpoint, switches or [], device)
        videos = open_dataset("ilsvrc_vid", root, split)[:limit]
        report = prepare(
            videos,
            segmenter,
            flow_source(estimator, cache_root()),
            root,
            progress=lambda done, total: progress(done, total, videos[done - 1].name),
            provenance={"appearance": identity, "flow": flow_identity},
        )
    for key, value in vars(report).items():
        sys.stdout.write(f"{key:<18}{value}\n")
    if not report.kept_frames:
        print_notes([f"no mask passed the tests, so {name} stays empty; choose another --appearance"])


def _appearance(
    choice: str, checkpoint: Path | None, switches: list[str], device: str
) -> tuple[Segmenter, dict[str, Any]]:
    """Return the source of the guessed masks, and the settings that determine the masks."""
    from vosbench.models.fusionseg.pseudo_labels import MaskFolder, fingerprint, of_method
    from vosbench.models.pretrained.zoo import load_method, move_to, parse_settings

    if Path(choice).is_dir():
        if checkpoint or switches:
            raise InputError(f"--appearance {choice}: a folder of masks takes no checkpoint and no switches")
        return MaskFolder(Path(choice)), {"folder": choice, "files": fingerprint(Path(choice))}
    method, weights = load_method(choice, checkpoint=checkpoint, settings=parse_settings(switches))
    if method.needs_flow:
        raise InputError(f"--appearance {choice}: needs flow; name a method that reads frames alone")
    return of_method(move_to(method, device).segment), {"method": choice, **weights}
