"""Output of ``doctor`` without results: tables of what this machine can run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vosbench.cli.terminal import make_table, print_notes, print_table

if TYPE_CHECKING:
    from vosbench.environment.machine import Machine, Runnable
    from vosbench.environment.packages import Package
    from vosbench.environment.storage import Root

_WIDEST = 32
"""Characters of a column of words, so that a table fits into a narrow terminal."""


def machine_json(machine: Machine) -> str:
    """Return the whole examination as JSON text."""
    return json.dumps(asdict(machine), indent=1, default=str) + "\n"


def print_machine(machine: Machine) -> None:
    """Print a table per subject, then the problems."""
    sys.stdout.write(f"vosbench {machine.vosbench} on {machine.system}\n")
    _print_packages(machine)
    _print_devices(machine)
    _print_root(machine.root)
    _print_caches(machine)
    _print_weights(machine)
    _print_methods(machine.methods)
    print_notes(_notes(machine))
    for problem in machine.problems:
        sys.stdout.write(f"broken: {problem}\n")
    sys.stdout.write(f"doctor: {len(machine.problems) or 'nothing'} broken\n")


def _print(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = make_table(title, columns)
    for column in table.columns:
        column.max_width, column.overflow = _WIDEST, "fold"
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _print_packages(machine: Machine) -> None:
    # a Machine has imported this already
    from vosbench.environment.packages import pip_line

    needed = (machine.python, *machine.packages)
    rows = [(package.name, package.installed or "-", package.needed, _fit(package)) for package in needed]
    _print("packages", ["package", "installed", "needed", ""], rows)
    extras = [
        (
            name,
            ", ".join(f"{package.name} {package.installed or '-'}" for package in packages),
            "installed" if all(package.fits for package in packages) else pip_line(name),
        )
        for name, packages in machine.extras.items()
    ]
    _print("extras", ["extra", "packages", ""], extras)


def _fit(package: Package) -> str:
    return "ok" if package.fits else "missing" if package.installed is None else "too old"


def _print_devices(machine: Machine) -> None:
    rows = [
        (
            device.name,
            device.model,
            "" if device.memory is None else f"{device.memory / 2**30:.0f} GiB",
            "broken" if device.trouble else "ok",
        )
        for device in machine.devices
    ]
    _print("devices", ["device", "model", "memory", "computes"], rows)


def _print_root(root: Root) -> None:
    sys.stdout.write(f"data root: {root.path} ({root.source})\n")
    if not root.exists:
        sys.stdout.write("  there is no such folder; compare --datasets all runs on miniatures\n\n")
        print_notes(root.hints)
        return
    rows = [(d.label, d.kind, "ok" if d.complete else "incomplete", d.detail) for d in root.found]
    _print("data sets", ["data set", "for", "", "at a glance"], rows)
    if root.others:
        sys.stdout.write(f"other folders there: {', '.join(root.others)}\n\n")
    print_notes(root.hints)


def _print_caches(machine: Machine) -> None:
    for cache in machine.caches:
        more = "" if cache.counted else "more than "
        size = f"{more}{cache.files} files, {cache.size / 2**20:.1f} MiB"
        sys.stdout.write(f"cache of {cache.name}: {cache.path} ({size})\n")
    sys.stdout.write("\n")


def _print_weights(machine: Machine) -> None:
    rows = [
        (Path(file.file).stem, file.trained_on or "-", "broken" if file.trouble else "ok")
        for file in machine.weights
    ]
    _print("weights, their hashes checked and read", ["weights", "trained on", ""], rows)


def _print_methods(methods: Sequence[Runnable]) -> None:
    rows = [
        (
            f"{method.method} ({', '.join(method.sizes)})" if method.sizes else method.method,
            method.task or "-",
            "yes" if method.needs_flow else "",
            ", ".join(method.datasets) or "-",
        )
        for method in methods
    ]
    _print("what can run now", ["method", "task", "flow", "on"], rows)


def _notes(machine: Machine) -> list[str]:
    notes = [f"{method.method}: {method.hint}" for method in machine.methods if method.hint]
    if machine.root.found:
        notes.append("at a glance only: 'vosbench data verify NAME' reads every file of a data set")
    if not machine.packages:
        notes.append("vosbench is not installed, only found: which versions it needs is not known")
    return notes
