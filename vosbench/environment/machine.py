"""What this machine can run: packages, devices, data, caches and weights, looked at in seconds."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import vosbench
from vosbench.data.catalogue import CATALOGUE, open_dataset
from vosbench.data.roots import cache_root
from vosbench.data.roots import data_root as find_data_root
from vosbench.environment.packages import Package, package_problems, packages_and_extras, python_needed
from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.models.pretrained import zoo

_COUNTING = 1.0
"""Seconds after which the files of a cache are no longer counted."""


@dataclass(frozen=True)
class Device:
    """Where networks can run.

    Attributes:
        name: of ``--device``, e.g. ``"cuda:0"``.
        model: what it is.
        memory: in bytes; None where it is not known.
        trouble: what went wrong with a small computation; ``""`` when it came out right.
    """

    name: str
    model: str
    memory: int | None
    trouble: str


@dataclass(frozen=True)
class FoundData:
    """A data set under the data root, as far as a glance can tell.

    Attributes:
        name: catalogue name.
        label: `name`, with ``-mini`` for a miniature.
        kind: ``"evaluation"`` or ``"training"``.
        complete: whether nothing seems to be missing.
        detail: what is there, or what is missing.
    """

    name: str
    label: str
    kind: Literal["evaluation", "training"]
    complete: bool
    detail: str


@dataclass(frozen=True)
class Root:
    """The folder of the data sets.

    Attributes:
        path: absolute.
        source: what made it the data root.
        exists: whether it is there.
        found: the data sets in it, evaluation sets first.
        others: folders in it that no data set is read from.
    """

    path: Path
    source: str
    exists: bool
    found: tuple[FoundData, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Cache:
    """A folder of things that can be computed or fetched again.

    Attributes:
        name: what is in it.
        path: absolute.
        files: number of files.
        size: in bytes.
        counted: False when there was no time to count all.
    """

    name: str
    path: Path
    files: int
    size: int
    counted: bool


@dataclass(frozen=True)
class Weights:
    """A weights file that comes with vosbench.

    Attributes:
        file: name.
        method: whose.
        size: of the network.
        trained_on: data sets, with their edition.
        trouble: why it cannot be used; ``""`` when its hash is right and it loads.
    """

    file: str
    method: str
    size: str
    trained_on: str
    trouble: str


@dataclass(frozen=True)
class Runnable:
    """A method, and what is needed to run it.

    Attributes:
        method: name.
        sizes: of the network, those with weights; empty for methods without sizes.
        task: ``"unsupervised"`` or ``"semi-supervised"``; ``""`` when it cannot be loaded.
        needs_flow: whether it looks at optical flow.
        datasets: labels of the data sets it can run on now.
        hint: what to do when it cannot run.
    """

    method: str
    sizes: tuple[str, ...]
    task: str
    needs_flow: bool
    datasets: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Machine:
    """Everything `examine` found.

    Attributes:
        vosbench: version.
        python: version and the versions that will do.
        system: kernel, architecture, cores.
        packages: what vosbench needs.
        extras: name -> its packages.
        devices: CPU first.
        root: of the data.
        caches: of flow fields, miniatures and downloaded weights.
        weights: files that come with vosbench.
        methods: all there are.
        problems: one line for everything that is installed and broken.
    """

    vosbench: str
    python: Package
    system: str
    packages: tuple[Package, ...]
    extras: dict[str, tuple[Package, ...]]
    devices: tuple[Device, ...]
    root: Root
    caches: tuple[Cache, ...]
    weights: tuple[Weights, ...]
    methods: tuple[Runnable, ...]
    problems: tuple[str, ...]


def examine(data_root: Path | None = None) -> Machine:
    """Look at everything that decides what can run here; nothing is changed, made or fetched.

    Args:
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
    """
    packages, extras = packages_and_extras()
    python = Package("python", python_needed(), platform.python_version())
    devices = _devices()
    root = _root(data_root)
    weights, loaded = _weights()
    return Machine(
        vosbench=vosbench.__version__,
        python=python,
        system=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        packages=packages,
        extras=extras,
        devices=devices,
        root=root,
        caches=_caches(),
        weights=weights,
        methods=_methods(loaded, root),
        problems=(
            *package_problems([python, *packages], extras),
            *(f"{device.name}: {device.trouble}" for device in devices if device.trouble),
            *(each.trouble for each in weights if each.trouble),
        ),
    )


def _devices() -> tuple[Device, ...]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return (Device("cpu", platform.processor(), None, f"torch cannot be imported: {_line(error)}"),)
    found = [Device("cpu", f"{torch.get_num_threads()} threads", None, _compute("cpu"))]
    for index in range(torch.cuda.device_count()):
        name, about = f"cuda:{index}", torch.cuda.get_device_properties(index)
        found.append(Device(name, about.name, about.total_memory, _compute(name)))
    return tuple(found)


def _compute(device: str) -> str:
    """Return what went wrong with a small computation; the operators of torchvision are built apart."""
    try:
        import torch
        from torchvision.ops import nms  # type: ignore[import-untyped]

        ones = torch.ones(1, 3, 8, 8, device=device)
        total = float(torch.nn.functional.conv2d(ones, ones).sum())
        kept = nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3]], device=device), ones[0, 0, 0, :2], 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return f"torch and torchvision do not work: {_line(error)}"
    if total != 192 or kept.tolist() != [0]:
        return f"computes wrongly: a convolution gives {total} instead of 192, suppression {kept.tolist()}"
    return ""


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _root(option: Path | None) -> Root:
    if option is not None:
        source = "--data-root"
    elif os.environ.get("VOSBENCH_DATA"):
        source = "$VOSBENCH_DATA"
    else:
        source = "default; --data-root or $VOSBENCH_DATA choose another"
    path = find_data_root(option).resolve()
    folders = sorted(each.name for each in path.iterdir() if each.is_dir()) if path.is_dir() else []
    known = [name for name in CATALOGUE if name in folders]
    found = tuple(_glance(name, path) for name in known)
    return Root(path, source, path.is_dir(), found, tuple(name for name in folders if name not in known))


def _glance(name: str, root: Path) -> FoundData:
    """Open an evaluation set; of a training set, which may be huge, only look for its parts."""
    kind = CATALOGUE[name].kind
    mini = (root / name / "MINI.json").is_file()
    label = f"{name}-mini" if mini else name
    if kind == "training":
        archives = CATALOGUE[name].archives
        parts = dict.fromkeys(str(Path(item.unpack_into) / item.inner) for item in archives if item.inner)
        missing = [part for part in parts if not mini and not (root / name / part).exists()]
        detail = f"missing: {', '.join(missing)}" if missing else "folder found, not opened"
        return FoundData(name, label, kind, not missing, detail)
    try:
        opened = open_dataset(name, root)
    except InputError as error:
        return FoundData(name, label, kind, False, str(error))
    frames = sum(len(video) for video in opened)
    return FoundData(name, label, kind, True, f"{opened.split}: {len(opened)} sequences, {frames} frames")


def _caches() -> tuple[Cache, ...]:
    home = cache_root().resolve()
    folders = sorted(each for each in home.iterdir() if each.is_dir()) if home.is_dir() else []
    places = {folder.name: folder for folder in folders} or {"none yet": home}
    try:
        from torch import hub
    except (ImportError, OSError):
        pass
    else:
        places["torchvision weights"] = Path(hub.get_dir()) / "checkpoints"
    return tuple(_measure(name, path) for name, path in places.items())


def _measure(name: str, folder: Path) -> Cache:
    stop = time.monotonic() + _COUNTING
    files = size = 0
    waiting = [folder] if folder.is_dir() else []
    while waiting and time.monotonic() < stop:
        with os.scandir(waiting.pop()) as entries:
            for each in entries:
                if each.is_dir(follow_symlinks=False):
                    waiting.append(Path(each.path))
                elif each.is_file(follow_symlinks=False):
                    files, size = files + 1, size + each.stat(follow_symlinks=False).st_size
    return Cache(name, folder, files, size, not waiting)


def _weights() -> tuple[tuple[Weights, ...], dict[str, dict[str, Method]]]:
    """Return every file that comes along, and method -> size -> the method with these weights."""
    files: list[Weights] = []
    loaded: dict[str, dict[str, Method]] = {}
    for path in sorted(zoo.WEIGHTS.glob("*.safetensors")):
        name, _, size = path.stem.rpartition("-")
        try:
            method, told = zoo.load_method(name, size)
        except InputError as error:
            files.append(Weights(path.name, name, size, "", str(error)))
            continue
        files.append(Weights(path.name, name, size, _trained_on(told["training"]["data"]), ""))
        loaded.setdefault(name, {})[size] = method
    return tuple(files), loaded


def _trained_on(data: Mapping[str, Any]) -> str:
    """Name the data of a training: one set, or a world in the layouts of several."""
    return f"{', '.join(data['sets'] if 'sets' in data else [data['name']])} ({data['edition']})"


def _methods(loaded: dict[str, dict[str, Method]], root: Root) -> tuple[Runnable, ...]:
    usable = [each.label for each in root.found if each.kind == "evaluation" and each.complete]
    datasets = tuple(usable) or ("miniatures",)
    methods = []
    for name in zoo.method_names():
        sizes = loaded.get(name, {})
        try:
            method = next(iter(sizes.values())) if sizes else zoo.load_method(name)[0]
        except InputError as error:
            methods.append(Runnable(name, (), "", False, (), str(error)))
            continue
        methods.append(Runnable(name, tuple(sizes), method.task, method.needs_flow, datasets, ""))
    return tuple(methods)
