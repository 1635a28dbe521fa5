"""The command ``fit``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vosbench.cli.completion import fit_words
from vosbench.cli.configuration import print_configuration
from vosbench.cli.terminal import ProgressLines, print_notes
from vosbench.errors import InputError


def fit(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="key=value, e.g. model=mpnet size=tiny data=mini trainer.max_epochs=2",
            autocompletion=fit_words,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Train every stage on data of your own: FOLDER with JPEGImages/SEQ and Annotations/SEQ, or "
            "FRAMES:MASKS. The same as data=own data.name=FOLDER.",
        ),
    ] = None,
    cfg: Annotated[
        bool, typer.Option("--cfg", help="Only print the configuration, and where every value comes from.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="YAML file of your own with the same keys, e.g. what --cfg prints; a key on the command "
            "line replaces the one of the file.",
        ),
    ] = None,
) -> None:
    """Train a method with its paper's recipe.

    vosbench fit model=mpnet [stage=STAGE|all] [data=ft3d|mini] [size=full|lite|tiny] [key=value ...]

    By default some videos of the training split are held out and validated on: data.hold_out. All of it,
    without validation, as in the papers: data.val_split=null. Test last.ckpt: best.ckpt is chosen by the
    validation.
    """
    if not overrides and config is None:
        raise InputError("fit: write key=value, e.g. model=mpnet, or --config FILE (see vosbench fit --help)")
    overrides = overrides or []
    _refuse_repeated(overrides)
    if dataset is not None:
        overrides = [*overrides, *_data_overrides(dataset)]
    places: dict[str, str] = {}
    if config is not None:
        overrides, places = _with_file(config, overrides)
    progress = ProgressLines("fit")
    overrides = [_own_model(line, progress) for line in overrides]
    if cfg:
        _print_configuration(overrides, places)
        return
    from vosbench import training
    from vosbench.training.run_folder import rank, what_to_test
    from vosbench.waiting import unreported

    # Further devices have processes of their own, started with this same command.
    first = rank() == 0
    folder = training.fit(overrides, progress.wait if first else unreported)
    if first:
        sys.stdout.write(f"{folder}\n")
        sys.stderr.writelines(f"{line}\n" for line in what_to_test(folder))


def _refuse_repeated(overrides: list[str]) -> None:
    values: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        if key in values:
            raise InputError(f"fit: {values[key]} and {override}: {key} is given twice; write it once")
        values[key] = override


def _with_file(path: Path, typed: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the overrides of a file before those that are typed, and key -> place of those of the file.

    Raises:
        InputError: a mistake in the file, by its line.
    """
    from vosbench.config_files import fit_overrides, read_config
    from vosbench.training.run import plan_fit

    file = read_config(path)
    lines = fit_overrides(file, typed)
    with file.blamed(lines):
        progress = ProgressLines("fit")
        overrides = [_own_model(line, progress) for line in (*lines.values(), *typed)]
        plan_fit(overrides)
    return overrides, {key: file.place(key) for key in lines}


def _print_configuration(overrides: list[str], places: dict[str, str]) -> None:
    from vosbench.training.run import plan_fit
    from vosbench.training.settings import sourced_settings
    from vosbench.training.stage_data import require_data

    plan = plan_fit(overrides)
    print_configuration(sourced_settings(plan, overrides, places))
    try:
        require_data(plan.config, plan.sets)
    except InputError as error:
        print_notes([str(error)])


def _own_model(override: str, progress: ProgressLines) -> str:
    """Return an override as it is, or ``model=NAME`` for ``model=FILE.py:CLASS``, which is imported here."""
    from vosbench.method_files import split_reference, unknown_method
    from vosbench.models import METHODS

    key, _, value = override.partition("=")
    reference = split_reference(value) if key == "model" else None
    if key == "model" and value.endswith(".py"):
        raise unknown_method(value, METHODS)
    if reference is None:
        return override
    from vosbench.models import use_file
    from vosbench.training.run_folder import rank

    if rank() == 0:
        progress.wait(f"importing {reference[0]}")
    method = use_file(reference[0])
    for group in ("model", "recipe"):
        config = method.folder / "configs" / group / f"{method.name}.yaml"
        if not config.is_file():
            raise InputError(f"{config}: missing; vosbench new method shows what fit needs beside a method")
    if reference[1]:
        raise InputError(f"{override}: weights to start from are given by init={reference[1]}")
    return f"model={method.name}"


def _data_overrides(dataset: str) -> list[str]:
    """Return the configuration of a data set that stands for those of every stage."""
    from vosbench.composition import group_options
    from vosbench.data.catalogue import dataset_spec, is_own

    if not is_own(dataset):
        if dataset not in group_options("data"):
            # refuses an unknown name, and says how a folder of this name is written
            dataset_spec(dataset)
        return [f"data={dataset}"]
    # absolute: a device more starts a process of its own, and a run is resumed from another folder
    reference = dataset_spec(dataset).reference.replace("\\", "\\\\").replace("'", "\\'")
    return ["data=own", f"data.name='{reference}'"]
