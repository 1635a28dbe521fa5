"""Commands that the soak breaks: what each needs before it, and what must be the same after it."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cluster import RayCluster
from faults import Workers, others
from PIL import Image

from vosbench.locks import LOCKS

HEIGHT, WIDTH = 32, 48
SEQUENCES: Mapping[str, int] = {"dog": 4, "zebra": 3}
ON_RAY = "compare, on Ray"
BASELINES = "all_foreground,centre_box,flow_threshold"

_VOLATILE = ("scored",)
"""Part of the provenance of a record that tells of the interruption: masks were there, and scored later."""

_OF_CHECKPOINTS = ("key", "sha256", "config_hash", "inputs")
"""Hashes in records and masks of a trained network that cover the file of a checkpoint.

The file holds its path, clocks and progress; weights are compared tensor by tensor.
"""

SUITE = """
id: small
title: A small table
paper: Somebody et al.
table: 1
method: MP-Net
varies: nothing
flows:
  dis: {title: DIS, official: dis, mini: dis}
columns:
  davis16: {dataset: davis16, split: val, protocol: davis16-unsupervised, metric: J_mean, flow: dis, limit: 1}
editions:
  official: {size: tiny, seeds: [0]}
trainings:
  flow:
    model: mpnet
    stage: C
    set:
      data.scale: 1.0
      data.val_split: val
      workers: 0
      recipe.C.batch_size: 2
      recipe.C.augment.crop: [32, 32]
      recipe.C.epochs: 1
      trainer.accelerator: cpu
      trainer.limit_train_batches: 1
      trainer.limit_val_batches: 1
rows:
  box: {title: a box, model: centre_box, variant: null}
  flow: {title: learnt from flow, training: flow, variant: null}
orderings:
  - {expect: flow >= box, column: davis16, source: section 1}
