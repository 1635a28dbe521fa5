"""Examination of this machine in seconds: packages, devices, data, caches, weights, methods."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import vosbench
from vosbench.environment.devices import Device, find_devices
from vosbench.environment.packages import Package, package_problems, packages_and_extras, python_needed
from vosbench.environment.storage import Cache, Root, examine_root, find_caches
from vosbench.errors import InputError
from vosbench.method import Method
from vosbench.models.pretrained import zoo
from vosbench.models.pretrained.weight_files import describe_data


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
    """A method and its requirements.

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
    """Result of `examine`.

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
    """Examine everything that decides which methods can run here; nothing is changed, written or fetched.

    Args:
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
    """
    packages, extras = packages_and_extras()
    python = Package("python", python_needed(), platform.python_version())
    devices = find_devices()
    root = examine_root(data_root)
    weights, loaded = _weights()
    return Machine(
        vosbench=vosbench.__version__,
        python=python,
        system=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        packages=packages,
        extras=extras,
        devices=devices,
        root=root,
        caches=find_caches(),
        weights=weights,
        methods=_methods(loaded, root),
        problems=(
            *package_problems([python, *packages], extras),
            *(f"{device.name}: {device.trouble}" for device in devices if device.trouble),
            *(file.trouble for file in weights if file.trouble),
        ),
    )


def _weights() -> tuple[tuple[Weights, ...], dict[str, dict[str, Method]]]:
    """Return every packaged file, and method -> size -> the method with these weights."""
    files: list[Weights] = []
    loaded: dict[str, dict[str, Method]] = {}
    for path in sorted(zoo.WEIGHTS.glob("*.safetensors")):
        name, _, size = path.stem.rpartition("-")
        try:
            method, provenance = zoo.load_method(name, size)
        except InputError as error:
            files.append(Weights(path.name, name, size, "", str(error)))
            continue
        files.append(Weights(path.name, name, size, describe_data(provenance["training"]["data"]), ""))
        loaded.setdefault(name, {})[size] = method
    return tuple(files), loaded


def _methods(loaded: dict[str, dict[str, Method]], root: Root) -> tuple[Runnable, ...]:
    usable = [dataset.label for dataset in root.found if dataset.kind == "evaluation" and dataset.complete]
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