"""


@dataclass(frozen=True)
class Command:
    """A command, and its place.

    Attributes:
        name: for the table.
        words: of the command line, run in the place.
        make: writes what the command needs into its place.
        prepare: called in the process of the command.
        output: folder of what it writes.
        ignored: parts of paths whose files differ from run to run, such as logs.
        trains: whether records are of weights that the command trains.
        workers: the other processes that do the work, so that no fault can come at one of their operations.
        alone: words of a command that does their work itself, and imports what they import.
        together: whether several of it in one folder at once give the results of one.
    """

    name: str
    words: tuple[str, ...]
    make: Callable[[Path], None]
    prepare: Callable[[], None] | None = None
    output: str = "out"
    ignored: tuple[str, ...] = ()
    trains: bool = False
    workers: Workers | None = None
    alone: tuple[str, ...] = ()
    together: bool = False


def commands(address: str, cluster: RayCluster | None) -> list[Command]:
    """Return the commands.

    Args:
        address: of a server of the archive of `write_archive`.
        cluster: for `ON_RAY`, which is left out without.
    """
    davis = ("davis16", "--data-root", "data")
    fit = (
        *("fit", "model=mpnet", "size=tiny", "stage=C", "data.scale=1.0", "workers=0", "data.val_split=val"),
        *("recipe.C.batch_size=2", "recipe.C.augment.crop=[32,32]", "recipe.C.epochs=2", "data_root=data"),
        *("trainer.accelerator=cpu", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"),
        *("trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false", "run=run"),
    )
    compare = ("compare", "--models", BASELINES, "--datasets", *davis, "--out", "out", "--no-pictures")
    # the page shows the whole provenance: of masks of an earlier run also when they were scored
    page = ("leaderboard.html",)
    one, two = (*compare, "--workers", "1"), (*compare, "--workers", "2")
    on_ray: tuple[Command, ...] = ()
    if cluster is not None:
        words = (*two, "--executor", "ray", "--address", cluster.address)
        on_ray = (
            Command(ON_RAY, words, _data, ignored=page, prepare=cluster.prepare, workers=cluster.workers),
        )
    return [
        Command("compare, local", one, _data, ignored=page, together=True),
        Command("compare, two processes", two, _data, ignored=page, prepare=_fork, workers=others, alone=one),
        *on_ray,
        Command("fit", fit, _training_data, ignored=("logs", "pictures", "final.csv"), output="run"),
        Command(
            "data download",
            ("data", "download", *davis, "--keep-archives"),
            lambda place: None,
            prepare=lambda: _serve_davis(address),
            output="data",
        ),
        Command("data mini", ("data", "mini", *davis, "--scenes", "1"), lambda place: None, output="data"),
        Command("flow compute", ("flow", "compute", *davis, "--estimator", "dis"), _data, output="data/flow"),
        Command(
            "predict",
            ("predict", *davis, "--model", "flow_threshold", "--out", "out", "--overlay", "seen"),
            _data,
        ),
        Command(
            "score",
            ("score", "results", "--dataset", *davis, "--json", "out/scores.json", "--workers", "1"),
            _results,
        ),
        Command(
            "leaderboard build",
            ("leaderboard", "build", "--records", "records", "--out", "out"),
            _records,
        ),
        Command(
            "ablate",
            (
                *("ablate", "small.yaml", "--edition", "official", "--data-root", "data"),
                *("--out", "out", "--workers", "1"),
            ),
            _suite,
            ignored=("logs", "pictures", "final.csv"),
            trains=True,
        ),
    ]


def tree(command: Command, place: Path) -> dict[str, str]:
    """Return path -> content of every file that the command has written, in a form that can be compared.

    Empty files that only stand for a claim while the command runs are left out.
    """
    ignored = {LOCKS, *command.ignored}
    return {
        path.relative_to(place).as_posix(): _content(path, place, _OF_CHECKPOINTS if command.trains else ())
        for path in sorted(place.rglob("*"))
        if path.is_file() and not ignored.intersection(path.relative_to(place).parts)
    }


def _content(path: Path, place: Path, left_out: Sequence[str]) -> str:
    if path.suffix == ".ckpt":
        return "".join(_weights(path))
    content = path.read_bytes()
    if path.suffix == ".json" and "records" in path.parts:
        content = _without(content, (*_VOLATILE, *left_out))
    elif path.name.endswith(".origin.json") and left_out:
        content = _without(content, left_out)
    return hashlib.sha256(content.replace(str(place).encode(), b"place")).hexdigest()


def _without(content: bytes, keys: Sequence[str]) -> bytes:
    """Return JSON without the keys of some names."""

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if key not in keys}

    return json.dumps(json.loads(content, object_pairs_hook=kept), sort_keys=True).encode()


def _weights(path: Path) -> Iterator[str]:
    import torch

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    for name, tensor in sorted(state.items()):
        yield name
        yield hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def write_archive(folder: Path) -> None:
    """Write ``davis.zip`` for `commands`."""
    _davis(folder / "made" / "davis16", "val", SEQUENCES)
    with zipfile.ZipFile(folder / "davis.zip", "w") as archive:
        for path in sorted((folder / "made" / "davis16").rglob("*.*")):
            archive.write(path, "DAVIS" / path.relative_to(folder / "made" / "davis16"))


def _serve_davis(address: str) -> None:
    from vosbench.data.catalogue import CATALOGUE
    from vosbench.data.spec import Archive

    archive = Archive(f"{address}/davis.zip", "davis.zip", inner="JPEGImages")
    entries: Any = CATALOGUE
    entries["davis16"] = replace(CATALOGUE["davis16"], archives=(archive,))


def _fork() -> None:
    """Let workers be forks of the command: they start in no time, and nothing here has threads."""
    from vosbench.benchmark import plan
    from vosbench.executors import local

    setattr(local, "_start_method", lambda: "fork")  # noqa: B010
    setattr(plan, "preload", lambda modules: None)  # noqa: B010


def _data(place: Path) -> None:
    _davis(place / "data" / "davis16", "val", SEQUENCES)


def _training_data(place: Path) -> None:
    _davis(place / "data" / "davis16", "train", {"square": 4})
    _davis(place / "data" / "davis16", "val", {"other": 2})


def _results(place: Path) -> None:
    _data(place)
    for mask in (place / "data" / "davis16" / "Annotations" / "480p").rglob("*.png"):
        _picture(
            place / "results" / mask.parent.name / mask.name, np.roll(np.asarray(Image.open(mask)), 1, 1)
        )


def _records(place: Path) -> None:
    """Write the records of a comparison that was made before."""
    record = {
        "model": "centre_box",
        "size": "",
        "dataset": "davis16",
        "edition": "official",
        "split": "val",
        "protocol": "davis16-unsupervised",
        "frames": 4,
        "key": "0" * 64,
        "values": {"J_mean": 0.5, "F_mean": 0.25},
        "per_frame": {"J": [0.5, 0.5], "F": [0.25, 0.25]},
        "seconds_per_frame": {},
        "provenance": {},
        "schema": 1,
    }
    folder = place / "records" / "davis16" / "davis16-unsupervised" / "centre_box"
    folder.mkdir(parents=True)
    for name in SEQUENCES:
        (folder / f"{name}.json").write_text(json.dumps(record | {"sequence": name}), encoding="utf-8")


def _suite(place: Path) -> None:
    _training_data(place)
    (place / "small.yaml").write_text(SUITE, encoding="utf-8")


def _davis(folder: Path, split: str, sequences: Mapping[str, int]) -> None:
    """Write a square that moves over noise, in the layout of DAVIS 2016."""
    random = np.random.default_rng(0)
    lines = []
    for name, frames in sequences.items():
        background = random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        for t in range(frames):
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            ids[10:20, 4 + 2 * t : 14 + 2 * t] = 255
            stem = f"480p/{name}/{t:05}"
            _picture(
                folder / f"JPEGImages/{stem}.jpg", np.where(ids[..., None] > 0, np.uint8(200), background)
            )
            _picture(folder / f"Annotations/{stem}.png", ids)
            lines.append(f"/JPEGImages/{stem}.jpg /Annotations/{stem}.png \n")
    lists = folder / "ImageSets" / "480p"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("".join(lines), encoding="utf-8")


def _picture(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
